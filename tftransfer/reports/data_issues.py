"""Rules on the data of a run: their labels, their splits, and how many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from tftransfer.data.examples import Examples
from tftransfer.data.near_copies import near_copies_across
from tftransfer.reports.facts import Facts, Issue
from tftransfer.utils.console import printable
from tftransfer.utils.wording import listed

# Training examples of a class, below which there are few.
_FEW_EXAMPLES = 20
# Validation examples, below which the selected epoch and the temperature are a matter of chance.
_FEW_VALIDATION = 20
# Largest share of the examples that a larger validation split may take.
_MAX_VALIDATION_FRACTION = 0.4
# Of so many examples of a class the split holds out one, however small the fraction.
_HELD_OUT_ANYWAY = 3
_OF_TWO = 0.3
# Width of a 95 % interval from which the test split is too small.
_WIDE_INTERVAL = 0.1
# How many times more examples than the smallest class the largest one has.
_IMBALANCE = 10


def contradictory_labels(facts: Facts) -> Iterator[Issue]:
    """Contents that have several labels."""
    labels: dict[str, set[str]] = defaultdict(set)
    for sha, label in zip(facts.examples.sha256, facts.examples.labels):
        known = facts.examples.problem_type.has_exclusive_classes and (np.asarray(label) >= 0).all()
        if known:
            labels[sha].add(str(label.tolist()))
    count = sum(len(each) > 1 for each in labels.values())
    if count:
        subject = "1 content has" if count == 1 else f"{count:,} contents have"
        yield Issue(f"{subject} more than one label", f"correct them: {facts.commands.inspect()}")


def leaking_examples(facts: Facts) -> Iterator[Issue]:
    """Contents of the test split that the run trained on."""
    examples = facts.examples
    if not len(examples.sha256):
        return
    contents = {
        split: {examples.sha256[i] for i in examples.where(split)} for split in ("train", "test")
    }
    both = len(contents["train"] & contents["test"])
    if both:
        yield Issue(
            f"{both:,} contents of the test split are also in the training split",
            f"remove them: {facts.commands.inspect()}",
        )


def leaking_near_copies(facts: Facts) -> Iterator[Issue]:
    """Examples of the test split that are near copies of others."""
    splits = facts.examples.splits
    pairs = near_copies_across(facts.examples)
    count = len({a if splits[a] == "test" else b for a, b in pairs if "test" in splits[[a, b]]})
    if count:
        subject = (
            "1 test example is a near copy"
            if count == 1
            else f"{count:,} test examples are near copies"
        )
        yield Issue(
            f"{subject} of training or validation examples",
            f"remove one of each pair: {facts.commands.inspect()}",
        )


def class_without_examples(facts: Facts) -> Iterator[Issue]:
    """Classes that were never trained or never tested."""
    if not facts.examples.problem_type.has_classes:
        return
    untrained = np.flatnonzero(facts.counts("train") == 0).tolist()
    if untrained:
        yield Issue(
            f"no training example is of {_classes(facts.examples, untrained)}",
            "label examples of it, or remove the class from the data, then "
            f"{facts.commands.train('more')}",
        )
    rows = facts.result.get("per_class", ())
    untested = [number for number, row in enumerate(rows) if row.get("support") == 0]
    if facts.evaluated and untested:
        yield Issue(
            f"no evaluated example is of {_classes(facts.examples, untested)}, so nothing is known "
            "of it",
            f"label more examples of it, then {facts.commands.train('more')}",
        )


def few_validation_examples(facts: Facts) -> Iterator[Issue]:
    """Too few validation examples to choose an epoch and to calibrate."""
    count = len(facts.examples.where("val"))
    selects = any(phase.get("epochs") for phase in facts.result.get("phases", ()))
    if count >= _FEW_VALIDATION or not selects:
        return
    if not count:
        text = "without validation examples the last epoch was kept"
    else:
        noun = "examples decide" if count > 1 else "example decides"
        calibrated = facts.examples.problem_type.has_classes
        more = " and how scores are calibrated" if calibrated else ""
        text = f"{count} validation {noun} which epoch is kept{more}"
    yield Issue(text, _larger_validation_split(facts, count))


def _larger_validation_split(facts: Facts, count: int) -> str:
    total = count + len(facts.examples.where("train"))
    fraction = np.ceil(100 * _FEW_VALIDATION / max(total, 1)) / 100
    planned = facts.commands.experiment.validation_fraction * total
    ours = abs(count - planned) <= max(2, len(facts.examples.classes))
    if facts.examples.problem_type.has_exclusive_classes:
        most = (facts.counts("train") + facts.counts("val")).max(initial=0)
        if most < _HELD_OUT_ANYWAY:  # of two, a larger fraction holds out one
            fraction = max(fraction, _OF_TWO) if most > 1 else np.inf
    if ours and fraction <= _MAX_VALIDATION_FRACTION:
        return facts.commands.train("validated", validation_fraction=round(float(fraction), 2))
    return f"label more examples, then {facts.commands.train('more')}"


def few_test_examples(facts: Facts) -> Iterator[Issue]:
    """An interval that too few test examples leave wide."""
    if not facts.evaluated:
        return
    interval = facts.result["test"]["intervals"].get(facts.metric)
    if interval is None or interval[1] - interval[0] > _WIDE_INTERVAL:
        kind = "validation" if facts.result["split"] == "val" else "test"
        yield Issue(
            f"the interval of {facts.result['examples']:,} {kind} examples is wide",
            f"label more examples, then {facts.commands.train('more')}",
        )


def imbalance(facts: Facts) -> Iterator[Issue]:
    """A class with far fewer training examples than the others."""
    if not facts.examples.problem_type.has_exclusive_classes or facts.examples.tasks:
        return
    counts = facts.counts("train")
    smallest, mean = int(counts.argmin()), float(counts.mean())
    few = counts[smallest] < _FEW_EXAMPLES and counts[smallest] < mean / 2
    if counts[smallest] and (few or counts.max() >= _IMBALANCE * counts[smallest]):
        name = printable(facts.examples.classes[smallest])
        yield Issue(
            f"class {name} has {counts[smallest]:.0f} training examples, {mean:.0f} is the mean "
            "over classes",
            f"add examples of it{_balanced(facts)}",
        )


def _balanced(facts: Facts) -> str:
    """The command that weights the classes, if the recipe has that option and does not use it."""
    command = facts.train_with_option("balanced", "class_weight", "balanced")
    return f", or {command}" if command else f", then {facts.commands.train('more')}"


def few_training_examples(facts: Facts) -> Iterator[Issue]:
    """Few training examples of every class."""
    if not facts.examples.problem_type.has_exclusive_classes or facts.examples.tasks:
        return
    counts = facts.counts("train")
    mean = float(counts.mean())
    if mean < _FEW_EXAMPLES and counts.min() >= mean / 2:
        yield Issue(
            f"each class has few training examples, {mean:.0f} on average",
            _more_labels(facts),
        )


def _more_labels(facts: Facts) -> str:
    if facts.commands.experiment.labels_per_class:
        return facts.commands.train("labeled", labels_per_class=0)
    return f"label more examples, then {facts.commands.train('more')}"


def _classes(examples: Examples, numbers: Sequence[int]) -> str:
    names = listed([printable(examples.classes[number]) for number in numbers])
    return f"class {names}" if len(numbers) == 1 else f"the classes {names}"
