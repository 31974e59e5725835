"""How near to what the machine can do: decoding, the frozen forward, the export.

    pip install grain pillow simplejpeg
    python benchmarks/throughput.py --flowers=flower_photos --weights=weights

`weights` holds Keras's own weight files by their names; a network without its file runs on random
weights, and no accuracy is told. All sides of a line run in turn in one process; figures are
medians of `--repeats`. Prints a table, and writes `benchmarks/results/throughput.json`.
"""

import contextlib
import gc
import io
import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging
from limits import limits
from results import write_results

import tftransfer
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.data.scan import scan
from tftransfer.data.sources import read_source
from tftransfer.preprocessing.image.decode import decode_resized
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.serving.saved_model import export_network

FLAGS = flags.FLAGS
flags.DEFINE_string("flowers", "", "folder of the flower photographs")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_string("only", "", "run only the lines whose name has this regular expression")
flags.DEFINE_integer("repeats", 5, "runs of each side")

SIZE, BATCH = 160, 32
LARGE, LARGE_SIZE = 1200, (1024, 683)
EXPORTED = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
CALLS = {1: 40, 32: 6}  # of each side in a repeat, by batch size


def versions(*packages):
    return {package: metadata.version(package) for package in packages}


def enlarged(folder):
    """Some of the photographs at the size that cameras and web sites give; smoother than those."""
    from PIL import Image

    files = sorted(Path(FLAGS.flowers).glob("*/*.jpg"))
    for path in files[:: len(files) // LARGE][:LARGE]:
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            picture.convert("RGB").resize(LARGE_SIZE).save(target, quality=90)
    return folder


def keras_decoding(folder):
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(SIZE, SIZE), batch_size=BATCH, shuffle=False, verbose=False
    )
    return lambda: sum(len(x) for x, _ in dataset)


def grain_decoding(files):
    """Threads, a batch each: faster than Grain's processes, and than threads by picture."""
    import grain
    from PIL import Image

    def read(path):
        with Image.open(path) as picture:
            resized = picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            return np.asarray(resized)

    options = grain.ReadOptions(num_threads=os.cpu_count(), prefetch_buffer_size=16)
    dataset = grain.MapDataset.source(files).map(read).batch(BATCH).to_iter_dataset(options)
    return lambda: sum(len(x) for x in dataset)


def our_decoding(examples):
    pixels = InputPipeline(examples, ImagePreprocessor(SIZE), keep=False)
    return lambda: len(pixels.fetch(np.arange(len(examples))))


def decoding_limit(files, **options):
    """libjpeg-turbo alone, which gives up the interpreter's lock; nothing is resized or kept."""
    import simplejpeg

    def decode(some):
        for path in some:
            simplejpeg.decode_jpeg(Path(path).read_bytes(), **options)
        return len(some)

    pieces = [files[start : start + 16] for start in range(0, len(files), 16)]
    pool = ThreadPoolExecutor(os.cpu_count())
    return lambda: sum(pool.map(decode, pieces))


def decoding(folder):
    """Pictures per second from JPEG files that the page cache holds.

    The limit decodes to full size; `reduced` lets libjpeg leave out what 160 px do not need.
    """
    measured = {}
    for name, root in {"small": FLAGS.flowers, "large": enlarged(folder / "large")}.items():
        examples = scan(read_source(str(root)))
        files = list(examples.items)
        ways = {
            "image_dataset": keras_decoding(root),
            "grain": grain_decoding(files),
            "tftransfer": our_decoding(examples),
            "limit": decoding_limit(files),
            "limit, reduced": decoding_limit(files, min_height=SIZE, min_width=SIZE),
        }
        for way in ways.values():
            assert way() == len(files)
        rates = {way: [] for way in ways}
        for _ in range(FLAGS.repeats):
            for way, run in ways.items():
                gc.collect()  # ends the threads of the side before
                started = time.perf_counter()
                run()
                rates[way].append(len(files) / (time.perf_counter() - started))
        median = {way: float(np.median(each)) for way, each in rates.items()}
        rows = {
            way: {
                "pictures/s": rate,
                "of limit": rate / median["limit"],
                "against image_dataset": rate / median["image_dataset"],
            }
            for way, rate in median.items()
        }
        measured[name] = {"pictures": len(files), "rates": rates, "rows": rows}
        for way, row in rows.items():
            print(
                f"decoding {name:<11}{way:<24}{row['pictures/s']:>8.0f} /s"
                f"{row['of limit']:>7.2f} of the limit{row['against image_dataset']:>7.2f} "
                "times image_dataset",
                flush=True,
            )
    return {**measured, "packages": versions("grain", "pillow", "simplejpeg")}


def quietly(function, *arguments, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments, **options)


def latency(sides, calls):
    """Milliseconds of every call of the sides, which take turns."""
    found = {name: [] for name in sides}
    for each in sides.values():
        for _ in range(5):
            each()
    for _ in range(calls):
        for name, call in sides.items():
            started = time.perf_counter()
            call()
            found[name].append(1000 * (time.perf_counter() - started))
    return found


def export(folder):
    """Milliseconds from bytes to scores, against Keras's export of the network and a decoding."""
    plan = tftransfer.plan(
        tftransfer.Experiment(
            data=FLAGS.flowers,
            backbone="mobilenet_v2:alpha=0.35",
            image_size=SIZE,
            weights=str(Path(FLAGS.weights, EXPORTED)),
            recipe="feature_extraction",
        )
    )
    export_network(plan.network, plan.examples, folder / "ours", temperature=1.0)
    quietly(plan.network.model.export, folder / "bare", verbose=False)
    loaded = [tf.saved_model.load(str(folder / name)) for name in ("ours", "bare")]
    ours, bare = (each.signatures["serving_default"] for each in loaded)
    (pixels_name,) = bare.structured_input_signature[1]
    spec = tf.TensorSpec((SIZE, SIZE, 3), tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def decode(data):
        pictures = tf.map_fn(lambda x: decode_resized(x, SIZE), data, fn_output_signature=spec)
        return tf.cast(pictures, tf.float32)

    measured = {}
    for batch, calls in CALLS.items():
        data = tf.constant([Path(item).read_bytes() for item in plan.examples.items[:batch]])
        pixels = decode(data)
        sides = {
            "export": lambda data=data: ours(image_bytes=data)["scores"].numpy(),
            "decode": lambda data=data: decode(data).numpy(),
            "bare": lambda pixels=pixels: bare(**{pixels_name: pixels})["logits"].numpy(),
        }
        each = latency(sides, calls * FLAGS.repeats)
        median = {name: float(np.median(one)) for name, one in each.items()}
        ratio = median["export"] / (median["bare"] + median["decode"])
        measured[f"batch {batch}"] = {
            "calls": calls * FLAGS.repeats,
            "milliseconds": median,
            "export / (bare + decode)": ratio,
        }
        print(
            f"export batch {batch:<7}"
            + "".join(f"{n} {v:.2f} ms  " for n, v in median.items())
            + f"export / (bare + decode) {ratio:.2f}",
            flush=True,
        )
    return measured


LINES = {
    "decoding": decoding,
    "limits": lambda folder: limits(FLAGS.flowers, FLAGS.weights, FLAGS.repeats),
    "export": export,
}


def main(argv):
    del argv
    tf.get_logger().setLevel("ERROR")
    logging.set_verbosity(logging.ERROR)
    folder = Path(tempfile.mkdtemp())
    for line, measure in LINES.items():
        if re.search(FLAGS.only, line):
            write_results("throughput", {line: measure(folder)}, sys.argv)
    shutil.rmtree(folder)


if __name__ == "__main__":
    app.run(main)
