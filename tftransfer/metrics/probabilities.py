"""Probabilities from logits, for each problem type, and their likelihood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tftransfer.core.problem_types import PROBABILITIES, ProblemType, Task
from tftransfer.core.typing import Array, ArrayLike

# Lower bound of a probability under the logarithm.
_SMALLEST_PROBABILITY = 1e-12


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Array:
    """Computes `exp(z / T) / sum exp(z / T)` along the last axis.

    Args:
      logits: z, float [n, classes].
      temperature: T, above 0.

    Returns:
      float64 [n, classes].
    """
    from scipy.special import softmax as scipy_softmax

    scores: Array = scipy_softmax(np.asarray(logits, np.float64) / temperature, axis=-1)
    return scores


def sigmoid(logits: ArrayLike, temperature: float = 1.0) -> Array:
    """Computes `1 / (1 + exp(-z / T))`.

    Args:
      logits: z, float [n, labels].
      temperature: T, above 0.

    Returns:
      float64 [n, labels].
    """
    from scipy.special import expit

    scores: Array = expit(np.asarray(logits, np.float64) / temperature)
    return scores


@PROBABILITIES.register(ProblemType.SINGLE_LABEL)
def _of_single_label(logits: Array, temperature: float, tasks: Sequence[Task]) -> Array:
    return softmax(logits, temperature)


@PROBABILITIES.register(ProblemType.MULTI_LABEL)
def _of_multi_label(logits: Array, temperature: float, tasks: Sequence[Task]) -> Array:
    return sigmoid(logits, temperature)


@PROBABILITIES.register(ProblemType.REGRESSION)
def _of_regression(logits: Array, temperature: float, tasks: Sequence[Task]) -> Array:
    return np.asarray(logits, np.float64)


@PROBABILITIES.register(ProblemType.MULTI_TASK)
def _of_multi_task(logits: Array, temperature: float, tasks: Sequence[Task]) -> Array:
    return np.concatenate([softmax(logits[:, each.columns], temperature) for each in tasks], axis=1)


def log_loss(scores: Array, labels: Array, tasks: Sequence[Task] = ()) -> float:
    """Computes the mean over examples of the negative log-likelihood, in nats.

    Args:
      scores: Probabilities, float [n, k].
      labels: One-hot rows [n, k] where the rows of `scores` sum to 1, else 0 and 1.
      tasks: Tasks of the columns; the result is the mean of their losses.
    """
    if tasks:
        return float(np.mean([log_loss(s, y) for _, _, s, y in by_task(scores, labels, tasks)]))
    positive = labels * np.log(np.clip(scores, _SMALLEST_PROBABILITY, 1))
    if np.allclose(scores.sum(axis=1), 1, atol=1e-4) and np.all(labels.sum(axis=1) == 1):
        return float(-positive.sum(axis=1).mean())
    negative = (1 - labels) * np.log(np.clip(1 - scores, _SMALLEST_PROBABILITY, 1))
    return float(-(positive + negative).sum(axis=1).mean())


def by_task(
    scores: Array, labels: Array, tasks: Sequence[Task]
) -> Iterator[tuple[Task, Array, Array, Array]]:
    """Yields each task that has labels, with its examples.

    Args:
      scores: Probabilities or logits of all tasks, float [n, k].
      labels: One-hot labels of all tasks, [n, k]; a row of zeros is an unknown label.
      tasks: Tasks of the columns.

    Yields:
      The task, the indices of the examples whose label is known, int [m], and the scores and
      labels of these, [m, classes of the task].
    """
    for task in tasks:
        known = np.flatnonzero(labels[:, task.columns].any(axis=1))
        if len(known):
            yield task, known, scores[known, task.columns], labels[known, task.columns]


def mean_over_tasks(values: Array, known: Array) -> Array:
    """Returns one value per example; their mean is the mean over tasks of the tasks' means.

    Args:
      values: One value per example and task, float [n, tasks].
      known: Whether the example has a label for the task, bool [n, tasks].

    Returns:
      float [n].
    """
    counts = known.sum(axis=0)
    share = len(known) / np.maximum(counts, 1) / max(1, np.count_nonzero(counts))
    means: Array = (np.where(known, values, 0) * share).sum(axis=1)
    return means
