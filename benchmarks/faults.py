"""Kills and stops runs, damages files, and sends malformed requests to an export.

    python benchmarks/faults.py --kills=200 --stops=20

Runs on digits, each in a new process, are killed at random moments and started again until they
finish; weights, metrics and predictions must equal those of an undisturbed run, bit by bit. The
cost of checkpoints and of the hashes of frozen weights is measured too. Prints a table and writes
`benchmarks/results/faults.json`. Needs no data beyond the package.
"""

import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from absl import app, flags
from checkpoint_cost import measure_cost
from results import write_results

FLAGS = flags.FLAGS
flags.DEFINE_integer("kills", 200, "kills in total, over all scenarios")
flags.DEFINE_integer("stops", 20, "SIGTERMs in total")
flags.DEFINE_integer("serve_seconds", 60, "seconds for which eight threads send requests")
flags.DEFINE_integer("mutations", 10_000, "number of damaged files to read")
flags.DEFINE_string("only", "", "run only the rows whose name matches this regular expression")
flags.DEFINE_string(
    "scenarios", "", "kill and stop only scenarios whose name matches this regular expression"
)
flags.DEFINE_integer(
    "cost_blocks", 40, "blocks of epochs with checkpoints, and the same number without"
)
flags.DEFINE_string("child", "", "internal: train this scenario in this process")
flags.DEFINE_string("folder", "", "internal: folder of the scenario")

RANDOM = "phases with random layers"
SCENARIOS = {
    "head only": {"recipe": "feature_extraction:epochs=40,augment=flip"},
    "boundary": {"recipe": "fine_tune:unfreeze=1,head_epochs=4,epochs=4,augment=shift"},
    RANDOM: {
        "recipe": "fine_tune:unfreeze=2,head_epochs=1,epochs=4,batch_norm=train,views=fresh,"
        "augment=crop,mixup=0.2"
    },
    "early stop, plateau": {
        "recipe": "fine_tune:unfreeze=1,head_epochs=2,epochs=40,patience=4,"
        "schedule=plateau,learning_rate=0.02"
    },
    "two streams, DANN": {
        "recipe": "fine_tune:unfreeze=2,head_epochs=2,epochs=4,augment=shift,"
        "batch_norm=train+dann+l2_sp",
        "target_data": "digits/source",
    },
}
# Keys of records that may differ between equal runs.
_TIMES = ("seconds", "time")


def experiment(name, folder):
    """The experiment of a scenario; random layers are those of a head with dropout."""
    import tftransfer

    fields = dict(SCENARIOS[name])
    if name == RANDOM:
        recipe = tftransfer.recipes.make_recipe(fields["recipe"], stages=3)
        from dataclasses import replace

        fields["recipe"] = replace(recipe, heads=(tftransfer.Head(dropout=0.3),))
    if "target_data" in fields:
        fields["target_data"] = str(folder / fields["target_data"])
    return tftransfer.Experiment(
        data=str(folder / "digits" / "target"),
        backbone=str(folder / "source"),
        batch_size=16,
        **fields,
    )


def train_scenario(name, folder):
    """Trains in this process."""
    import tftransfer

    tftransfer.train(
        experiment(name, folder), folder / "run", export=False, cache_dir=str(folder / "cache")
    )


def prepare(folder):
    """Writes the digits, and trains the source on half of them."""
    import tftransfer
    from tftransfer.cli.demo import write_digits

    write_digits(folder / "digits")
    source = tftransfer.Experiment(
        data=str(folder / "digits" / "source"),
        backbone="small_cnn",
        weights="none",
        recipe="scratch:augment=shift",
        epochs=6,
    )
    tftransfer.train(source, folder / "source", export=False)


def start(name, folder):
    """Starts a process that trains; returns when it has planned."""
    child = subprocess.Popen(
        [sys.executable, __file__, f"--child={name}", f"--folder={folder}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    lines = []
    for line in child.stdout:
        lines.append(line)
        if line.startswith(("phase 1", "Traceback")) or "finished already" in line:
            break
    rest = threading.Thread(target=lambda: lines.extend(child.stdout), daemon=True)
    rest.start()
    return child, lines, rest


def digest(folder):
    """sha256 of the results, metrics, weights and predictions of a finished run, without times."""
    run = folder / "run"
    # The verdict names the folder of the run in its commands.
    result = json.loads((run / "result.json").read_text().replace(str(run), "RUN"))
    newest = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        newest[record["phase"], record["epoch"]] = without_times(record)
    records = json.dumps([without_times(result), sorted(newest.items())], sort_keys=True)
    weights = (run / "weights.npz").read_bytes()
    predictions = (run / "predictions.csv").read_bytes()
    return hashlib.sha256(records.encode() + weights + predictions).hexdigest()


def without_times(value):
    """A copy of a JSON value without times."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in _TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def clear(folder):
    """Removes the run and its cached features."""
    for name in ("run", "cache"):
        shutil.rmtree(folder / name, ignore_errors=True)


def undisturbed(name, folder):
    """Digest of an undisturbed run, and its seconds after planning."""
    clear(folder)
    child, lines, rest = start(name, folder)
    began = time.monotonic()
    child.wait()
    rest.join()
    assert child.returncode == 0, "".join(lines)
    return digest(folder), time.monotonic() - began


def disturb(name, folder, count, how, seed):
    """Kills or stops runs at random moments, `count` times in total, and resumes them to the end.

    Args:
      name: Name of the scenario.
      folder: Folder with the digits and the source.
      count: Number of kills or stops.
      how: Signal that is sent.
      seed: Seed of the moments.

    Returns:
      How many finished runs were equal to the undisturbed one and how many were not, and the exit
      code and seconds of each stop.
    """
    expected, seconds = undisturbed(name, folder)
    moments = random.Random(seed)
    equal, unequal, stops = 0, 0, []
    clear(folder)
    while len(stops) < count or (folder / "run").exists():
        undisturbed_run = not (folder / "run").exists()
        child, lines, rest = start(name, folder)
        began = time.monotonic()
        if len(stops) < count and child.poll() is None:
            try:
                child.wait(moments.uniform(0, 1.1 * seconds))
            except subprocess.TimeoutExpired:
                sent = time.monotonic()
                child.send_signal(how)
                child.wait()
                rest.join()
                # A process that had finished and was only shutting down was not disturbed.
                finished = any(
                    line.startswith("report:") or "finished already" in line for line in lines
                )
                if not finished:
                    stops.append({"code": child.returncode, "seconds": time.monotonic() - sent})
        child.wait()
        rest.join()
        if child.returncode == 0:
            if undisturbed_run:  # the machine's load may have changed
                seconds = time.monotonic() - began
            same = digest(folder) == expected
            equal, unequal = equal + same, unequal + (not same)
            clear(folder)
        elif child.returncode not in (-how, 75):
            raise RuntimeError("".join(lines))
    return {"equal": equal, "unequal": unequal, "stops": stops}


def shares(total):
    """Index, name and count of each scenario; the counts add up to `total`."""
    names = [name for name in SCENARIOS if re.search(FLAGS.scenarios, name)]
    return [
        (list(SCENARIOS).index(name), name, (total + position) // len(names))
        for position, name in enumerate(names)
    ]


def killed(folder):
    """`kill -9` at random moments, over all scenarios."""
    results = {
        name: disturb(name, folder, count, signal.SIGKILL, number)
        for number, name, count in shares(FLAGS.kills)
    }
    return {
        name: {"kills": len(each["stops"]), "equal": each["equal"], "unequal": each["unequal"]}
        for name, each in results.items()
    }


def stopped(folder):
    """SIGTERM at random moments: code 75, within ten seconds, and nothing lost."""
    rows = {}
    for number, name, count in shares(FLAGS.stops):
        result = disturb(name, folder, count, signal.SIGTERM, 100 + number)
        slowest = max((stop["seconds"] for stop in result["stops"]), default=0.0)
        rows[name] = {
            "stops": len(result["stops"]),
            "codes": sorted({stop["code"] for stop in result["stops"]}),
            "slowest": round(slowest, 2),
            "equal": result["equal"],
            "unequal": result["unequal"],
        }
    return rows


def cost(folder):
    """Cost of checkpoints and hashes of frozen weights; the limit is a ratio of 1.03."""
    return {"digits": measure_cost(folder, FLAGS.cost_blocks)}


def damaged(data, rng):
    """The bytes with a few of them changed, removed, repeated or replaced."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        at, length = rng.randrange(len(data)), rng.randint(1, 200)
        mutation = rng.randrange(5)
        if mutation == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif mutation == 1:
            del data[at : at + length]
        elif mutation == 2:
            data[at:at] = data[max(0, at - length) : at]
        elif mutation == 3:
            data[at : at + length] = rng.randbytes(length)
        else:
            data = data[: max(1, at)]
    return bytes(data)


def encoded_images():
    """An image in every format, and larger JPEGs, one with EXIF data."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    small, large = Image.fromarray(pixels), Image.fromarray(pixels).resize((320, 240))
    exif = Image.Exif()
    exif[0x0112] = 6
    variants = [
        (small, "PNG", {}),
        (small, "GIF", {}),
        (small, "BMP", {}),
        (small, "WEBP", {}),
        (small.convert("P"), "PNG", {}),
        (small.convert("RGBA"), "PNG", {}),
        (small, "JPEG", {}),
        (large, "JPEG", {"progressive": True}),
        (large, "JPEG", {"exif": exif}),
    ]
    encoded = []
    for image, image_format, options in variants:
        file = io.BytesIO()
        image.save(file, image_format, **options)
        encoded.append(file.getvalue())
    return encoded


def mutated(folder):
    """Damaged files: each is kept or quarantined with a reason, and those kept can be decoded."""
    import numpy as np
    import tensorflow as tf

    from tftransfer.data.examples import SPLIT_DTYPE, Examples
    from tftransfer.data.input_pipeline import InputPipeline
    from tftransfer.data.scan import scan
    from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor

    rng, intact = random.Random(0), encoded_images()
    items = intact + [damaged(rng.choice(intact), rng) for _ in range(FLAGS.mutations)]
    given = Examples(
        names=[f"#{k}" for k in range(len(items))],
        items=items,
        problem_type="regression",
        labels=np.zeros((len(items), 1), np.float32),
        classes=("y",),
        splits=np.full(len(items), "", SPLIT_DTYPE),
    )
    began = time.monotonic()
    examples = scan(given, max_quarantine=1.0)
    seconds = time.monotonic() - began
    tf.get_logger().setLevel("ERROR")
    pipeline = InputPipeline(examples, ImagePreprocessor(32), keep=False)
    decoded = pipeline.fetch(np.arange(len(examples)))
    reasons = all(entry.reason for entry in examples.quarantine)
    return {
        "images": {
            "files": len(items),
            "kept": len(examples),
            "quarantined": len(examples.quarantine),
            "with a reason": reasons,
            "decoded": len(decoded),
            "seconds": round(seconds, 1),
        }
    }


def resident():
    """Resident memory of this process in bytes."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+)", text)[1]) * 1024


def served(folder):
    """Eight threads send batches to an export; a tenth of the images are damaged."""
    import numpy as np
    import tensorflow as tf

    import tftransfer

    clear(folder)
    settings = experiment("boundary", folder)
    run = tftransfer.train(settings, folder / "run")
    model = tf.saved_model.load(str(run.export_dir))
    signature = model.signatures["serving_default"]
    good = [path.read_bytes() for path in sorted((folder / "digits" / "target").rglob("*.png"))]
    bad = [
        b"",
        b"x",
        b"<html>",
        good[0][:40],
        b"\xff\xd8\xff\xe0" + b"\0" * 40,
        good[1][:-30],
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\xea\x60" * 2,
    ]
    expected = {
        data: signature(image_bytes=tf.constant([data]))["scores"].numpy()[0] for data in good
    }
    counts = {"requests": 0, "images": 0, "malformed": 0, "wrong": 0}
    lock, until = threading.Lock(), [0.0]

    def send(seed):
        rng = random.Random(seed)
        while time.monotonic() < until[0]:
            batch = [
                rng.choice(bad if rng.random() < 0.1 else good) for _ in range(rng.randint(1, 8))
            ]
            answer = signature(image_bytes=tf.constant(batch))
            scores, errors = answer["scores"].numpy(), answer["error"].numpy()
            wrong = 0
            for data, row, error in zip(batch, scores, errors):
                if data in expected:
                    wrong += bool(error) or not np.allclose(row, expected[data], atol=1e-5)
                else:
                    wrong += not error or not np.isnan(row).all()
            with lock:
                counts["requests"] += 1
                counts["images"] += len(batch)
                counts["malformed"] += sum(data not in expected for data in batch)
                counts["wrong"] += int(wrong)

    def send_from_all_threads(seconds):
        until[0] = time.monotonic() + seconds
        threads = [threading.Thread(target=send, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    send_from_all_threads(min(20, FLAGS.serve_seconds))  # creates threads and memory pools
    before = resident()
    send_from_all_threads(FLAGS.serve_seconds)
    growth = round(resident() / before - 1, 4)
    return {"digits": counts | {"seconds": FLAGS.serve_seconds, "memory growth": growth}}


ROWS = {
    "kill -9": killed,
    "SIGTERM": stopped,
    "cost": cost,
    "mutations": mutated,
    "serving": served,
}


def main(argv):
    del argv
    if FLAGS.child:
        from tftransfer.utils import signals

        try:
            train_scenario(FLAGS.child, Path(FLAGS.folder))
        except signals.Stopped:
            sys.exit(signals.RESUMABLE_EXIT_CODE)
        return
    folder = Path(tempfile.mkdtemp())
    prepare(folder)
    for row, measure in ROWS.items():
        if re.search(FLAGS.only, row):
            measured = measure(folder)
            for name, values in measured.items():
                text = ", ".join(f"{key} {value}" for key, value in values.items())
                print(f"{row:<12}{name:<28}{text}", flush=True)
            write_results("faults", {row: measured}, sys.argv)
    shutil.rmtree(folder)


if __name__ == "__main__":
    app.run(main)
