"""What happens to a run that is killed, stopped or starved, and to a server that is sent rubbish.

    python benchmarks/faults.py --kills=200 --stops=20

Runs of digits in processes of their own are killed at random moments and started again until they
end; the end must be that of a run which nobody disturbed, bit by bit. What checkpoints and the
proofs of what stayed frozen cost is measured too. Prints a table, and writes
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
from proof_cost import measured_cost
from results import write_results

FLAGS = flags.FLAGS
flags.DEFINE_integer("kills", 200, "kills in all, over the scenarios")
flags.DEFINE_integer("stops", 20, "SIGTERMs in all")
flags.DEFINE_integer("serve_seconds", 60, "how long eight threads send requests")
flags.DEFINE_integer("mutations", 10_000, "damaged files to be read")
flags.DEFINE_string("only", "", "run only the lines whose name has this regular expression")
flags.DEFINE_string("scenarios", "", "kill and stop only those whose name has this expression")
flags.DEFINE_integer("cost_blocks", 40, "blocks of epochs with checkpoints, and as many without")
flags.DEFINE_string("child", "", "for the program's own use: be the run of this scenario")
flags.DEFINE_string("folder", "", "for the program's own use: where")

RANDOM = "phases with random layers"
SCENARIOS = {
    "head only": {"recipe": "feature_extraction:epochs=40,augment=flip"},
    "boundary": {"recipe": "fine_tune:unfreeze=1,head_epochs=4,epochs=4,augment=shift"},
    RANDOM: {
        "recipe": "fine_tune:unfreeze=2,head_epochs=1,epochs=4,batch_norm=train,views=-1,"
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
# What a record may differ in: when it was, and how long it took.
_TIMES = ("seconds", "time")


def experiment(name, folder):
    """The one of a scenario; random layers come from a head of our own."""
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


def be_the_child(name, folder):
    """Trains in this process; says when it has begun."""
    import tftransfer

    tftransfer.train(
        experiment(name, folder), folder / "run", export=False, cache_dir=str(folder / "cache")
    )


def prepare(folder):
    """The digits, and a source that has learnt half of them."""
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
    """A process that trains; comes back when it has planned."""
    # Only the fault itself goes through this process: the child is the program as users run it.
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


def ended(folder):
    """sha256 of all that a finished run says and holds, without times."""
    run = folder / "run"
    result = json.loads((run / "result.json").read_text())
    newest = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        newest[record["phase"], record["epoch"]] = without_times(record)
    said = json.dumps([without_times(result), sorted(newest.items())], sort_keys=True)
    weights = (run / "weights.npz").read_bytes()
    predictions = (run / "predictions.csv").read_bytes()
    return hashlib.sha256(said.encode() + weights + predictions).hexdigest()


def without_times(value):
    """The same, without what a clock said."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in _TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def clear(folder):
    """Makes room for another run, its features to be computed anew."""
    for name in ("run", "cache"):
        shutil.rmtree(folder / name, ignore_errors=True)


def undisturbed(name, folder):
    """Digest and seconds after planning of a run that nobody disturbs."""
    clear(folder)
    child, lines, rest = start(name, folder)
    began = time.monotonic()
    child.wait()
    rest.join()
    assert child.returncode == 0, "".join(lines)
    return ended(folder), time.monotonic() - began


def disturb(name, folder, count, how, seed):
    """Kills or stops runs at random moments until that was done `count` times; then lets them end.

    Returns:
      How many finished runs were equal and how many not, and what was seen at each stop.
    """
    expected, seconds = undisturbed(name, folder)
    moments = random.Random(seed)
    equal, unequal, seen = 0, 0, []
    clear(folder)
    while len(seen) < count or (folder / "run").exists():
        whole = not (folder / "run").exists()
        child, lines, rest = start(name, folder)
        began = time.monotonic()
        if len(seen) < count and child.poll() is None:
            try:
                child.wait(moments.uniform(0, 1.1 * seconds))
            except subprocess.TimeoutExpired:
                asked = time.monotonic()
                child.send_signal(how)
                child.wait()
                rest.join()
                # A process that has done its work and is only going away is not disturbed.
                ended_before = any(
                    line.startswith("report:") or "finished already" in line for line in lines
                )
                if not ended_before:
                    seen.append({"code": child.returncode, "seconds": time.monotonic() - asked})
        child.wait()
        rest.join()
        if child.returncode == 0:
            if whole:  # the machine may have been busier or less so before
                seconds = time.monotonic() - began
            same = ended(folder) == expected
            equal, unequal = equal + same, unequal + (not same)
            clear(folder)
        elif child.returncode not in (-how, 75):
            raise RuntimeError("".join(lines))
    return {"equal": equal, "unequal": unequal, "seen": seen}


def shares(total):
    """Number, name and count of each scenario: the counts add up to `total`."""
    names = [name for name in SCENARIOS if re.search(FLAGS.scenarios, name)]
    return [
        (list(SCENARIOS).index(name), name, (total + place) // len(names))
        for place, name in enumerate(names)
    ]


def killed(folder):
    """`kill -9` at random moments, over all scenarios."""
    found = {
        name: disturb(name, folder, count, signal.SIGKILL, number)
        for number, name, count in shares(FLAGS.kills)
    }
    return {
        name: {"kills": len(f["seen"]), "equal": f["equal"], "unequal": f["unequal"]}
        for name, f in found.items()
    }


def stopped(folder):
    """SIGTERM at random moments: code 75, within ten seconds, and nothing lost."""
    found = {}
    for number, name, count in shares(FLAGS.stops):
        f = disturb(name, folder, count, signal.SIGTERM, 100 + number)
        slowest = max((s["seconds"] for s in f["seen"]), default=0.0)
        codes = sorted({s["code"] for s in f["seen"]})
        found[name] = {
            "stops": len(f["seen"]),
            "codes": codes,
            "slowest": round(slowest, 2),
            "equal": f["equal"],
            "unequal": f["unequal"],
        }
    return found


def costly(folder):
    """Training with checkpoints and proofs beside training without; the bar is a ratio of 1.03."""
    return {"digits": measured_cost(folder, FLAGS.cost_blocks)}


def damaged(data, rng):
    """The bytes with a few of them changed, cut, doubled or exchanged."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        at, length = rng.randrange(len(data)), rng.randint(1, 200)
        way = rng.randrange(5)
        if way == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            del data[at : at + length]
        elif way == 2:
            data[at:at] = data[max(0, at - length) : at]
        elif way == 3:
            data[at : at + length] = rng.randbytes(length)
        else:
            data = data[: max(1, at)]
    return bytes(data)


def pictures():
    """A picture in every form, and a larger JPEG with notes of a camera."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    small, large = Image.fromarray(pixels), Image.fromarray(pixels).resize((320, 240))
    notes = Image.Exif()
    notes[0x0112] = 6
    made = [
        (small, "PNG", {}),
        (small, "GIF", {}),
        (small, "BMP", {}),
        (small, "WEBP", {}),
        (small.convert("P"), "PNG", {}),
        (small.convert("RGBA"), "PNG", {}),
        (small, "JPEG", {}),
        (large, "JPEG", {"progressive": True}),
        (large, "JPEG", {"exif": notes}),
    ]
    encoded = []
    for picture, kind, options in made:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        encoded.append(file.getvalue())
    return encoded


def mutated(folder):
    """Damaged files: each is kept or left out with a reason, and what is kept can be decoded."""
    import numpy as np
    import tensorflow as tf

    from tftransfer.data.examples import SPLIT_DTYPE, Examples
    from tftransfer.data.input_pipeline import InputPipeline
    from tftransfer.data.scan import scan
    from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor

    rng, whole = random.Random(0), pictures()
    items = whole + [damaged(rng.choice(whole), rng) for _ in range(FLAGS.mutations)]
    given = Examples(
        names=[f"#{k}" for k in range(len(items))],
        items=items,
        problem_type="regression",
        labels=np.zeros((len(items), 1), np.float32),
        classes=("y",),
        splits=np.full(len(items), "", SPLIT_DTYPE),
    )
    began = time.monotonic()
    found = scan(given, max_quarantine=1.0)
    seconds = time.monotonic() - began
    tf.get_logger().setLevel("ERROR")
    decoded = InputPipeline(found, ImagePreprocessor(32), keep=False).fetch(np.arange(len(found)))
    reasons = all(entry.reason for entry in found.quarantine)
    return {
        "pictures": {
            "files": len(items),
            "kept": len(found),
            "left out": len(found.quarantine),
            "with a reason": reasons,
            "decoded": len(decoded),
            "seconds": round(seconds, 1),
        }
    }


def resident():
    """Bytes of this process in memory."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+)", text)[1]) * 1024


def served(folder):
    """Eight threads send batches, a tenth of whose pictures are damaged, to an export."""
    import numpy as np
    import tensorflow as tf

    import tftransfer

    clear(folder)
    settings = experiment("boundary", folder)
    run = tftransfer.train(settings, folder / "run")
    model = tf.saved_model.load(str(run.export))
    sign = model.signatures["serving_default"]
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
    expected = {data: sign(image_bytes=tf.constant([data]))["scores"].numpy()[0] for data in good}
    counts = {"requests": 0, "pictures": 0, "malformed": 0, "wrong": 0}
    lock, until = threading.Lock(), [0.0]

    def send(seed):
        rng = random.Random(seed)
        while time.monotonic() < until[0]:
            batch = [
                rng.choice(bad if rng.random() < 0.1 else good) for _ in range(rng.randint(1, 8))
            ]
            said = sign(image_bytes=tf.constant(batch))
            scores, errors = said["scores"].numpy(), said["error"].numpy()
            wrong = 0
            for data, row, error in zip(batch, scores, errors):
                if data in expected:
                    wrong += bool(error) or not np.allclose(row, expected[data], atol=1e-5)
                else:
                    wrong += not error or not np.isnan(row).all()
            with lock:
                counts["requests"] += 1
                counts["pictures"] += len(batch)
                counts["malformed"] += sum(data not in expected for data in batch)
                counts["wrong"] += int(wrong)

    def all_send(seconds):
        until[0] = time.monotonic() + seconds
        threads = [threading.Thread(target=send, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    all_send(min(20, FLAGS.serve_seconds))  # threads and memory pools come into being
    before = resident()
    all_send(FLAGS.serve_seconds)
    grown = resident() / before - 1
    return {"digits": counts | {"seconds": FLAGS.serve_seconds, "memory grew": round(grown, 4)}}


LINES = {
    "kill -9": killed,
    "SIGTERM": stopped,
    "cost": costly,
    "mutations": mutated,
    "serving": served,
}


def main(argv):
    del argv
    if FLAGS.child:
        from tftransfer.utils import signals

        try:
            be_the_child(FLAGS.child, Path(FLAGS.folder))
        except signals.Stopped:
            sys.exit(signals.RESUMABLE_EXIT_CODE)
        return
    folder = Path(tempfile.mkdtemp())
    prepare(folder)
    for line, measure in LINES.items():
        if re.search(FLAGS.only, line):
            found = measure(folder)
            for name, figures in found.items():
                said = ", ".join(f"{key} {value}" for key, value in figures.items())
                print(f"{line:<12}{name:<28}{said}", flush=True)
            write_results("faults", {line: found}, sys.argv)
    shutil.rmtree(folder)


if __name__ == "__main__":
    app.run(main)
