"""Reads inputs whose structure is mutated at random, and compares the reading with what was meant.

    python benchmarks/inputs.py

Each input is a folder, table, archive or Python value with known labels; names, nesting,
encodings, dtypes and columns are mutated by a seed. An outcome is `as meant`, `refused` (an error
of two lines), `shown` (another reading, which a line of the plan names), `silent` (another reading
without such a line) or `traceback`. Prints a table and writes `benchmarks/results/inputs.json`.
With --seed=N it prints that input only.
"""

import collections
import csv
import dataclasses
import io
import json
import shutil
import sys
import tempfile
import traceback
import zipfile
from pathlib import Path

import numpy as np
from absl import app, flags
from PIL import Image
from results import write_results

import tftransfer
from tftransfer.core.experiment import Experiment
from tftransfer.data.examples import UNLABELLED
from tftransfer.data.understanding import understood
from tftransfer.readers.load import read_examples
from tftransfer.utils.console import set_verbosity

FLAGS = flags.FLAGS
flags.DEFINE_integer("count", 500, "number of inputs")
flags.DEFINE_integer("seed", -1, "only this input, with its lines; -1 for all")

NAMES = [
    ["cat", "dog", "fish"],
    ["0", "1", "2"],
    ["007", "042", "100"],
    ["a|b", "*star*", "<b>"],
    ["$", "$$", "US$_to_EU$"],
    ["rosé", "œillet", "naïve"],
    ["да", "нет", "может"],
    ["-x", "--data", "-"],
    ["None", "nan", "null"],
    ["true", "false", "maybe"],
    ["valid", "invalid", "other"],
    ["猫", "犬", "魚"],
    ["Yes", "No", "NA"],
    ["with space", "with,comma", "with;semicolon"],
    ["train", "car", "plane"],
    ["A", "a2", "B"],
    ["1.5", "2.5", "3.5"],
    ["x" * 120, "y" * 120, "z"],
    ["[1]", "(2)", "{3}"],
]
ENDINGS = ["\r\n", "\n", "\r"]
JUNK = [
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "@eaDir/a.jpg",
    ".cache/a.png",
    "__MACOSX/._a.png",
    ".ipynb_checkpoints/a.png",
    "$RECYCLE.BIN/a.png",
    ".dvc/config",
    ".git/HEAD",
    "._a.png",
    "@__thumb/a.png",
    "node_modules/a.png",
    "a.png.crdownload",
]
WESTERN = ["le garçon préféré a été là", "schöne grüne Bäume über Straßen", "el niño comió aquí"]
DATES = ["2024-01-{:02}", "{}.12.2023", "{}/1/24"]
SENTENCES = ["a good film", "what a bad day, really", "the weather; nothing else", "it's “fine”"]


@dataclasses.dataclass
class Meant:
    """What the author of an input means: the problem type and how often each label occurs."""

    problem_type: str
    counts: collections.Counter
    mutations: list


class Author:
    """Makes an input and its meaning from a seed."""

    def __init__(self, seed, folder):
        self.rng, self.folder, self.mutations = np.random.default_rng(seed), folder, []
        self.legacy = []
        names = NAMES[self.rng.integers(len(NAMES))]
        self.classes = list(names)

    def maybe(self, name, chance=0.25):
        """Draws whether to mutate, and notes it."""
        drawn = self.rng.random() < chance
        if drawn:
            self.mutations.append(name)
        return drawn

    def choose(self, options):
        """Draws one of the options, and notes it."""
        chosen = options[self.rng.integers(len(options))]
        self.mutations.append(str(chosen))
        return chosen

    def image(self, path):
        """Writes an image of random pixels."""
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.rng.integers(0, 255, (12, 12, 3)).astype(np.uint8)).save(
            path, format="PNG"
        )
        return path

    def meant(self, problem_type, labels):
        """Returns the meaning of labels, one for each time that it occurs."""
        return Meant(str(problem_type), collections.Counter(labels), self.mutations)

    def class_folder(self):
        """A folder for each class, perhaps inside of others, with leftovers of systems."""
        root = top = self.folder / "data"
        for _ in range(self.rng.integers(0, 3) if self.maybe("nested") else 0):
            root = root / "photos"
        labels = []
        splits = ["train", "test"] if self.maybe("split folders", 0.2) else [""]
        for split in splits:
            for name in self.classes:
                for number in range(self.rng.integers(8, 14)):
                    self.image(root / split / name / f"{number}.png")
                    labels.append(name)
        for leftover in JUNK:
            if self.maybe(leftover, 0.15):
                (root / leftover).parent.mkdir(parents=True, exist_ok=True)
                (root / leftover).write_bytes(b"junk")
        if len(splits) > 1 and self.maybe("files of a split without a class", 0.3):
            for number in range(3):
                self.image(root / "test" / f"{number}.png")
        if self.maybe("text files"):
            for name in self.classes:
                for number in range(8):
                    (root / splits[0] / name / f"{number}.txt").write_text("a caption")
        return top, self.meant("single_label", labels)

    def archive(self):
        """The same folder as a zip, as several systems write it."""
        top, meant = self.class_folder()
        backslash = self.maybe("backslashes")
        path = self.folder / "data.zip"
        with zipfile.ZipFile(path, "w") as file:
            for each in sorted(top.rglob("*")):
                if each.is_file():
                    name = str(each.relative_to(top))
                    info = zipfile.ZipInfo("placeholder")
                    info.filename = name.replace("/", "\\") if backslash else name
                    file.writestr(info, each.read_bytes())
        return path, meant

    def rows(self, count=36):
        """Labels of the rows and how a table writes them: cells by column."""
        names = [self.classes[k % len(self.classes)] for k in range(count)]
        kinds = ["names", "one column each", "numbers", "decimal comma", "joined", "flag"]
        kinds += ["thousands", "unit", "label first"]
        kind = self.choose(kinds)
        if kind == "names":
            return "single_label", names, {"label": names}
        if kind == "one column each":
            first = self.classes[0]
            cells = {f"is {c}": [int(c in (n, first)) for n in names] for c in self.classes}
            counts = [c for n in names for c in {n, first}]
            return "multi_label", [f"is {c}" for c in counts], cells
        if kind == "joined":
            joined = self.choose([",", "|", " "])
            if any(joined in each for each in self.classes):
                self.classes = ["red", "shiny", "new"]
                names = [self.classes[k % 3] for k in range(count)]
            sets = [sorted({n, self.classes[self.rng.integers(3)]}) for n in names]
            cells = {"tags": [joined.join(each) for each in sets]}
            return "multi_label", [c for each in sets for c in each], cells
        if kind == "label first":
            return "single_label", names, {"first label": names}
        if kind in ("thousands", "unit"):
            amounts = [1000 * k + 123 for k in self.rng.permutation(count)]
            separator = self.choose([",", " ", "'", "\u202f"])
            cells = [f"{each:,}".replace(",", separator) for each in amounts]
            cells = [f"{each} kg" for each in amounts] if kind == "unit" else cells
            return "regression", ["numbers"], {"price": cells}
        if kind == "flag":
            values = [k % 2 for k in range(count)]
            return "single_label", [str(v) for v in values], {"spam": values}
        numbers = np.round(self.rng.normal(0, 100, count), 2)
        cells = [str(n).replace(".", ",") if kind == "decimal comma" else str(n) for n in numbers]
        return "regression", ["numbers"], {"price": cells}

    def table(self):
        """A table of images or texts."""
        problem_type, labels, columns = self.rows()
        count = len(next(iter(columns.values())))
        if self.maybe("texts", 0.4):
            first = "text"
            sentences = self.choose([SENTENCES, WESTERN])
            values = [f"{sentences[k % len(sentences)]} {k}" for k in range(count)]
            if sentences is WESTERN and "".join(self.classes).isascii():
                self.legacy = ["cp1252", "mac_roman", "cp850"]
        else:
            first = self.choose(["path", "image", "filename"])
            values = [str(self.image(self.folder / "images" / f"{k}.png")) for k in range(count)]
            values = [self._spelled(value) for value in values]
        if self.maybe("column of notes", 0.15):
            columns["notes"] = [f"note {k}" for k in range(count)]
        if self.maybe("a column named part", 0.15):
            columns["part"] = [f"part {k % 3}" for k in range(count)]
        if self.maybe("a column of dates", 0.15):
            date = self.choose(DATES)
            columns["day"] = [date.format(1 + k % 12) for k in range(count)]
        if self.maybe("a column of splits with another name", 0.15):
            columns["dataset"] = ["train" if k % 3 else "test" for k in range(count)]
        columns = {first: values} | columns
        if "first label" in columns:
            columns = {"label": columns.pop("first label")} | columns
        return self.written(columns), self.meant(problem_type, labels)

    def written(self, columns):
        """The path of a table in one of the forms in which programs save it."""
        form = self.choose(["csv", "csv", "csv", "json", "jsonl", "columns", "inside"])
        rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
        if form != "csv":
            texts = {
                "json": lambda: json.dumps(rows),
                "jsonl": lambda: "\n".join(map(json.dumps, rows)),
                "columns": lambda: json.dumps(columns),
                "inside": lambda: json.dumps({"version": 1, "rows": rows}),
            }
            path = self.folder / ("table.jsonl" if form == "jsonl" else "table.json")
            path.write_text(texts[form](), encoding="utf-8")
            return path
        delimiter = self.choose([",", ";", "\t", "|"])
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, lineterminator=self.choose(ENDINGS))
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))
        line = f"sep={delimiter}\r\n" * (delimiter != "\t" and self.maybe("sep=", 0.1))
        path = self.folder / ("table.tsv" if delimiter == "\t" else "table.csv")
        encoding = self.choose(["utf-8", "utf-8-sig", "utf-16", *self.legacy])
        path.write_bytes((line + text.getvalue()).encode(encoding, "replace"))
        return path

    def _spelled(self, value):
        path = Path(value)
        spelled = [
            value,
            str(path.relative_to(self.folder)),
            f"./{path.relative_to(self.folder)}",
            str(path.relative_to(self.folder)).replace("/", "\\"),
            f" {path.relative_to(self.folder)}",
            path.name,
        ]
        if not hasattr(self, "spelling"):
            self.spelling = self.rng.integers(len(spelled))
            self.mutations.append(f"spelling {self.spelling}")
        return spelled[self.spelling]

    def values(self):
        """Python values: images and labels in memory."""
        import pandas as pd
        import tensorflow as tf

        count = 36
        images = self.rng.integers(0, 255, (count, 12, 12, 3)).astype(np.uint8)
        kind = self.choose(["uint8", "float 0 to 255", "float 0 to 1", "list", "paths", "strings"])
        data = {
            "uint8": lambda: images,
            "float 0 to 255": lambda: images.astype(np.float32),
            "float 0 to 1": lambda: images.astype(np.float32) / 255,
            "list": lambda: list(images),
            "paths": lambda: [self.image(self.folder / f"{k}.png") for k in range(count)],
            "strings": lambda: [str(self.image(self.folder / f"{k}.png")) for k in range(count)],
        }[kind]()
        numbers = np.arange(count) % 3
        how = self.choose(["names", "int64", "uint8", "one-hot", "smoothed", "Series", "numbers"])
        single = [str(number) for number in numbers]
        names = [self.classes[number % len(self.classes)] for number in numbers]
        labels, meant = {
            "names": (names, ("single_label", names)),
            "int64": (numbers, ("single_label", single)),
            "uint8": (numbers.astype(np.uint8), ("single_label", single)),
            "one-hot": (np.eye(3)[numbers], ("single_label", single)),
            "smoothed": (0.9 * np.eye(3)[numbers] + 0.1 / 3, ("single_label", single)),
            "Series": (pd.Series(names, index=np.arange(count) + 7), ("single_label", names)),
            "numbers": (self.rng.normal(0, 1, count), ("regression", ["numbers"])),
        }[how]
        value = (data, labels)
        if kind != "strings" and self.maybe("list of dictionaries", 0.2):
            rows = zip(list(data), list(labels))
            names = self.choose([("image", "label"), ("file", "class")])
            return [dict(zip(names, row)) for row in rows], self.meant(*meant)
        if kind.startswith(("uint8", "float")) and how != "Series" and self.maybe("tf.data"):
            value = tf.data.Dataset.from_tensor_slices((data, np.asarray(labels)))
            batches = self.choose(["batch", "ragged_batch", "padded_batch", ""])
            value = getattr(value, batches)(8) if batches else value
        return value, self.meant(*meant)

    def sequences(self):
        """Python values: clips of several lengths or texts, and their labels."""
        import tensorflow as tf

        count = 36
        names = [self.classes[k % len(self.classes)] for k in range(count)]
        if self.maybe("texts", 0.5):
            inputs, key = [f"{SENTENCES[k % 4]} {k}" for k in range(count)], "text"
            spec = tf.TensorSpec([], tf.string)
        else:
            sizes = 900 + 100 * self.rng.integers(0, 3, count)
            inputs, key = [self.rng.normal(0, 0.1, n).clip(-1, 1) for n in sizes], "audio"
            spec = tf.TensorSpec([None], tf.float64)
        form = self.choose(["pair", "dictionaries", "columns", "pairs", "tf.data", "generator"])
        rows = list(zip(inputs, names))
        data = {
            "pair": lambda: (inputs, names),
            "dictionaries": lambda: [{key: x, "label": name} for x, name in rows],
            "columns": lambda: {key: inputs, "label": names},
            "pairs": lambda: rows,
            "generator": lambda: ({key: x, "label": name} for x, name in rows),
            "tf.data": lambda: tf.data.Dataset.from_generator(
                lambda: iter(rows), output_signature=(spec, tf.TensorSpec([], tf.string))
            ),
        }[form]()
        if form == "tf.data":
            batches = self.choose(["ragged_batch", "padded_batch", ""])
            data = getattr(data, batches)(8) if batches else data
        return data, self.meant("single_label", names)


KINDS = ("class_folder", "archive", "table", "values", "sequences")


def found(examples):
    """What the package understood, in the form of the meaning."""
    labels = examples.labels[~np.isin(examples.splits, UNLABELLED)]
    if not examples.problem_type.has_classes:
        return str(examples.problem_type), collections.Counter({"numbers": 1})
    totals = examples.problem_type.targets(labels, examples.classes).sum(axis=0)
    counts = {name: int(total) for name, total in zip(examples.classes, totals) if total}
    return str(examples.problem_type), collections.Counter(counts)


def outcome(seed, folder):
    """Returns the kind of the input, how it was understood, and the lines about it."""
    author = Author(seed, folder)
    kind = KINDS[seed % len(KINDS)]
    value, meant = getattr(author, kind)()
    try:
        value = str(value) if isinstance(value, Path) else value
        experiment = Experiment(data=value, backbone="small_cnn", weights="none")
        examples = read_examples(experiment, None, lambda *_: None)
    except tftransfer.UserError as error:
        return kind, "refused", [str(error)], meant
    except Exception:
        return kind, "traceback", [traceback.format_exc()], meant
    lines = [f"{topic}: {text}" for topic, text in understood(examples)]
    lines += examples.warnings
    read = found(examples)
    if read == (meant.problem_type, meant.counts):
        return kind, "as meant", lines, meant
    lines.append(f"read {read[0]} {dict(read[1])}")
    # Such a line names the flag that selects another reading, or the form of the cells.
    shown = any("--" in line or "=" in line or "each cell" in line for line in lines[:-1])
    return kind, "shown" if shown else "silent", lines, meant


def main(_):
    set_verbosity("error")
    seeds = range(FLAGS.count) if FLAGS.seed < 0 else [FLAGS.seed]
    table = {kind: collections.Counter() for kind in KINDS}
    for seed in seeds:
        folder = Path(tempfile.mkdtemp())
        kind, result, lines, meant = outcome(seed, folder)
        table[kind][result] += 1
        if result in ("traceback", "silent") or FLAGS.seed >= 0:
            print(f"seed {seed}, {kind}: {result}; meant {meant}")
            print(*(f"    {line}" for line in lines), sep="\n", flush=True)
        elif result in ("refused", "shown"):
            print(f"seed {seed}, {kind}: {result}; {meant.mutations}")
            print(*(f"    {line}" for line in lines), sep="\n", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    results = ("as meant", "shown", "refused", "silent", "traceback")
    print("| input | " + " | ".join(results) + " |")
    print("| --- |" + " ---: |" * len(results))
    for kind in KINDS:
        print(f"| {kind} | " + " | ".join(str(table[kind][each]) for each in results) + " |")
    if FLAGS.seed < 0:
        write_results("inputs", {kind: {"measured": dict(table[kind])} for kind in KINDS}, sys.argv)


if __name__ == "__main__":
    app.run(main)
