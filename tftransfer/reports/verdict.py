"""The verdict of a run in words: how it compares, what its biggest problem is, what to try next."""

from __future__ import annotations

from typing import Any

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import Examples

# Training examples of a class, below which there are few.
_FEW = 20


def verdict(result: dict[str, Any], examples: Examples, recipe: str) -> list[str]:
    """Three lines: how it compares, the biggest problem seen, the next command to try."""
    figure = examples.problem_type.main_metric
    test = result.get("test") or {}
    if figure not in test:
        return [
            "No examples were left for the test split.",
            "There are no honest figures.",
            "Next: tftransfer train with --test_fraction=0.2",
        ]
    low, high = test["intervals"][figure]
    said = f"{figure} {test[figure]:.3f} (95 % interval {low:.3f} to {high:.3f})"
    against = result.get("baselines", {})
    compared = ", ".join(f"{n.replace('_', ' ')} {v[figure]:.3f}" for n, v in against.items())
    problem, step = _biggest_problem(result, examples, recipe, figure)
    if result["split"] == "val":
        said += ", on the validation split, on which the epoch was chosen"
    return [
        f"{said}; beside it: {compared or 'no baseline'}.",
        f"Biggest problem: {problem}.",
        f"Next: {step}",
    ]


def _biggest_problem(
    result: dict[str, Any], examples: Examples, recipe: str, figure: str
) -> tuple[str, str]:
    test = result["test"]
    low, high = test["intervals"][figure]
    probe = result.get("baselines", {}).get("linear_probe", {}).get("validation")
    reached = result.get("validation", {}).get(figure, -np.inf)
    majority = result.get("baselines", {}).get("majority", {}).get(figure, -np.inf)
    smallest = _smallest_class(examples)
    if recipe == "scratch":
        return "nothing is transferred", "tftransfer train --recipe=fine_tune"
    if test[figure] <= majority:
        chance = "a guess" if examples.problem_type.has_classes else "the mean"
        return (
            f"it is no better than {chance}",
            "tftransfer inspect --data=DIR: do the labels go with the examples?",
        )
    if (
        probe is not None
        and probe > reached + _noise(result, examples)
        and recipe != "feature_extraction"
    ):
        return (
            f"the linear probe is better on the validation split ({probe:.3f}): this training lost "
            "what the source knew",
            "tftransfer train --recipe=feature_extraction",
        )
    better = _better_tap(result)
    if better:
        return better
    if high - low > 0.1:
        return (
            f"{result['examples']} test examples leave a wide interval",
            "label more examples, then tftransfer evaluate with --data=DIR of them",
        )
    if smallest and smallest[1] < _FEW:
        name, count, mean = smallest
        if count < mean / 2:
            return (
                f"class {name} has {count} training examples, others have more",
                "add examples of it, or --config.recipe.class_weight=balanced",
            )
        return f"{mean:.0f} training examples a class are few", "label more of every class"
    worst = min(result["per_class"], key=lambda row: row.get("f1", 1.0))
    if examples.problem_type.has_classes and worst["f1"] < test.get("macro_f1", 0) - 0.05:
        return (
            f"class {worst['class']} (F1 {worst['f1']:.2f})",
            "look at its rows in predictions.csv",
        )
    if recipe == "feature_extraction":
        return "only the head was trained", "tftransfer train --recipe=fine_tune"
    return "none stands out", "tftransfer predict, or serve the export/ folder"


def _better_tap(result: dict[str, Any]) -> tuple[str, str] | None:
    """Where a middle stage knows more than the last one, beyond chance."""
    probes = result.get("layer_probes")
    if not probes:
        return None
    values, name = probes["accuracy"], result["backbone"]
    last = list(values.values())[-1]
    best = max(values, key=values.__getitem__)
    if values[best] - last <= _apart_by_chance(last, probes["examples"]):
        return None
    return (
        f"a probe on {best} knows more than one on the last stage ({values[best]:.2f} and "
        f"{last:.2f}, cross-validated)",
        f"tftransfer train --backbone={name}{',' if ':' in name else ':'}layer={best}",
    )


def _noise(result: dict[str, Any], examples: Examples) -> float:
    """How far apart two accuracies of the validation split may be by chance: two deviations."""
    reached = result.get("validation", {}).get("accuracy", 0.5)
    return _apart_by_chance(reached, len(examples.where("val")))


def _apart_by_chance(accuracy: float, count: int) -> float:
    variance = max(accuracy * (1 - accuracy), 0.01) / max(1, count)
    return max(0.02, 2 * float(np.sqrt(variance)))


def _smallest_class(examples: Examples) -> tuple[str, int, float] | None:
    """The class of the fewest training examples, their number, and the mean over classes."""
    if examples.problem_type is not ProblemType.SINGLE_LABEL:
        return None
    train = examples.labels[examples.where("train")]
    counts = np.bincount(train, minlength=len(examples.classes))
    return examples.classes[int(counts.argmin())], int(counts.min()), float(counts.mean())
