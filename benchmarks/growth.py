"""Measures how time and memory grow with the number of examples, up to 200,000 images.

    python benchmarks/growth.py --weights=mobilenet_2_5_224_tf_no_top.h5

Writes small random JPEGs into one folder per size, and trains a linear head on a small network's
features, each size in a new process. Prints a table and writes `benchmarks/results/growth.json`.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list("sizes", ["2000", "20000", "200000"], "numbers of images")
flags.DEFINE_string("folder", "", "where the images are written; a temporary folder when empty")
flags.DEFINE_string("weights", "none", "Keras's file for MobileNet with alpha 0.25")
flags.DEFINE_string(
    "measure", "", "internal: train on this folder of images and print the measurements as JSON"
)

SIZE, CLASSES = 32, 4


def make_images(folder, count):
    """Writes images of random noise around one color per class; no two are the same."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(count)
    colors = rng.integers(40, 215, (CLASSES, 1, 1, 3))
    for number in range(count):
        label = number % CLASSES
        name = folder / f"class{label}" / f"{number}.jpg"
        if number < CLASSES:
            name.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(-40, 40, (SIZE, SIZE, 3))
        image = np.clip(colors[label] + noise, 0, 255).astype(np.uint8)
        name.write_bytes(tf.io.encode_jpeg(image, quality=70).numpy())


def measure(folder):
    """Trains once; returns seconds by part and the peak resident memory."""
    import tftransfer

    with tempfile.TemporaryDirectory() as runs:
        run = tftransfer.train(
            tftransfer.Experiment(
                data=folder,
                backbone="mobilenet:alpha=0.25",
                weights=FLAGS.weights,
                image_size=SIZE,
                recipe="feature_extraction:epochs=2",
                batch_size=256,
            ),
            Path(runs, "run"),
            cache_dir=str(Path(runs, "cache")),
        )
        seconds = run.result["seconds"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "peak_resident_bytes": peak}


def main(argv):
    del argv
    if FLAGS.measure:
        print(json.dumps(measure(FLAGS.measure)))
        return
    from results import write_results

    rows = {}
    root = Path(FLAGS.folder or tempfile.mkdtemp())
    for size in FLAGS.sizes:
        if not (root / size).is_dir():
            make_images(root / size, int(size))
        done = subprocess.run(
            [sys.executable, __file__, f"--measure={root / size}", f"--weights={FLAGS.weights}"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ},
        )
        measured = json.loads(done.stdout.splitlines()[-1])
        rows[size] = measured
        seconds = measured["seconds"]["total"] - measured["seconds"]["import"]
        print(
            f"{int(size):>9,} images {seconds:>8.1f} s after import, "
            f"{1e3 * seconds / int(size):.2f} ms per image, "
            f"{measured['peak_resident_bytes'] / 2**20:,.0f} MiB peak resident memory",
            flush=True,
        )
    write_results("growth", {"growth": rows}, sys.argv)


if __name__ == "__main__":
    app.run(main)
