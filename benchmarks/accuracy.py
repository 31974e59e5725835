"""Measures the accuracy of the recipes on real images, with pretrained weights from files.

    python benchmarks/accuracy.py --flowers=flower_photos --cifar10=cifar10 --weights=weights \\
        --hub=mobilenet_v2_035_feature_vector

`weights` holds Keras's own weight files under their original names. Every row is `tftransfer train`
with one recipe, for several seeds, which also determine the split. Prints a table and writes
`benchmarks/results/accuracy.json`.
"""

import gc
import re
import shutil
import sys
import tempfile
from pathlib import Path

import keras
from absl import app, flags
from results import write_results

import tftransfer

FLAGS = flags.FLAGS
flags.DEFINE_string("flowers", "", "folder of the flower photographs")
flags.DEFINE_string("cifar10", "", "folder of CIFAR-10 with train/ and test/")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_string("hub", "", "folder of the TF-Hub module of MobileNetV2 0.35")
flags.DEFINE_string("only", "", "run only the rows whose name matches this regular expression")
flags.DEFINE_integer("seeds", 3, "seeds per row")

_V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{}_224_no_top.h5"
_V1 = "mobilenet_2_5_224_tf_no_top.h5"


def experiments():
    """Name of a row to the fields of its experiments."""
    v2 = {
        "data": FLAGS.flowers,
        "backbone": "mobilenet_v2",
        "image_size": 160,
        "weights": str(Path(FLAGS.weights, _V2.format("1.0"))),
    }
    v2_small = {
        **v2,
        "backbone": "mobilenet_v2:alpha=0.35",
        "weights": str(Path(FLAGS.weights, _V2.format("0.35"))),
    }
    v1 = {**v2, "backbone": "mobilenet:alpha=0.25", "weights": str(Path(FLAGS.weights, _V1))}
    hub = {"data": FLAGS.flowers, "backbone": FLAGS.hub, "trust_code": True}
    cifar = {
        "data": FLAGS.cifar10,
        "backbone": "mobilenet_v2",
        "image_size": 96,
        "weights": v2["weights"],
    }
    size = {"image_size": 224}
    return {
        "flowers, feature_extraction": {**v2, "recipe": "feature_extraction"},
        "flowers, fine_tune": {**v2, "recipe": "fine_tune"},
        "flowers, fine_tune, BatchNorm trained": {**v2, "recipe": "fine_tune:batch_norm=train"},
        "flowers, l2_sp": {**v2, "recipe": "l2_sp"},
        "flowers, gradual_unfreezing": {**v2, "recipe": "gradual_unfreezing"},
        "flowers, deep_transfer": {**v2, "recipe": "deep_transfer"},
        "flowers, MobileNet 0.25, feature_extraction": {**v1, "recipe": "feature_extraction"},
        "flowers, hub module, feature_extraction": {**hub, "recipe": "feature_extraction"},
        "flowers, Keras network of the module, feature_extraction": {
            **v2_small,
            **size,
            "recipe": "feature_extraction",
        },
        "CIFAR-10, fine_tune, three stages": {**cifar, "recipe": "fine_tune:unfreeze=3"},
        "flowers, scratch, same epochs": {**v2, "recipe": "scratch", "epochs": 20},
        "flowers, scratch, same time": {**v2, "recipe": "scratch", "epochs": 3},
    }


def measure(experiment, folder):
    run = tftransfer.train(experiment, folder, export=False)
    result = run.result
    keras.backend.clear_session()
    gc.collect()
    return {
        "accuracy": result["test"]["accuracy"],
        "examples": result["examples"],
        "validation": result["validation"]["accuracy"],
        "probe": result["baselines"].get("linear_probe", {}).get("accuracy"),
        "seconds": result["seconds"]["total"],
        "weights_sha256": result["weights_sha256"],
    }


def main(argv):
    del argv
    folder = Path(tempfile.mkdtemp())
    print(f"{'':<46}{'accuracy by seed':<24}{'mean':>7}{'validation':>12}{'seconds':>9}")
    for number, (name, fields) in enumerate(experiments().items()):
        if not re.search(FLAGS.only, name) or not fields["data"]:
            continue
        runs = []
        for seed in range(FLAGS.seeds):
            experiment = tftransfer.Experiment(**fields, seed=seed)
            runs.append(measure(experiment, folder / f"{number}-{seed}"))
        mean = {
            k: sum(run[k] for run in runs) / len(runs)
            for k in ("accuracy", "validation", "seconds")
        }
        accuracies = "  ".join(f"{run['accuracy']:.4f}" for run in runs)
        print(
            f"{name:<46}{accuracies:<24}{mean['accuracy']:>7.4f}{mean['validation']:>12.4f}"
            f"{mean['seconds']:>9.0f}",
            flush=True,
        )
        write_results("accuracy", {name: runs}, sys.argv)
    shutil.rmtree(folder)


if __name__ == "__main__":
    app.run(main)
