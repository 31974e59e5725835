"""Measures recipes on sentences (SST-2), over several seeds.

    python benchmarks/text.py --sst2=sst2 --vectors=minilm_words_12k_50d.txt --minilm=model

`sst2` holds train.tsv and test.tsv, `model` the encoder all-MiniLM-L6-v2 in Hugging Face's format.
Where a row has several recipes, the best on the validation split counts, for each seed; nothing is
selected on the test sentences. Prints rows and writes `benchmarks/results/text.json`. Seeds that
are stored already are not run again without --again.
"""

import functools
import gc
import json
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import exported
import keras
import numpy as np
from absl import app, flags
from results import interval, run_missing_seeds, with_interval
from selection import best_by_validation, best_layer

import tftransfer
from tftransfer.training import phase_inputs, phase_loop

FLAGS = flags.FLAGS
flags.DEFINE_string("sst2", "", "folder of train.tsv and test.tsv")
flags.DEFINE_string("vectors", "", "file of word vectors")
flags.DEFINE_string("minilm", "", "folder of the encoder")
flags.DEFINE_string("only", "", "run only the rows whose name matches this regular expression")
flags.DEFINE_integer("seeds", 5, "runs per row")
flags.DEFINE_boolean("again", False, "run seeds that are stored already")

_LENGTH = 40
_SOLVED = "few_shot:solve=logistic"
_ALL_STAGES = "fine_tune:unfreeze=7,decay=0.85,head_epochs=5"
_FINE_TUNED = f"{_ALL_STAGES},epochs=3,learning_rate=2e-4"
_FINE_TUNED_FEW = f"{_ALL_STAGES},epochs={{}},learning_rate=1e-4,label_smoothing=0.0"
_SCRATCH = "scratch:epochs={},learning_rate=1e-4,warmup=0.1"


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
      recipes: The best of them on the validation split counts.
      fields: Fields of the experiment.
      selects_layer: Whether the backbone ends at the stage with the best cross-validated probe.
    """

    recipes: tuple
    fields: dict = field(default_factory=dict)
    selects_layer: bool = False


def sst2():
    """Fields of an experiment: the data."""
    return {
        "data": str(Path(FLAGS.sst2, "train.tsv")),
        "test_data": str(Path(FLAGS.sst2, "test.tsv")),
    }


def rows():
    """Name of a row to its `Row`."""
    words = {"backbone": "word_vectors", "weights": FLAGS.vectors}
    minilm = {"backbone": FLAGS.minilm, "length": _LENGTH}
    linear = "feature_extraction:learning_rate={},dropout=0.0,label_smoothing=0.0"
    named = {
        "word vectors, frozen": Row((_SOLVED, linear.format("3e-2")), words),
        "word vectors, SIF, frozen": Row(
            (_SOLVED, linear.format("3e-2")), {**words, "backbone": "word_vectors:pool=sif"}
        ),
        "MiniLM, frozen": Row((_SOLVED, linear.format("3e-3")), minilm),
        "MiniLM, frozen, best layer": Row(
            (_SOLVED, linear.format("3e-3")), minilm, selects_layer=True
        ),
        "MiniLM, fine-tuned": Row((_FINE_TUNED,), {**minilm, "validation_fraction": 0.05}),
        "MiniLM architecture from scratch": Row(
            (_SCRATCH.format(3),), {**minilm, "validation_fraction": 0.05}
        ),
        "words and a CNN from scratch": Row(
            ("scratch:epochs=5,learning_rate=1e-3",),
            {"backbone": "word_vectors:body=cnn", "weights": "none"},
        ),
    }
    for labels in (8, 64):
        few = {**minilm, "labels_per_class": labels, "validation_fraction": 0.0}
        epochs = 30 if labels == 8 else 15
        named |= {
            f"{labels} labels per class, frozen": Row((_SOLVED,), few),
            f"{labels} labels per class, frozen, unit vectors": Row(
                (_SOLVED,), {**few, "backbone": f"{FLAGS.minilm}:unit=1"}
            ),
            f"{labels} labels per class, fine-tuned": Row((_FINE_TUNED_FEW.format(epochs),), few),
            f"{labels} labels per class, MiniLM architecture from scratch": Row(
                (_SCRATCH.format(epochs),), few
            ),
            f"{labels} labels per class, SetFit": Row((f"{_SOLVED}+setfit",), few),
        }
    return named


def exports():
    """Name of a row to the fields of the experiment whose export is compared."""
    few = {"labels_per_class": 64, "validation_fraction": 0.0, "length": _LENGTH}
    return {
        "MiniLM, strings in": {**sst2(), **few, "backbone": FLAGS.minilm, "recipe": _SOLVED},
        "word vectors, strings in": {
            **sst2(),
            **few,
            "backbone": "word_vectors",
            "weights": FLAGS.vectors,
            "recipe": _SOLVED,
        },
    }


class Bench:
    """Trains, each time into a new folder."""

    def __init__(self):
        self.folder, self.count = Path(tempfile.mkdtemp()), 0

    def train(self, fields, seed, recipe, cache_dir=""):
        """Metrics of one training, as `tftransfer train` does it."""
        self.count += 1
        experiment = tftransfer.Experiment(**sst2(), recipe=recipe, seed=seed, **fields)
        began = time.monotonic()
        run = tftransfer.train(
            experiment, self.folder / str(self.count), export=False, cache_dir=cache_dir
        )
        keras.backend.clear_session()
        gc.collect()
        test = run.result["test"]
        return {
            "recipe": recipe,
            "accuracy": test["accuracy"],
            "macro_f1": test["macro_f1"],
            "examples": run.result["examples"],
            "validation": run.result.get("validation", {}).get("accuracy"),
            "seconds": time.monotonic() - began,
        }

    def row(self, row, seed):
        """The best recipe of the row by validation, with the seconds of all of them."""
        fields, layer = row.fields, {}
        if row.selects_layer:
            layer = {"layer": best_layer({**sst2(), **fields}, seed)}
            fields = {**fields, "backbone": f"{fields['backbone']}:layer={layer['layer']}"}
        runs = [self.train(fields, seed, recipe) for recipe in row.recipes]
        return best_by_validation(runs) | layer

    def padding(self, seed):
        """Seconds of an epoch on sentences at full length, and without common padding."""
        fields = {"backbone": FLAGS.minilm, "labels_per_class": 320, "validation_fraction": 0.0}
        default, seconds = phase_inputs.padding_trimmer, {}
        for name, trimmer in (("full length", lambda *_: None), ("without padding", default)):
            phase_inputs.padding_trimmer = phase_loop.padding_trimmer = trimmer
            self.train(fields, seed, "fine_tune:unfreeze=7,head_epochs=1,epochs=3")
            lines = (self.folder / str(self.count) / "metrics.jsonl").read_text().splitlines()
            seconds[name] = float(np.median([json.loads(line)["seconds"] for line in lines[1:]]))
        return {**seconds, "ratio": seconds["full length"] / seconds["without padding"]}

    def second_recipe(self, seed):
        """Seconds of a recipe that computes the features, and of the next one, which finds them."""
        fields = {"backbone": FLAGS.minilm, "length": _LENGTH}
        cache = str(self.folder / f"cache{seed}")
        first, second = (
            self.train(fields, seed, recipe, cache)["seconds"]
            for recipe in ("few_shot:solve=ridge", _SOLVED)
        )
        return {"first": first, "second": second, "ratio": first / second}


def accuracy_f1_and_seconds(runs):
    """Accuracy, macro F1 and seconds, as text."""
    accuracy, f1 = (interval([run[key] for run in runs]) for key in ("accuracy", "macro_f1"))
    seconds = np.mean([run["seconds"] for run in runs])
    return f"{with_interval(*accuracy)}  F1 {with_interval(*f1)}  {seconds:.0f} s"


def main(argv):
    bench = Bench()
    for name, row in rows().items():
        run_missing_seeds(
            "text", name, lambda seed, row=row: bench.row(row, seed), FLAGS, accuracy_f1_and_seconds
        )
    for name, fields in exports().items():
        run_missing_seeds(
            "text",
            f"export: {name}",
            functools.partial(exported.compare_with_evaluate, fields),
            FLAGS,
            exported.describe,
        )
    run_missing_seeds(
        "text",
        "batches of similar lengths without padding, against full length",
        bench.padding,
        FLAGS,
        lambda runs: f"{np.median([run['ratio'] for run in runs]):.2f} times as fast",
    )
    run_missing_seeds(
        "text",
        "second recipe on the same text, against the first",
        bench.second_recipe,
        FLAGS,
        lambda runs: f"{np.mean([run['ratio'] for run in runs]):.1f} times as fast",
    )
    shutil.rmtree(bench.folder)


if __name__ == "__main__":
    app.run(main)
