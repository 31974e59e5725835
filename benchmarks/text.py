"""What each way of transferring is worth on sentences (SST-2), over several seeds.

    python benchmarks/text.py --sst2=sst2 --vectors=minilm_words_12k_50d.txt --minilm=model

`sst2` holds train.tsv and test.tsv, `model` the encoder all-MiniLM-L6-v2 in Hugging Face's format.
Where a row has several recipes, the one that is best on the validation split counts, for each seed;
nothing is chosen on the test sentences. Prints a table, and writes `benchmarks/results/text.json`;
what is there already is not run again unless --again.
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
from choosing import best_by_validation, best_layer
from results import interval, runs_of, said

import tftransfer
from tftransfer.training.trainer import Trainer

FLAGS = flags.FLAGS
flags.DEFINE_string("sst2", "", "folder of train.tsv and test.tsv")
flags.DEFINE_string("vectors", "", "file of word vectors")
flags.DEFINE_string("minilm", "", "folder of the encoder")
flags.DEFINE_string("only", "", "run only the rows whose name has this regular expression")
flags.DEFINE_integer("seeds", 5, "runs per row")
flags.DEFINE_boolean("again", False, "run rows that are there already")

_LENGTH = 40
_SOLVED = "few_shot:solve=logistic"
_ALL = "fine_tune:unfreeze=7,decay=0.85,head_epochs=5"
_TUNED = f"{_ALL},epochs=3,learning_rate=2e-4"
_TUNED_BY_FEW = f"{_ALL},epochs={{}},learning_rate=1e-4,label_smoothing=0.0"
_SCRATCH = "scratch:epochs={},learning_rate=1e-4,warmup=0.1"


@dataclass(frozen=True)
class Row:
    """Recipes of which the best on the validation split counts, and fields of the experiment.

    Attributes:
      ended_early: the backbone ends at the stage whose probe is best, by cross-validation.
    """

    recipes: tuple
    fields: dict = field(default_factory=dict)
    ended_early: bool = False


def sst2():
    """The data, as fields of an experiment."""
    return {
        "data": str(Path(FLAGS.sst2, "train.tsv")),
        "test_data": str(Path(FLAGS.sst2, "test.tsv")),
    }


def rows():
    """Name of a row to what it is."""
    words = {"backbone": "word_vectors", "weights": FLAGS.vectors}
    minilm = {"backbone": FLAGS.minilm, "length": _LENGTH}
    linear = "feature_extraction:learning_rate={},dropout=0.0,label_smoothing=0.0"
    found = {
        "word vectors, frozen": Row((_SOLVED, linear.format("3e-2")), words),
        "word vectors, SIF, frozen": Row(
            (_SOLVED, linear.format("3e-2")), {**words, "backbone": "word_vectors:pool=sif"}
        ),
        "MiniLM, frozen": Row((_SOLVED, linear.format("3e-3")), minilm),
        "MiniLM, frozen, best layer": Row(
            (_SOLVED, linear.format("3e-3")), minilm, ended_early=True
        ),
        "MiniLM, fine-tuned": Row((_TUNED,), {**minilm, "validation_fraction": 0.05}),
        "MiniLM's network from scratch": Row(
            (_SCRATCH.format(3),), {**minilm, "validation_fraction": 0.05}
        ),
        "words and a CNN from scratch": Row(
            ("scratch:epochs=5,learning_rate=1e-3",),
            {"backbone": "word_vectors:body=cnn", "weights": "none"},
        ),
    }
    for labels in (8, 64):
        few = {**minilm, "labels_per_class": labels, "validation_fraction": 0.0}
        longer = 30 if labels == 8 else 15
        found |= {
            f"{labels} labels a class, frozen": Row((_SOLVED,), few),
            f"{labels} labels a class, frozen, vectors of length 1": Row(
                (_SOLVED,), {**few, "backbone": f"{FLAGS.minilm}:unit=1"}
            ),
            f"{labels} labels a class, fine-tuned": Row((_TUNED_BY_FEW.format(longer),), few),
            f"{labels} labels a class, MiniLM's network from scratch": Row(
                (_SCRATCH.format(longer),), few
            ),
            f"{labels} labels a class, SetFit": Row((f"{_SOLVED}+setfit",), few),
        }
    return found


def exports():
    """Name to the fields of an experiment whose export is compared."""
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
    """Trains in a folder of its own."""

    def __init__(self):
        self.folder, self.count = Path(tempfile.mkdtemp()), 0

    def train(self, fields, seed, recipe, cache_dir=""):
        """Figures of one training, as a user would have it."""
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
        """The best of the row's recipes by validation; the seconds of all."""
        fields, layer = row.fields, {}
        if row.ended_early:
            layer = {"layer": best_layer({**sst2(), **fields}, seed)}
            fields = {**fields, "backbone": f"{fields['backbone']}:layer={layer['layer']}"}
        tried = [self.train(fields, seed, recipe) for recipe in row.recipes]
        return best_by_validation(tried) | layer

    def without_padding(self, seed):
        """Seconds of an epoch on sentences in their full length, and without common padding."""
        fields = {"backbone": FLAGS.minilm, "labels_per_class": 320, "validation_fraction": 0.0}
        kept, seconds = Trainer.shortener, {}
        for name, shortener in (("whole", lambda *_: None), ("shortened", kept)):
            Trainer.shortener = shortener
            self.train(fields, seed, "fine_tune:unfreeze=7,head_epochs=1,epochs=3")
            lines = (self.folder / str(self.count) / "metrics.jsonl").read_text().splitlines()
            seconds[name] = float(np.median([json.loads(line)["seconds"] for line in lines[1:]]))
        return {**seconds, "ratio": seconds["whole"] / seconds["shortened"]}

    def second_recipe(self, seed):
        """Seconds of a recipe whose features are to be computed, and of the next on the same."""
        fields = {"backbone": FLAGS.minilm, "length": _LENGTH}
        cache = str(self.folder / f"cache{seed}")
        first, second = (
            self.train(fields, seed, recipe, cache)["seconds"]
            for recipe in ("few_shot:solve=ridge", _SOLVED)
        )
        return {"first": first, "second": second, "ratio": first / second}


def figures(done):
    """Accuracy, F1 and seconds in words."""
    accuracy, f1 = (interval([run[key] for run in done]) for key in ("accuracy", "macro_f1"))
    seconds = np.mean([run["seconds"] for run in done])
    return f"{said(*accuracy)}  F1 {said(*f1)}  {seconds:.0f} s"


def main(argv):
    bench = Bench()
    for name, row in rows().items():
        runs_of("text", name, lambda seed, row=row: bench.row(row, seed), FLAGS, figures)
    for name, fields in exports().items():
        runs_of(
            "text",
            f"export: {name}",
            functools.partial(exported.as_evaluated, fields),
            FLAGS,
            exported.said,
        )
    runs_of(
        "text",
        "batches of alike lengths, cut where they end, against full length",
        bench.without_padding,
        FLAGS,
        lambda done: f"{np.median([run['ratio'] for run in done]):.2f} times as fast",
    )
    runs_of(
        "text",
        "second recipe on the same text, against the first",
        bench.second_recipe,
        FLAGS,
        lambda done: f"{np.mean([run['ratio'] for run in done]):.1f} times as fast",
    )
    shutil.rmtree(bench.folder)


if __name__ == "__main__":
    app.run(main)
