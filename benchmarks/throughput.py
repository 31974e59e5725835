"""Measures throughput against what the machine can do: decoding, frozen layers, the export.

    pip install grain pillow simplejpeg
    python benchmarks/throughput.py --flowers=flower_photos --weights=weights

`weights` holds Keras's own weight files under their original names; a network without its file has
random weights, and its accuracy is not measured. All variants of a row run in turn in one process;
values are medians of `--repeats`. Prints a table and writes `benchmarks/results/throughput.json`.
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
from tftransfer.preprocessing.image.decode import decode_resized
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.readers.sources import read_source
from tftransfer.serving.saved_model import export_network

FLAGS = flags.FLAGS
flags.DEFINE_string("flowers", "", "folder of the flower photographs")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_string("only", "", "run only the rows whose name matches this regular expression")
flags.DEFINE_integer("repeats", 5, "runs of each variant")

SIZE = 160
BATCH = 32
LARGE_IMAGES = 1200
LARGE_SIZE = (1024, 683)
EXPORTED = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
# Batch size to the calls of each variant in a repeat.
CALLS = {1: 40, 32: 6}


def versions(*packages):
    return {package: metadata.version(package) for package in packages}


def enlarged(folder):
    """Writes some of the photographs at the size of web images; enlarged ones are smoother."""
    from PIL import Image

    files = sorted(Path(FLAGS.flowers).glob("*/*.jpg"))
    for path in files[:: len(files) // LARGE_IMAGES][:LARGE_IMAGES]:
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.convert("RGB").resize(LARGE_SIZE).save(target, quality=90)
    return folder


def keras_decoding(folder):
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(SIZE, SIZE), batch_size=BATCH, shuffle=False, verbose=False
    )
    return lambda: sum(len(x) for x, _ in dataset)


def grain_decoding(files):
    """Grain with threads, a batch each: faster than its processes and than one image per thread."""
    import grain
    from PIL import Image

    def read(path):
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            return np.asarray(resized)

    options = grain.ReadOptions(num_threads=os.cpu_count(), prefetch_buffer_size=16)
    dataset = grain.MapDataset.source(files).map(read).batch(BATCH).to_iter_dataset(options)
    return lambda: sum(len(x) for x in dataset)


def tftransfer_decoding(examples):
    pixels = InputPipeline(examples, ImagePreprocessor(SIZE), keep=False)
    return lambda: len(pixels.fetch(np.arange(len(examples))))


def decoding_limit(files, **options):
    """libjpeg-turbo alone, which releases Python's global lock; nothing is resized or kept."""
    import simplejpeg

    def decode(paths):
        for path in paths:
            simplejpeg.decode_jpeg(Path(path).read_bytes(), **options)
        return len(paths)

    chunks = [files[start : start + 16] for start in range(0, len(files), 16)]
    pool = ThreadPoolExecutor(os.cpu_count())
    return lambda: sum(pool.map(decode, chunks))


def decoding(folder):
    """Images per second from JPEG files in the page cache.

    The limit decodes at full size; `reduced` lets libjpeg decode at the scale that 160 px need.
    """
    measured = {}
    for name, root in {"small": FLAGS.flowers, "large": enlarged(folder / "large")}.items():
        examples = scan(read_source(str(root)))
        files = list(examples.items)
        variants = {
            "image_dataset": keras_decoding(root),
            "grain": grain_decoding(files),
            "tftransfer": tftransfer_decoding(examples),
            "limit": decoding_limit(files),
            "limit, reduced": decoding_limit(files, min_height=SIZE, min_width=SIZE),
        }
        for run in variants.values():
            assert run() == len(files)
        rates = {variant: [] for variant in variants}
        for _ in range(FLAGS.repeats):
            for variant, run in variants.items():
                gc.collect()  # ends the threads of the previous variant
                started = time.perf_counter()
                run()
                rates[variant].append(len(files) / (time.perf_counter() - started))
        median = {variant: float(np.median(each)) for variant, each in rates.items()}
        rows = {
            variant: {
                "images/s": rate,
                "of limit": rate / median["limit"],
                "against image_dataset": rate / median["image_dataset"],
            }
            for variant, rate in median.items()
        }
        measured[name] = {"images": len(files), "rates": rates, "rows": rows}
        for variant, row in rows.items():
            print(
                f"decoding {name:<11}{variant:<24}{row['images/s']:>8.0f} /s"
                f"{row['of limit']:>7.2f} of the limit{row['against image_dataset']:>7.2f} "
                "times image_dataset",
                flush=True,
            )
    return {**measured, "packages": versions("grain", "pillow", "simplejpeg")}


def quietly(function, *arguments, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments, **options)


def latency(variants, calls):
    """Milliseconds of every call of the variants, which take turns."""
    milliseconds = {name: [] for name in variants}
    for call in variants.values():
        for _ in range(5):
            call()
    for _ in range(calls):
        for name, call in variants.items():
            started = time.perf_counter()
            call()
            milliseconds[name].append(1000 * (time.perf_counter() - started))
    return milliseconds


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
    export_network(plan.network, plan.examples, folder / "tftransfer", temperature=1.0)
    quietly(plan.network.model.export, folder / "keras", verbose=False)
    loaded = [tf.saved_model.load(str(folder / name)) for name in ("tftransfer", "keras")]
    from_bytes, from_pixels = (each.signatures["serving_default"] for each in loaded)
    (pixels_name,) = from_pixels.structured_input_signature[1]
    spec = tf.TensorSpec((SIZE, SIZE, 3), tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def decode(data):
        images = tf.map_fn(lambda x: decode_resized(x, SIZE), data, fn_output_signature=spec)
        return tf.cast(images, tf.float32)

    measured = {}
    for batch, calls in CALLS.items():
        data = tf.constant([Path(item).read_bytes() for item in plan.examples.items[:batch]])
        pixels = decode(data)
        variants = {
            "export": lambda data=data: from_bytes(image_bytes=data)["scores"].numpy(),
            "decode": lambda data=data: decode(data).numpy(),
            "pixels only": lambda pixels=pixels: from_pixels(**{pixels_name: pixels})[
                "logits"
            ].numpy(),
        }
        milliseconds = latency(variants, calls * FLAGS.repeats)
        median = {name: float(np.median(each)) for name, each in milliseconds.items()}
        ratio = median["export"] / (median["pixels only"] + median["decode"])
        measured[f"batch {batch}"] = {
            "calls": calls * FLAGS.repeats,
            "milliseconds": median,
            "export / (pixels only + decode)": ratio,
        }
        print(
            f"export batch {batch:<7}"
            + "".join(f"{n} {v:.2f} ms  " for n, v in median.items())
            + f"export / (pixels only + decode) {ratio:.2f}",
            flush=True,
        )
    return measured


ROWS = {
    "decoding": decoding,
    "limits": lambda folder: limits(FLAGS.flowers, FLAGS.weights, FLAGS.repeats),
    "export": export,
}


def main(argv):
    del argv
    tf.get_logger().setLevel("ERROR")
    logging.set_verbosity(logging.ERROR)
    folder = Path(tempfile.mkdtemp())
    for row, measure in ROWS.items():
        if re.search(FLAGS.only, row):
            write_results("throughput", {row: measure(folder)}, sys.argv)
    shutil.rmtree(folder)


if __name__ == "__main__":
    app.run(main)
