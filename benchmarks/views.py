"""Compares cached augmented views with fresh augmentation.

    python benchmarks/views.py --flowers=flower_photos --weights=weights

Fine-tunes MobileNetV2 0.35 at 160 px with K cached views of each image, and with fresh crops in
every epoch (`views=fresh`). The metrics are those of the validation split, because K is a setting.
Prints a table and writes `benchmarks/results/views.json`.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from absl import app, flags
from results import write_results

import tftransfer

FLAGS = flags.FLAGS
flags.DEFINE_string("flowers", "", "folder of the flower photographs")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_list("views", ["1", "2", "4", "8", "fresh"], "numbers of cached views, or fresh")
flags.DEFINE_list("seeds", ["10", "11", "12"], "splits")

_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def measure(folder, views, seed):
    """Validation metrics and seconds of a run without cached features."""
    shutil.rmtree(folder, ignore_errors=True)
    run = tftransfer.train(
        tftransfer.Experiment(
            data=FLAGS.flowers,
            backbone="mobilenet_v2:alpha=0.35",
            image_size=160,
            seed=seed,
            weights=str(Path(FLAGS.weights, _FILE)),
            recipe=f"fine_tune:views={views}",
            validation_fraction=0.3,
        ),
        folder / "run",
        export=False,
        cache_dir=str(folder / "cache"),
    )
    keras.backend.clear_session()
    metrics = {name: run.result["validation"][name] for name in ("accuracy", "log_loss")}
    return {**metrics, "seconds": run.result["seconds"]["total"]}


def main(argv):
    del argv
    folder, measured = Path(tempfile.mkdtemp()), {}
    for views in FLAGS.views:
        rows = [measure(folder, views, int(seed)) for seed in FLAGS.seeds]
        measured[views] = {name: [row[name] for row in rows] for name in rows[0]}
        mean = {name: float(np.mean(values)) for name, values in measured[views].items()}
        shown = views if views == "fresh" else f"{views} cached"
        print(
            f"{shown:<10}accuracy {mean['accuracy']:.3f}  log loss {mean['log_loss']:.3f}"
            f"{mean['seconds']:>8.1f} s",
            flush=True,
        )
    write_results("views", {"views": measured}, sys.argv)
    shutil.rmtree(folder)


if __name__ == "__main__":
    app.run(main)
