"""What each method of transfer is worth, on real pictures, over several seeds.

    python benchmarks/methods.py --digits=digits --office=office --cifar10=cifar10 \\
        --flowers=flower_photos --weights=weights

`digits` holds mnist_10k.npz and usps.npz, `office` the folders amazon/ and webcam/, `weights`
Keras's own weight files by their names. Rows of a group have the same data, network, sizes and
seeds. Prints tables, and writes `benchmarks/results/methods.json`; what is there already is not
run again unless --again. `python benchmarks/methods.py --tables` writes `docs/methods.md`.

All options are the recipes' defaults, or said in the row's recipe.
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
from results import interval, runs_of, said, stored_results, table_of_ways, write_results

import tftransfer
from tftransfer.evaluation.few_shot_episodes import table as table_of_episodes
from tftransfer.training.domain_adaptation import best_run

FLAGS = flags.FLAGS
flags.DEFINE_string("digits", "", "folder of mnist_10k.npz and usps.npz")
flags.DEFINE_string("office", "", "folder of amazon/ and webcam/")
flags.DEFINE_string("flowers", "", "folder of the flower photographs")
flags.DEFINE_string("cifar10", "", "folder of CIFAR-10 with train/ and test/")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_string("only", "", "run only the rows whose name has this regular expression")
flags.DEFINE_integer("seeds", 5, "runs per row")
flags.DEFINE_boolean("again", False, "run rows that are there already")
flags.DEFINE_boolean("tables", False, "write docs/methods.md from the stored figures")

_V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_SOURCE, _SHOP, _FEW = 2000, 958, 200
# Share of the labelled pictures that a run keeps for validation.
_VALIDATION = 0.1
# In place of it stands the run that a group trains first, with the same seed.
_FIRST = "FIRST"


def mobilenet(size):
    """MobileNetV2 1.0 of the folder of weights."""
    return {
        "backbone": "mobilenet_v2",
        "image_size": size,
        "weights": str(Path(FLAGS.weights, _V2)),
    }


def digits(name):
    """Training and test pictures and labels of one set."""
    file = {"MNIST": "mnist_10k.npz", "USPS": "usps.npz"}[name]
    with np.load(Path(FLAGS.digits, file)) as stored:
        return [stored[key] for key in ("x_train", "y_train", "x_test", "y_test")]


def from_to(source, target):
    """Fields of an experiment that learns one set of digits for another."""

    def fields(seed):
        (x, y, _, _), (unlabelled, _, *test) = digits(source), digits(target)
        some = np.random.default_rng(seed).permutation(len(x))[:_SOURCE]
        return {
            "data": (x[some], y[some]),
            "test_data": tuple(test),
            "target_data": unlabelled,
            "image_size": 28,
            "batch_size": 64,
        }

    return fields


def adapting(base):
    """The recipes of the groups that adapt."""
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
        rows = adapting(
            "fine_tune:unfreeze=3,decay=1,batch_norm=train,head_epochs=2,epochs=15,"
            "learning_rate=1e-3,augment=none,patience=0"
        )
        cnn = {"backbone": "small_cnn", "weights": "none"}
        source = {**cnn, "recipe": "scratch:augment=none,epochs=40"}
        for title, domains in (
            ("MNIST to USPS", ("MNIST", "USPS")),
            ("USPS to MNIST", ("USPS", "MNIST")),
        ):
            found[title] = Group(from_to(*domains), rows, source, {"backbone": _FIRST})
        found["digits: class, parity, greater than 4"] = several_tasks()
    if FLAGS.office:
        amazon, webcam = (str(Path(FLAGS.office, name)) for name in ("amazon", "webcam"))
        office = {"data": amazon, "test_data": webcam, "target_data": webcam, **mobilenet(160)}
        found["Office: amazon to webcam"] = Group(lambda seed: office, adapting("fine_tune"))
    for labels in (10, 30, 100) if FLAGS.flowers else ():
        found[f"flowers, {labels} labels a class"] = flowers(labels)
    return found | (cifar() if FLAGS.cifar10 else {})


def three_tasks(seed):
    """Fields of an experiment that learns class, parity and whether it is above 4, of 200."""
    x, y, x_test, y_test = digits("MNIST")
    some = np.random.default_rng(seed).permutation(len(x))[:_FEW]

    def tasks(labels):
        return np.stack([labels, labels % 2, labels > 4], axis=1).astype(np.int64)

    return {
        "data": (x[some], tasks(y[some])),
        "test_data": (x_test, tasks(y_test)),
        "problem_type": "multi_task",
        "backbone": "small_cnn",
        "weights": "none",
        "image_size": 28,
        "validation_fraction": 0.2,
    }


def only(task):
    """A function to the fields of an experiment for one of several tasks."""

    def changed(fields):
        parts = {key: (fields[key][0], fields[key][1][:, task]) for key in ("data", "test_data")}
        return {**fields, **parts, "problem_type": "single_label"}

    return changed


def several_tasks():
    """One network for all tasks, and one for each."""
    base = "scratch:augment=none,epochs=40"
    alone = "one network per task"
    rows = {alone: base, "fixed": base}
    rows |= {name: f"{base}+multi_task:balance={name}" for name in ("uncertainty", "gradnorm")}
    return Group(three_tasks, rows, apart={alone: tuple(map(only, range(3)))})


def flowers(labels):
    """Regularised ways of fine-tuning with few labels."""
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
    """A small student of a large teacher; and a small network with few labels."""
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
        "logits": f"{base}+distill:teacher={_FIRST}",
        "features": f"{base}+distill_features:teacher={_FIRST}",
        "logits, unlabelled too": f"{base}+distill:teacher={_FIRST},unlabelled=1",
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
        "CIFAR-10, 200 labels a class, student of 73,000 parameters": Group(
            lambda seed: student, taught, teacher
        ),
        "CIFAR-10, 40 labels a class, 6,000 pictures without": Group(lambda seed: few, unlabelled),
    }


@dataclass(frozen=True)
class Group:
    """Rows of a table.

    Attributes:
      fields: of the experiments, a function of the seed.
      rows: name to recipe.
      first: fields that differ in a run that is trained first for each seed.
      then: fields of the rows that may name that run.
      apart: row to functions of the fields: it trains once for each, and has their mean accuracy.
    """

    fields: Callable
    rows: dict
    first: dict = field(default_factory=dict)
    then: dict = field(default_factory=dict)
    apart: dict = field(default_factory=dict)


class Bench:
    """Trains rows, and keeps what a group trains first."""

    def __init__(self, folder):
        self.folder, self.firsts, self.count = folder, {}, 0

    def row(self, title, group, name, seed):
        """What is measured of a row with a seed."""
        recipe, changes = group.rows[name], group.apart.get(name)
        if changes:
            return self.measure_apart(group, recipe, changes, seed)
        return self.measure(title, group, recipe, seed)

    def measure(self, title, group, recipe, seed):
        """One training, as a user would have it."""
        fields = group.fields(seed)
        if group.first and (title, seed) not in self.firsts:
            first = self.train({**fields, **group.first}, seed)
            self.firsts[title, seed] = first
        named = {**group.then, "recipe": recipe}
        if group.first:
            where = str(self.firsts[title, seed].workdir)
            named = {key: text.replace(_FIRST, where) for key, text in named.items()}
        run = self.train({**fields, **named}, seed)
        result, planned = run.result, len(run.experiment.recipe.phases)
        # Not of what was done again without the target.
        judged = [phase["judged"] for phase in result["phases"][:planned] if "judged" in phase]
        first = self.firsts[title, seed].result["test"]["accuracy"] if group.first else None
        return {
            "accuracy": result["test"]["accuracy"],
            "examples": result["examples"],
            "validation": result["validation"].get("accuracy"),
            "first": first,
            "seconds": result["seconds"]["total"],
            **({"judged": judged[-1]} if judged else {}),
            **(
                {"tasks": [each["test"]["accuracy"] for each in result["tasks"].values()]}
                if "tasks" in result
                else {}
            ),
        }

    def measure_apart(self, group, recipe, changes, seed):
        """The mean of several trainings, each for a part of what the others do at once."""
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
        """A run in a folder of its own."""
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
        line = f"episodes: {name}"
        if folder and re.search(FLAGS.only, line):
            experiment = tftransfer.Experiment(data=folder, **mobilenet(160))
            rows = tftransfer.episodes(experiment)
            print(line, *table_of_episodes(rows), sep="\n", flush=True)
            write_results("methods", {line: {"episodes": rows}}, sys.argv)


def figures(done):
    """Accuracy and seconds in words."""
    accuracy = interval([run["accuracy"] for run in done])
    return f"{said(*accuracy)}  {np.mean([run['seconds'] for run in done]):.0f} s"


def run_all():
    """Every row that is asked for and not there yet."""
    bench = Bench(Path(tempfile.mkdtemp()))
    for title, group in groups().items():
        for name, recipe in group.rows.items():
            line = f"{title}: {name}"
            one = functools.partial(bench.row, title, group, name)
            runs_of("methods", line, one, FLAGS, figures, recipe=recipe)
    shutil.rmtree(bench.folder)


def tables():
    """`docs/methods.md`, from the stored figures."""
    stored = stored_results("methods")
    few = {k: v["measured"]["episodes"] for k, v in stored.items() if k.startswith("episodes: ")}
    titles = dict.fromkeys(line.rpartition(": ")[0] for line in stored if line not in few)
    text = Path(__file__).with_name("methods_head.md").read_text().rstrip().splitlines()
    for title in titles:
        rows = {
            k.rpartition(": ")[2]: v["measured"]
            for k, v in stored.items()
            if k.rpartition(": ")[0] == title
        }
        text += ["", f"## {title}", "", *table(rows), *chosen(rows)]
    for name, rows in few.items():
        text += ["", f"## Few labels: {name.partition(': ')[2]}", "", *table_of_episodes(rows)]
    for line, found in stored_results("meta_learning").items():
        text += ["", f"## Few labels: {line}", "", *table_of_ways(found["measured"]["runs"])]
    path = Path(__file__).parents[1] / "docs" / "methods.md"
    path.write_text("\n".join(text) + "\n")
    print(path)


def chosen(rows):
    """What `compare` would have chosen for the target domain, seed by seed; nothing elsewhere."""
    if not any("judged" in run for row in rows.values() for run in row["runs"]):
        return []
    alone = rows["source only"]["runs"]
    count = round(_VALIDATION * (_SOURCE if alone[0]["first"] else _SHOP))
    picked, errors, best = [], [], []
    for seed in range(len(alone)):
        runs = {name: row["runs"][seed] for name, row in rows.items()}
        # The figures of what was undone are not those of the network that was kept.
        runs = {
            name: run
            for name, run in runs.items()
            if name == "source only" or run["accuracy"] != alone[seed]["accuracy"]
        }
        judged = {name: run["judged"] for name, run in runs.items()}
        right = {name: run["validation"] for name, run in runs.items()}
        picked.append(runs[best_run(judged, right, count)]["accuracy"])
        both = {name: right[name] + judged[name]["reverse_validation"] for name in runs}
        errors.append(runs[max(both, key=both.get)]["accuracy"])
        best.append(max(run["accuracy"] for run in runs.values()))
    return [
        "",
        "Of these rows, chosen for each seed without a label of the target, as `compare` does: "
        f"{said(*interval(picked))}; by the errors on the source and in reverse validation alone "
        f"{said(*interval(errors))}; with the labels in hand {said(*interval(best))}.",
    ]


def table(rows):
    """Lines of Markdown."""
    adapts = any("judged" in run for row in rows.values() for run in row["runs"])
    tasks = max(len(row["runs"][0].get("tasks", ())) for row in rows.values())
    more = " domain gap | reverse validation | frequencies apart |" if adapts else ""
    more += "".join(f" task {number + 1} |" for number in range(tasks))
    lines = [
        f"| method | accuracy, 95 % interval | seeds | seconds |{more} recipe |",
        "|---|---|---|---|" + "---|" * (3 * adapts + tasks) + "---|",
    ]
    for name, row in rows.items():
        runs = row["runs"]
        mean, half = interval([run["accuracy"] for run in runs])
        cells = [
            name,
            said(mean, half),
            len(runs),
            f"{np.mean([run['seconds'] for run in runs]):.0f}",
        ]
        if adapts:
            judged = [run["judged"] for run in runs]
            for key in ("domain_gap", "reverse_validation", "moved"):
                cells.append(f"{np.mean([each[key] for each in judged]):.2f}")
        cells += [f"{mean:.3f}" for mean in np.mean([run.get("tasks", []) for run in runs], axis=0)]
        recipe = row["recipe"].replace(_FIRST, "RUN")
        lines.append("| " + " | ".join(map(str, cells)) + f" | `{recipe}` |")
    return lines


def main(argv):
    del argv
    if FLAGS.tables:
        tables()
    else:
        run_all()
        episodes()


if __name__ == "__main__":
    app.run(main)
