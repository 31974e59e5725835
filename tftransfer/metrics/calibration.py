"""Calibration: the temperature of the logits, and how far confidence and accuracy differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.metrics.probabilities import log_loss

# Standard deviation of the prior of log T.
_PRIOR_DEVIATION = 0.5
_LOWEST_TEMPERATURE = 0.05
_HIGHEST_TEMPERATURE = 20.0


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
