"""Bootstrap confidence intervals of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.metrics.probabilities import by_task, mean_over_tasks

Interval = tuple[float, float]
Metrics = dict[str, "float | dict[str, Interval]"]
# Draws for a metric that is no mean over examples; each draw computes all metrics.
_SLOW_DRAWS = 200
_SMALLEST_PROBABILITY = 1e-12


def bootstrap(
    metric: Callable[[Array], float], count: int, *, seed: int = 0, draws: int = 1000
) -> Interval:
    """Computes the 95 % percentile interval of a metric over resampled examples (Efron, 1979).

    Args:
      metric: Function of the indices of examples, int [n], that returns their metric.
      count: Number of examples, n.
      seed: Seed of the draws.
      draws: Number of draws.

    Returns:
      The lower and the upper end.
    """
    rng = np.random.default_rng(seed)
    values = [metric(rng.integers(0, count, count)) for _ in range(draws)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def mean_interval(values: Array, *, seed: int = 0) -> Interval:
    """Computes the 95 % bootstrap interval of the mean of float [n]."""
    return bootstrap(lambda drawn: float(values[drawn].mean()), len(values), seed=seed)


def with_intervals(
    scores: Array,
    labels: Array,
    problem_type: ProblemType,
    tasks: Sequence[Task] = (),
    *,
    seed: int = 0,
) -> Metrics:
    """Computes the metrics and, under `intervals`, the 95 % intervals of the main ones.

    Args:
      scores: Scores as `ProblemType.probabilities` returns them, float [n, k].
      labels: Targets as `ProblemType.targets` returns them, float [n, k].
      problem_type: What the labels are.
      tasks: Tasks of the columns, for `multi_task`.
      seed: Seed of the draws.
    """
    problem_type = ProblemType(problem_type)
    per_example = _per_example(scores, labels, problem_type, tasks)
    intervals = {name: mean_interval(each, seed=seed) for name, each in per_example.items()}
    main = problem_type.main_metric
    if main not in intervals:

        def main_of(drawn: Array) -> float:
            return problem_type.metrics(scores[drawn], labels[drawn])[main]

        intervals[main] = bootstrap(main_of, len(scores), seed=seed, draws=_SLOW_DRAWS)
    return {**problem_type.metrics(scores, labels, tasks), "intervals": intervals}


def _per_example(
    scores: Array, labels: Array, problem_type: ProblemType, tasks: Sequence[Task]
) -> Mapping[str, Array]:
    """Metrics that are means over examples: the value of each example, float [n]."""
    if tasks:
        return _per_example_of_tasks(scores, labels, tasks)
    if problem_type is ProblemType.SINGLE_LABEL:
        truth = labels.argmax(1)
        likelihood = scores[np.arange(len(truth)), truth]
        return {
            "accuracy": scores.argmax(1) == truth,
            "log_loss": -np.log(np.clip(likelihood, _SMALLEST_PROBABILITY, 1)),
        }
    if problem_type is ProblemType.REGRESSION:
        return {"mean_absolute_error": np.abs(scores - labels).mean(axis=1)}
    return {"exact_match": ((scores >= 0.5) == (labels >= 0.5)).all(axis=1)}


def _per_example_of_tasks(
    scores: Array, labels: Array, tasks: Sequence[Task]
) -> Mapping[str, Array]:
    known = np.zeros((len(scores), len(tasks)), bool)
    values = {"accuracy": np.zeros(known.shape), "log_loss": np.zeros(known.shape)}
    for task, where, task_scores, task_labels in by_task(scores, labels, tasks):
        column = tasks.index(task)
        known[where, column] = True
        found = _per_example(task_scores, task_labels, ProblemType.SINGLE_LABEL, ())
        for name, each in found.items():
            values[name][where, column] = each
    return {name: mean_over_tasks(each, known) for name, each in values.items()}
