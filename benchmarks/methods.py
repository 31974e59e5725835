"""Measures every transfer method on real images, over several seeds.

    python benchmarks/methods.py --digits=digits --office=office --cifar10=cifar10 \\
        --flowers=flower_photos --weights=weights

`digits` holds mnist_10k.npz and usps.npz, `office` the folders amazon/ and webcam/, `weights`
Keras's own weight files under their original names. Rows of a group have the same data, network,
sizes and seeds; options are the recipes' defaults unless the row's recipe states them. Prints rows
and writes `benchmarks/results/methods.json`. Seeds that are stored already are not run again
without --again. `python benchmarks/methods_page.py` writes the page.
"""

import functools
import gc
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from absl import app, flags
from results import interval, run_missing_seeds, with_interval, write_results

import tftransfer
from tftransfer.evaluation.few_shot_episodes import table as table_of_episodes

FLAGS = flags.FLAGS
flags.DEFINE_string("digits", "", "folder of mnist_10k.npz and usps.npz")
flags.DEFINE_string("office", "", "folder of amazon/ and webcam/")
flags.DEFINE_string("flowers", "", "folder of the flower photographs")
flags.DEFINE_string("cifar10", "", "folder of CIFAR-10 with train/ and test/")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_string("only", "", "run only the rows whose name matches this regular expression")
flags.DEFINE_integer("seeds", 5, "runs per row")
flags.DEFINE_boolean("again", False, "run seeds that are stored already")

_V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_SOURCE_EXAMPLES = 2000
_TASK_EXAMPLES = 200
# Replaced by the folder of the run that a group trains first, with the same seed.
FIRST = "FIRST"


def mobilenet(size):
    """Fields of an experiment: MobileNetV2 1.0 with the ImageNet weights."""
    return {
        "backbone": "mobilenet_v2",
        "image_size": size,
        "weights": str(Path(FLAGS.weights, _V2)),
    }


def digits(name):
    """Training images and labels, test images and labels of one dataset."""
    file = {"MNIST": "mnist_10k.npz", "USPS": "usps.npz"}[name]
    with np.load(Path(FLAGS.digits, file)) as stored:
        return [stored[key] for key in ("x_train", "y_train", "x_test", "y_test")]


def from_to(source, target):
    """Fields of an experiment that adapts from one dataset of digits to another."""

    def fields(seed):
        (x, y, _, _), (unlabelled, _, *test) = digits(source), digits(target)
        subset = np.random.default_rng(seed).permutation(len(x))[:_SOURCE_EXAMPLES]
        return {
            "data": (x[subset], y[subset]),
            "test_data": tuple(test),
            "target_data": unlabelled,
            "image_size": 28,
            "batch_size": 64,
        }

    return fields


def adaptation_rows(base):
    """Name of a row to recipe, in the groups of domain adaptation."""
    return {
        "source only": base,
        "AdaBN": f"{base}+adabn",
        "MMD": f"{base}+mmd",
        "Deep CORAL": f"{base}+coral",
        "Deep CORAL and entropy": f"{base}+coral+entropy",
        "DANN": f"{base}+dann",
        "CDAN+E": f"{base}+cdan",
        "ADDA": f"{base}+adda",
    }


def groups():
    """Title of a table to its `Group`."""
    found = {}
    if FLAGS.digits:
        rows = adaptation_rows(
            "fine_tune:unfreeze=3,decay=1,batch_norm=train,head_epochs=2,epochs=15,"
            "learning_rate=1e-3,augment=none,patience=0"
        )
        cnn = {"backbone": "small_cnn", "weights": "none"}
        source = {**cnn, "recipe": "scratch:augment=none,epochs=40"}
        for title, domains in (
            ("MNIST to USPS", ("MNIST", "USPS")),
            ("USPS to MNIST", ("USPS", "MNIST")),
        ):
            found[title] = Group(from_to(*domains), rows, source, {"backbone": FIRST})
        found["digits: class, parity, greater than 4"] = several_tasks()
    if FLAGS.office:
        amazon, webcam = (str(Path(FLAGS.office, name)) for name in ("amazon", "webcam"))
        office = {"data": amazon, "test_data": webcam, "target_data": webcam, **mobilenet(160)}
        found["Office: amazon to webcam"] = Group(lambda seed: office, adaptation_rows("fine_tune"))
    for labels in (10, 30, 100) if FLAGS.flowers else ():
        found[f"flowers, {labels} labels per class"] = flowers(labels)
    return found | (cifar() if FLAGS.cifar10 else {})


def three_tasks(seed):
    """Fields of an experiment with three tasks: class, parity, and greater than 4."""
    x, y, x_test, y_test = digits("MNIST")
    subset = np.random.default_rng(seed).permutation(len(x))[:_TASK_EXAMPLES]

    def tasks(labels):
        return np.stack([labels, labels % 2, labels > 4], axis=1).astype(np.int64)

    return {
        "data": (x[subset], tasks(y[subset])),
        "test_data": (x_test, tasks(y_test)),
        "problem_type": "multi_task",
        "backbone": "small_cnn",
        "weights": "none",
        "image_size": 28,
        "validation_fraction": 0.2,
    }


def single_task(task):
    """A function that reduces the fields of an experiment to one of its tasks."""

    def change(fields):
        parts = {key: (fields[key][0], fields[key][1][:, task]) for key in ("data", "test_data")}
        return {**fields, **parts, "problem_type": "single_label"}

    return change


def several_tasks():
    """One network for all tasks, against one network per task."""
    base = "scratch:augment=none,epochs=40"
    alone = "one network per task"
    rows = {alone: base, "fixed": base}
    rows |= {name: f"{base}+multi_task:balance={name}" for name in ("uncertainty", "gradnorm")}
    return Group(three_tasks, rows, separate={alone: tuple(map(single_task, range(3)))})


def flowers(labels):
    """Ways to fine-tune with few labels."""
    fields = {
        "data": FLAGS.flowers,
        "labels_per_class": labels,
        "validation_fraction": 0.2,
        **mobilenet(160),
    }
    rows = {
        "scratch": "scratch:epochs=20",
        "linear probe": "feature_extraction:epochs=20",
        "fine-tuning": "fine_tune",
        "gradual unfreezing": "gradual_unfreezing",
        "L2-SP": "l2_sp",
        "DELTA": "delta",
        "BSS": "bss",
        "LoRA": "lora",
        "WiSE-FT": "wise_ft",
    }
    return Group(lambda seed: fields, rows)


def cifar():
    """Distillation to a small network, and a small network with few labels."""
    small = {
        "backbone": "small_cnn",
        "weights": "none",
        "image_size": 32,
        "batch_size": 64,
        "data": FLAGS.cifar10,
        "unlabelled_data": f"{FLAGS.cifar10}/train",
    }
    student, few = {**small, "labels_per_class": 200}, {**small, "labels_per_class": 40}
    teacher = {**mobilenet(96), "recipe": "fine_tune:unfreeze=3", "unlabelled_data": ""}
    base = "scratch:epochs=30"
    taught = {
        "student alone": base,
        "logits": f"{base}+distill:teacher={FIRST}",
        "features": f"{base}+distill_features:teacher={FIRST}",
        "logits, also of unlabeled images": f"{base}+distill:teacher={FIRST},unlabelled=true",
    }
    alone, longer = "scratch:epochs=60", "scratch:epochs=330"
    unlabelled = {
        "scratch": alone,
        "scratch, longer": longer,
        "auto-encoder": f"{alone}+autoencoder",
        "VAE": f"{alone}+vae",
        "SimCLR": f"{alone}+simclr",
        "FixMatch": f"{longer}+fixmatch",
    }
    return {
        "CIFAR-10, 200 labels per class, student of 73,000 parameters": Group(
            lambda seed: student, taught, teacher
        ),
        "CIFAR-10, 40 labels per class, 6,000 unlabeled images": Group(
            lambda seed: few, unlabelled
        ),
    }


@dataclass(frozen=True)
class Group:
    """The rows of a table.

    Attributes:
      fields: Function from a seed to the fields of the experiments.
      rows: Name of a row to its recipe.
      first: Fields that differ in the run that is trained first for each seed, if there is one.
      then: Fields of the rows, which may name that run by `FIRST`.
      separate: Name of a row to functions that change the fields. Such a row trains once for each
        function, and its accuracy is their mean.
    """

    fields: Callable
    rows: dict
    first: dict = field(default_factory=dict)
    then: dict = field(default_factory=dict)
    separate: dict = field(default_factory=dict)


class Bench:
    """Trains rows, and keeps the run that a group trains first."""

    def __init__(self, folder):
        self.folder, self.first_runs, self.count = folder, {}, 0

    def row(self, title, group, name, seed):
        """Measures a row with one seed."""
        recipe, changes = group.rows[name], group.separate.get(name)
        if changes:
            return self.measure_separate_tasks(group, recipe, changes, seed)
        return self.measure(title, group, recipe, seed)

    def measure(self, title, group, recipe, seed):
        """Trains once, as `tftransfer train` does."""
        fields = group.fields(seed)
        if group.first and (title, seed) not in self.first_runs:
            self.first_runs[title, seed] = self.train({**fields, **group.first}, seed)
        named = {**group.then, "recipe": recipe}
        if group.first:
            folder = str(self.first_runs[title, seed].workdir)
            named = {key: text.replace(FIRST, folder) for key, text in named.items()}
        run = self.train({**fields, **named}, seed)
        result, planned = run.result, len(run.experiment.recipe.phases)
        # Without the phases that a run repeats after it undid an adaptation.
        phases = result["phases"][:planned]
        adaptation = [phase["adaptation"] for phase in phases if "adaptation" in phase]
        first = self.first_runs[title, seed].result["test"]["accuracy"] if group.first else None
        return {
            "accuracy": result["test"]["accuracy"],
            "examples": result["examples"],
            "validation": result["validation"].get("accuracy"),
            "first": first,
            "seconds": result["seconds"]["total"],
            **({"adaptation": adaptation[-1]} if adaptation else {}),
            **(
                {"tasks": [each["test"]["accuracy"] for each in result["tasks"].values()]}
                if "tasks" in result
                else {}
            ),
        }

    def measure_separate_tasks(self, group, recipe, changes, seed):
        """Trains one network per task; the accuracy is their mean."""
        fields = {**group.fields(seed), "recipe": recipe}
        results = [self.train(change(fields), seed).result for change in changes]
        return {
            "accuracy": float(np.mean([each["test"]["accuracy"] for each in results])),
            "tasks": [each["test"]["accuracy"] for each in results],
            "examples": results[0]["examples"],
            "validation": float(np.mean([each["validation"]["accuracy"] for each in results])),
            "seconds": sum(each["seconds"]["total"] for each in results),
        }

    def train(self, fields, seed):
        """Trains into a new folder."""
        self.count += 1
        run = tftransfer.train(
            tftransfer.Experiment(**fields, seed=seed), self.folder / str(self.count), export=False
        )
        keras.backend.clear_session()
        gc.collect()
        return run


def episodes():
    """Accuracy of the closed-form heads on frozen features, over episodes."""
    data = {"flowers": FLAGS.flowers, "Office amazon": FLAGS.office and f"{FLAGS.office}/amazon"}
    for name, folder in data.items():
        row_name = f"episodes: {name}"
        if folder and re.search(FLAGS.only, row_name):
            experiment = tftransfer.Experiment(data=folder, **mobilenet(160))
            rows = list(tftransfer.episodes(experiment).rows)
            print(row_name, *table_of_episodes(rows), sep="\n", flush=True)
            write_results("methods", {row_name: {"episodes": rows}}, sys.argv)


def accuracy_and_seconds(runs):
    """Accuracy and seconds as text."""
    accuracy = interval([run["accuracy"] for run in runs])
    return f"{with_interval(*accuracy)}  {np.mean([run['seconds'] for run in runs]):.0f} s"


def run_missing_rows():
    """Runs every seed that matches --only and is not stored yet."""
    bench = Bench(Path(tempfile.mkdtemp()))
    for title, group in groups().items():
        for name, recipe in group.rows.items():
            row_name = f"{title}: {name}"
            run_seed = functools.partial(bench.row, title, group, name)
            run_missing_seeds(
                "methods", row_name, run_seed, FLAGS, accuracy_and_seconds, recipe=recipe
            )
    shutil.rmtree(bench.folder)


def main(argv):
    del argv
    run_missing_rows()
    episodes()


if __name__ == "__main__":
    app.run(main)
