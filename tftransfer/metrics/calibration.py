"""Calibration: the temperature of the logits, and how far confidence and accuracy differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.metrics.probabilities import log_loss

# Standard deviation of the prior of log T.
_PRIOR_DEVIATION = 0.5
_LOWEST_TEMPERATURE = 0.05
_HIGHEST_TEMPERATURE = 20.0
# Fewer examples are no evidence for a temperature; more than many need no cross-validation.
_FEW_EXAMPLES = 10
_MANY_EXAMPLES = 500
_FOLDS = 10


class Calibration(NamedTuple):
    """The temperature of a network.

    Attributes:
      temperature: Divisor of the logits.
      reason: Where it comes from, in words.
    """

    temperature: float
    reason: str


def calibrate(
    logits: Array,
    labels: Array,
    problem_type: ProblemType,
    tasks: Sequence[Task] = (),
    *,
    units: Array | None = None,
) -> Calibration:
    """Fits the temperature where the examples are evidence that it lowers the log loss.

    Up to 500 examples, the gain is measured by cross-validation; it must be larger than its
    standard error. Otherwise, the temperature remains 1.

    Args:
      logits: z of the validation examples, float [n, k].
      labels: One-hot rows, or 0 and 1, [n, k].
      problem_type: What the labels are; a regression has the temperature 1.
      tasks: Tasks of the columns, which share one temperature.
      units: Unit of each example, [n], such as its group; None if all are independent.
    """
    if not ProblemType(problem_type).has_classes:
        return Calibration(1.0, "a regression has none")
    _, places = np.unique(np.arange(len(logits)) if units is None else units, return_inverse=True)
    count = int(places.max(initial=-1)) + 1
    noun = "example" if count == len(logits) else "group"
    shown = f"{count:,} validation {noun}{'s' * (count != 1)}"
    if count < _FEW_EXAMPLES:
        return Calibration(1.0, f"not fitted: {shown} are too few" if count else "not fitted")
    if count <= _MANY_EXAMPLES:
        gains = _gains(logits, labels, problem_type, tasks, places)
        if gains.mean() <= gains.std(ddof=1) / np.sqrt(len(gains)):
            return Calibration(1.0, f"not fitted: {shown} are no evidence that it lowers the loss")
    return Calibration(fit_temperature(logits, labels, problem_type, tasks), f"fitted on {shown}")


def _gains(
    logits: Array, labels: Array, problem_type: ProblemType, tasks: Sequence[Task], places: Array
) -> Array:
    """How much a temperature fitted on the other folds lowers the log loss of each fold."""
    fold = np.random.default_rng(0).permutation(places.max() + 1)[places] % _FOLDS
    gains = []
    for held_out in range(_FOLDS):
        inside = fold == held_out
        if not labels[inside].any():  # no label of these tasks is known
            continue
        found = fit_temperature(logits[~inside], labels[~inside], problem_type, tasks)
        before, after = (
            log_loss(problem_type.probabilities(logits[inside], t, tasks), labels[inside], tasks)
            for t in (1.0, found)
        )
        gains.append(before - after)
    return np.array(gains if len(gains) > 1 else [0.0, 0.0])


def fit_temperature(
    logits: Array, labels: Array, problem_type: ProblemType, tasks: Sequence[Task] = ()
) -> float:
    """Fits the temperature T that minimizes the log loss of the scores z / T (Guo et al., 2017).

    log T has a normal prior around 0, so that a handful of examples that happen to be classified
    correctly does not make the scores certain.

    Args:
      logits: z, float [n, k].
      labels: One-hot rows, or 0 and 1, [n, k].
      problem_type: What the labels are; a regression has the temperature 1.
      tasks: Tasks of the columns, which share one temperature.

    Returns:
      T, from 0.05 to 20; 1 without examples.
    """
    problem_type = ProblemType(problem_type)
    if not problem_type.has_classes or not len(logits):
        return 1.0
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        fit = log_loss(problem_type.probabilities(logits, np.exp(log_t), tasks), labels, tasks)
        return fit + 0.5 * (log_t / _PRIOR_DEVIATION) ** 2 / len(logits)

    bounds = (np.log(_LOWEST_TEMPERATURE), np.log(_HIGHEST_TEMPERATURE))
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def expected_calibration_error(confidence: Array, correct: Array, bins: int = 15) -> float:
    """Computes the mean gap between confidence and accuracy over equal bins (Guo et al., 2017).

    `sum_b n_b / n |mean confidence of b - accuracy of b|`.

    Args:
      confidence: Probability of the predicted class, float [n] from 0 to 1.
      correct: Whether the prediction was correct, [n].
      bins: Number of bins of equal width.
    """
    which = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    total = 0.0
    for b in np.unique(which):
        inside = which == b
        total += abs(confidence[inside].mean() - correct[inside].mean()) * inside.sum()
    return float(total / len(confidence))
