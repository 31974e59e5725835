"""The verdict of a run: how it compares, its main issue, and the next step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Result
from tftransfer.data.examples import Examples
from tftransfer.reports.commands import Commands

# Training examples of a class, below which there are few.
_FEW_EXAMPLES = 20
# Width of a 95 % interval from which the test split is too small.
_WIDE_INTERVAL = 0.1
# Difference of F1 from the mean over classes, from which a class is named.
_WEAK_CLASS_F1 = 0.05
# Smallest difference of two accuracies that counts, whatever the number of examples.
_MIN_DIFFERENCE = 0.02
_STANDARD_ERRORS = 2


class Issue(NamedTuple):
    """What limits a run.

    Attributes:
      text: The issue, without a period.
      step: What to do, usually a command.
    """

    text: str
    step: str


def verdict(result: Result, examples: Examples, recipe: str, commands: Commands) -> list[str]:
    """Returns three lines: how the run compares, its main issue, and the next step.

    Args:
      result: Content of `result.json` without the verdict.
      examples: Examples of the run.
      recipe: Name of the recipe.
      commands: Commands that follow the run.
    """
    metric = examples.problem_type.main_metric
    test = result.get("test") or {}
    if metric not in test:
        return [
            "No examples are in the test split.",
            "Main issue: the run was not evaluated.",
            f"Next step: {commands.train('tested', test_fraction='0.2')}",
        ]
    low, high = test["intervals"][metric]
    split = "test split"
    if result["split"] == "val":
        split = "validation split, on which the epoch was selected"
    baselines = ", ".join(
        f"{name.replace('_', ' ')} {values[metric]:.3f}"
        for name, values in result.get("baselines", {}).items()
    )
    issue = next(_issues(result, examples, recipe, commands))
    return [
        f"{metric} {test[metric]:.3f} (95 % interval {low:.3f} to {high:.3f}) on the {split}; "
        f"baselines: {baselines or 'none'}.",
        f"Main issue: {issue.text}.",
        f"Next step: {issue.step}",
    ]


def _issues(result: Result, examples: Examples, recipe: str, commands: Commands) -> Iterator[Issue]:
    """Yields the issues of a run, the main one first; the last one is that there is none."""
    if recipe == "scratch":
        yield Issue("nothing is transferred", commands.train("fine_tune", recipe="fine_tune"))
    yield from _no_better_than_a_guess(result, examples, commands)
    yield from _worse_than_the_probe(result, examples, recipe, commands)
    yield from _better_middle_stage(result, commands)
    yield from _few_test_examples(result, examples, commands)
    yield from _few_training_examples(examples, recipe, commands)
    yield from _weak_class(result, examples)
    if recipe == "feature_extraction":
        yield Issue("only the head was trained", commands.train("fine_tune", recipe="fine_tune"))
    yield Issue("none", f"{commands.predict()}, or serve the folder export/")


def _no_better_than_a_guess(
    result: Result, examples: Examples, commands: Commands
) -> Iterator[Issue]:
    metric = examples.problem_type.main_metric
    majority = result.get("baselines", {}).get("majority", {}).get(metric, -np.inf)
    if result["test"][metric] <= majority:
        guess = "a guess" if examples.problem_type.has_classes else "the mean"
        yield Issue(
            f"the run is no better than {guess}",
            f"check that the labels match the examples: {commands.inspect()}",
        )


def _worse_than_the_probe(
    result: Result, examples: Examples, recipe: str, commands: Commands
) -> Iterator[Issue]:
    probe = result.get("baselines", {}).get("linear_probe", {}).get("validation")
    if probe is None or recipe == "feature_extraction":
        return
    reached = result.get("validation", {}).get(examples.problem_type.main_metric, -np.inf)
    accuracy = result.get("validation", {}).get("accuracy", 0.5)
    if probe > reached + _chance(accuracy, len(examples.where("val"))):
        yield Issue(
            f"the linear probe is better on the validation split ({probe:.3f}): the training "
            "damaged the features of the source",
            commands.train("feature_extraction", recipe="feature_extraction"),
        )


def _better_middle_stage(result: Result, commands: Commands) -> Iterator[Issue]:
    probes = result.get("layer_probes")
    if not probes:
        return
    values, backbone = probes["accuracy"], result["backbone"]
    last = list(values.values())[-1]
    best = max(values, key=values.__getitem__)
    if values[best] - last > _chance(last, probes["examples"]):
        yield Issue(
            f"a linear probe on {best} is better than on the last stage ({values[best]:.2f} and "
            f"{last:.2f}, cross-validated)",
            commands.train(best, backbone=backbone_until(backbone, best)),
        )


def backbone_until(backbone: str, stage: str) -> str:
    """Returns the name of a backbone that ends at a stage.

    Example:
      >>> backbone_until("mobilenet_v2:alpha=0.35", "stage3")
      'mobilenet_v2:alpha=0.35,layer=stage3'
    """
    return f"{backbone}{',' if ':' in backbone else ':'}layer={stage}"


def _few_test_examples(result: Result, examples: Examples, commands: Commands) -> Iterator[Issue]:
    low, high = result["test"]["intervals"][examples.problem_type.main_metric]
    if high - low > _WIDE_INTERVAL:
        yield Issue(
            f"the interval of {result['examples']:,} test examples is wide",
            f"label more examples, then {commands.evaluate()}",
        )


def _few_training_examples(examples: Examples, recipe: str, commands: Commands) -> Iterator[Issue]:
    if examples.problem_type is not ProblemType.SINGLE_LABEL:
        return
    train = examples.labels[examples.where("train")]
    counts = np.bincount(train, minlength=len(examples.classes))
    smallest, mean = int(counts.argmin()), float(counts.mean())
    if counts[smallest] >= _FEW_EXAMPLES:
        return
    if counts[smallest] < mean / 2:
        first, *added = recipe.split("+")
        balanced = "+".join([f"{first}:class_weight=balanced", *added])
        command = commands.train("balanced", recipe=balanced)
        yield Issue(
            f"class {examples.classes[smallest]} has {counts[smallest]} training examples, "
            f"{mean:.0f} is the mean over classes",
            f"add examples of it, or {command}",
        )
    yield Issue(f"each class has few training examples, {mean:.0f} on average", "label more")


def _weak_class(result: Result, examples: Examples) -> Iterator[Issue]:
    if not examples.problem_type.has_classes:
        return
    weakest = min(result["per_class"], key=lambda row: row.get("f1", 1.0))
    if weakest["f1"] < result["test"].get("macro_f1", 0) - _WEAK_CLASS_F1:
        yield Issue(
            f"class {weakest['class']} has an F1 of {weakest['f1']:.2f}",
            "look at the rows of the class in predictions.csv",
        )


def _chance(accuracy: float, count: int) -> float:
    """Difference of two accuracies that chance explains: two standard errors."""
    variance = max(accuracy * (1 - accuracy), 0.01) / max(1, count)
    return max(_MIN_DIFFERENCE, _STANDARD_ERRORS * float(np.sqrt(variance)))
