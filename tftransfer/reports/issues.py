"""What limits a run: a table of rules in the order of harm, none of which hides another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tftransfer.core.typing import Array, Result
from tftransfer.data.examples import Examples
from tftransfer.recipes import make_recipe
from tftransfer.reports.commands import Commands
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError

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
# Difference of F1 from the mean over classes, from which a class is named.
_WEAK_CLASS_F1 = 0.05
# How many times more examples than the smallest class the largest one has.
_IMBALANCE = 10
# Photographs and their mirror images differ by less, where the classes are the same.
_MIRROR_DIFFERENCE = 0.2
# Smallest difference of two accuracies that counts, whatever the number of examples.
_MIN_DIFFERENCE = 0.02
_STANDARD_ERRORS = 2
_MAX_LISTED = 5


class Issue(NamedTuple):
    """What limits a run.

    Attributes:
      text: The issue, without a period.
      step: What to do, usually a command.
    """

    text: str
    step: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rules read.

    Attributes:
      result: Content of `result.json` without the verdict.
      examples: Examples of the run.
      recipe: Name of the recipe.
      commands: Commands that follow the run.
    """

    result: Result
    examples: Examples
    recipe: str
    commands: Commands

    @property
    def metric(self) -> str:
        """Name of the main metric."""
        return self.examples.problem_type.main_metric

    @property
    def evaluated(self) -> bool:
        """Whether there were examples to evaluate on."""
        return self.metric in (self.result.get("test") or {})

    def counts(self, split: str) -> Array:
        """Returns the number of examples of each class in a split, int64 [classes]."""
        return self.examples.class_counts(self.examples.where(split))


Rule = Callable[[Facts], Iterator[Issue]]


def _contradictory_labels(facts: Facts) -> Iterator[Issue]:
    labels: dict[str, set[str]] = defaultdict(set)
    for sha, label in zip(facts.examples.sha256, facts.examples.labels):
        known = facts.examples.problem_type.has_exclusive_classes and (np.asarray(label) >= 0).all()
        if known:
            labels[sha].add(str(label.tolist()))
    count = sum(len(each) > 1 for each in labels.values())
    if count:
        subject = "1 content has" if count == 1 else f"{count:,} contents have"
        yield Issue(f"{subject} more than one label", f"correct them: {facts.commands.inspect()}")


def _leaking_examples(facts: Facts) -> Iterator[Issue]:
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


def mirrored_classes(facts: Facts) -> Iterator[Issue]:
    """Yields an issue if training mirrors images whose class depends on left and right.

    Args:
      facts: Facts whose result needs `baselines` only.
    """
    probe = facts.result.get("baselines", {}).get("linear_probe", {})
    if "mirrored" not in probe or "validation" not in probe:
        return
    own, mirrored, count = probe["validation"], probe["mirrored"], len(facts.examples.where("val"))
    if own - mirrored > max(_MIRROR_DIFFERENCE, _chance(own, count) + _chance(mirrored, count)):
        yield Issue(
            f"mirrored images have other labels: the linear probe has an accuracy of {own:.3f} on "
            f"the validation split and {mirrored:.3f} on its mirror images, and augmentation "
            "mirrors",
            facts.commands.train("shift", recipe=_with_option(facts.recipe, "augment=shift")),
        )


def _with_option(recipe: str, option: str) -> str:
    """Returns the name of a recipe with an option of its first part."""
    first, *added = recipe.split("+")
    return "+".join([f"{first}:{option}", *added])


def _worse_than_the_probe(facts: Facts) -> Iterator[Issue]:
    probe = facts.result.get("baselines", {}).get("linear_probe", {}).get("validation")
    if probe is None or facts.recipe == "feature_extraction":
        return
    validation = facts.result.get("validation", {})
    reached = validation.get(facts.metric, -np.inf)
    count = len(facts.examples.where("val"))
    if probe > reached + _chance(validation.get("accuracy", 0.5), count):
        yield Issue(
            f"the linear probe is better on the validation split ({probe:.3f}): the training "
            "damaged the features of the source",
            facts.commands.train("feature_extraction", recipe="feature_extraction"),
        )


def _no_better_than_a_guess(facts: Facts) -> Iterator[Issue]:
    if not facts.evaluated:
        return
    majority = facts.result.get("baselines", {}).get("majority", {}).get(facts.metric, -np.inf)
    if facts.result["test"][facts.metric] <= majority:
        guess = "a guess" if facts.examples.problem_type.has_classes else "the mean"
        yield Issue(
            f"the run is no better than {guess}",
            f"check that the labels match the examples: {facts.commands.inspect()}",
        )


def _class_without_examples(facts: Facts) -> Iterator[Issue]:
    if not facts.examples.problem_type.has_classes:
        return
    untrained = np.flatnonzero(facts.counts("train") == 0).tolist()
    if untrained:
        yield Issue(
            f"no training example is of {_classes(facts.examples, untrained)}",
            "label examples of it, or remove the class from the data",
        )
    rows = facts.result.get("per_class", ())
    untested = [number for number, row in enumerate(rows) if row.get("support") == 0]
    if facts.evaluated and untested:
        yield Issue(
            f"no evaluated example is of {_classes(facts.examples, untested)}, so nothing is known "
            "of it",
            f"label more examples of it, then {facts.commands.train('more')}",
        )


def _few_validation_examples(facts: Facts) -> Iterator[Issue]:
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
        return facts.commands.train("validated", validation_fraction=f"{fraction:.2f}")
    return f"label more examples, then {facts.commands.train('more')}"


def _validation_far_from_test(facts: Facts) -> Iterator[Issue]:
    result = facts.result
    validation = result.get("validation", {}).get("accuracy")
    if validation is None or result["split"] != "test" or "accuracy" not in result["test"]:
        return
    tested, count = result["test"]["accuracy"], len(facts.examples.where("val"))
    chance = np.hypot(_chance(validation, count), _chance(tested, result["examples"]))
    if abs(validation - tested) > chance:
        yield Issue(
            f"the accuracy is {validation:.3f} on the validation split and {tested:.3f} on the "
            "test split: they are not of the same kind",
            f"compare how both were collected, and look for groups: {facts.commands.inspect()}",
        )


def _better_middle_stage(facts: Facts) -> Iterator[Issue]:
    probes = facts.result.get("layer_probes")
    if not probes:
        return
    values, backbone = probes["accuracy"], facts.result["backbone"]
    last = list(values.values())[-1]
    best = max(values, key=values.__getitem__)
    if values[best] - last > _chance(last, probes["examples"]):
        yield Issue(
            f"a linear probe on {best} is better than on the last stage ({values[best]:.2f} and "
            f"{last:.2f}, cross-validated)",
            facts.commands.train(best, backbone=backbone_until(backbone, best)),
        )


def backbone_until(backbone: str, stage: str) -> str:
    """Returns the name of a backbone that ends at a stage.

    Example:
      >>> backbone_until("mobilenet_v2:alpha=0.35", "stage3")
      'mobilenet_v2:alpha=0.35,layer=stage3'
    """
    return f"{backbone}{',' if ':' in backbone else ':'}layer={stage}"


def _few_test_examples(facts: Facts) -> Iterator[Issue]:
    if not facts.evaluated:
        return
    interval = facts.result["test"]["intervals"].get(facts.metric)
    if interval is None or interval[1] - interval[0] > _WIDE_INTERVAL:
        yield Issue(
            f"the interval of {facts.result['examples']:,} test examples is wide",
            f"label more examples, then {facts.commands.train('more')}",
        )


def _imbalance(facts: Facts) -> Iterator[Issue]:
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
    """The command that weights the classes, if the recipe has that option."""
    recipe = _with_option(facts.recipe, "class_weight=balanced")
    try:
        make_recipe(recipe)
    except UserError:
        return ""
    return f", or {facts.commands.train('balanced', recipe=recipe)}"


def _few_training_examples(facts: Facts) -> Iterator[Issue]:
    if not facts.examples.problem_type.has_exclusive_classes or facts.examples.tasks:
        return
    counts = facts.counts("train")
    mean = float(counts.mean())
    if mean < _FEW_EXAMPLES and counts.min() >= mean / 2:
        yield Issue(f"each class has few training examples, {mean:.0f} on average", "label more")


def _weak_class(facts: Facts) -> Iterator[Issue]:
    rows = [row for row in facts.result.get("per_class", ()) if row.get("f1") is not None]
    if not facts.evaluated or not rows:
        return
    weakest = min(rows, key=lambda row: row["f1"])
    if weakest["f1"] < facts.result["test"].get("macro_f1", 0) - _WEAK_CLASS_F1:
        yield Issue(
            f"class {printable(weakest['class'])} has an F1 of {weakest['f1']:.2f}",
            "look at the rows of the class in predictions.csv",
        )


def _early_end(facts: Facts) -> Iterator[Issue]:
    phases = [phase for phase in facts.result.get("phases", ()) if phase.get("epochs")]
    if not phases or not len(facts.examples.where("val")):
        return
    last, epochs = phases[-1], sum(phase["epochs"] for phase in phases)
    if last["best_epoch"] == last["epochs"] > 1 and last["stopped"] == "all epochs done":
        yield Issue(
            f"the last of the {epochs} epochs was the best: more may be better",
            facts.commands.train("longer", epochs=str(2 * epochs)),
        )


def _nothing_transferred(facts: Facts) -> Iterator[Issue]:
    if facts.recipe == "scratch":
        yield Issue("nothing is transferred", facts.commands.train("fine_tune", recipe="fine_tune"))


def _only_the_head(facts: Facts) -> Iterator[Issue]:
    if facts.recipe == "feature_extraction":
        yield Issue(
            "only the head was trained", facts.commands.train("fine_tune", recipe="fine_tune")
        )


# In the order of harm.
RULES: Sequence[Rule] = (
    _contradictory_labels,
    _leaking_examples,
    mirrored_classes,
    _worse_than_the_probe,
    _no_better_than_a_guess,
    _class_without_examples,
    _few_validation_examples,
    _validation_far_from_test,
    _better_middle_stage,
    _few_test_examples,
    _imbalance,
    _few_training_examples,
    _weak_class,
    _early_end,
    _nothing_transferred,
    _only_the_head,
)


def _classes(examples: Examples, numbers: Sequence[int]) -> str:
    names = [printable(examples.classes[number]) for number in numbers[:_MAX_LISTED]]
    more = len(numbers) - _MAX_LISTED
    listed = f"{', '.join(names)} and {more:,} more classes" if more > 0 else ", ".join(names)
    return f"class {listed}" if len(numbers) == 1 else f"the classes {listed}"


def _chance(accuracy: float, count: int) -> float:
    """Difference of two accuracies that chance explains: two standard errors."""
    variance = max(accuracy * (1 - accuracy), 0.01) / max(1, count)
    return max(_MIN_DIFFERENCE, _STANDARD_ERRORS * float(np.sqrt(variance)))
