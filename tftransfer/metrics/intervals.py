"""95 % confidence intervals of metrics over independent units: contents or groups of examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.metrics.probabilities import by_task, mean_over_tasks

Interval = tuple[float, float]
Metrics = dict[str, "float | dict[str, Interval]"]
_TAIL = 0.025
# Draws for a metric that is no mean over examples; each draw computes all metrics.
_SLOW_DRAWS = 200
_DRAWS = 1000
# Draws that are computed at once.
_BLOCK_DRAWS = 50
# Points between the observed proportion and the end of the exact interval that are tried.
_TRIED_POINTS = 500
_SMALLEST_PROBABILITY = 1e-12
# Fewer units have too few different draws for the bootstrap.
_MIN_BOOTSTRAP_UNITS = 8
# Metrics that are means of values from 0 to 1.
_PROPORTIONS = ("accuracy", "exact_match")


def proportion_interval(proportion: float, count: float) -> Interval:
    """Computes the 95 % interval of a proportion of independent examples.

    The interval of Blaker (2000) is exact: it contains the true proportion in at least 95 % of the
    cases, for every number of examples. It lies within that of Clopper & Pearson (1934).

    Args:
      proportion: Observed proportion, 0 to 1.
      count: Number of independent examples, which may be a fraction.

    Example:
      >>> [round(end, 2) for end in proportion_interval(1.0, 18)]
      [0.82, 1.0]
    """
    proportion = min(max(proportion, 0.0), 1.0)  # a mean of tasks may be rounded
    low = _lower_end(proportion * count, count)
    return low, 1.0 - _lower_end((1.0 - proportion) * count, count)


def _lower_end(right: float, count: float) -> float:
    """The lowest accuracy with which a number of right answers is not too unlikely.

    Args:
      right: Number of right answers.
      count: Number of answers.
    """
    from scipy.special import betaincinv

    if right < 1e-9:
        return 0.0
    wrong = max(count - right, 0.0)
    start = float(betaincinv(right, wrong + 1.0, _TAIL))  # of Clopper & Pearson
    tried = np.linspace(start, right / count, _TRIED_POINTS)
    likely = _at_least(right, count, tried) + _equally_unlikely(right, count, tried) >= 2 * _TAIL
    return float(tried[max(likely.argmax() - 1, 0)])


def _at_least(right: float, count: float, accuracies: Array) -> Array:
    """Probability of at least so many right answers, for each accuracy, [n]."""
    from scipy.special import betainc

    wrong = max(count - right, 0.0)
    probability: Array = betainc(right, wrong + 1.0, accuracies)
    return probability


def _equally_unlikely(right: float, count: float, accuracies: Array) -> Array:
    """Probability of those few right answers that are at most as likely as `_at_least`, [n].

    They are so many fewer than `right` that the number is whole, as `right` may be a fraction.
    """
    most = int(right + 1e-9)
    too_likely, enough = np.zeros(accuracies.shape, int), np.full(accuracies.shape, most + 1)
    limit = _at_least(right, count, accuracies)
    while (enough - too_likely > 1).any():  # bisection: fewer answers are less likely
        middle = (too_likely + enough) // 2
        usable = _at_most(right - middle, count, accuracies) <= limit
        enough, too_likely = np.where(usable, middle, enough), np.where(usable, too_likely, middle)
    probability: Array = np.where(enough > most, 0.0, _at_most(right - enough, count, accuracies))
    return probability


def _at_most(right: Array, count: float, accuracies: Array) -> Array:
    """Probability of at most so many right answers, for each number and accuracy, [n]."""
    from scipy.special import betainc

    right = np.maximum(right, 0.0)
    probability: Array = betainc(count - right, right + 1.0, 1.0 - accuracies)
    return probability


def effective_count(values: Array, units: Array) -> float:
    """Returns how many independent examples have a mean as exact as that of some values.

    The examples of a unit may depend on each other (Korn & Graubard, 1998). Where all values are
    equal nothing is known of that, and a unit counts as one example.

    Args:
      values: Values from 0 to 1, float [n].
      units: Unit of each value, [n].
    """
    from scipy.stats import t

    sums, sizes = _by_unit(np.asarray(values, float), units)
    count, groups, mean = sizes.sum(), len(sizes), sums.sum() / sizes.sum()
    variance = ((sums - mean * sizes) ** 2).sum() / count**2
    if groups == count:
        return float(count)
    if groups == 1 or variance < 1e-15:
        return float(groups)
    fewer = (t.ppf(1 - _TAIL, count - 1) / t.ppf(1 - _TAIL, groups - 1)) ** 2
    corrected = variance * (groups / (groups - 1)) / (count / (count - 1))
    return float(np.clip(mean * (1 - mean) / corrected * fewer, 1.0, count))


def mean_interval(values: Array, *, units: Array | None = None, seed: int = 0) -> Interval:
    """Computes the 95 % interval of a mean by the studentized bootstrap of units (Efron, 1982).

    The percentile bootstrap is too narrow for few examples and for skewed values such as losses.

    Args:
      values: Values, float [n].
      units: Unit of each value, [n]; None if all are independent.
      seed: Seed of the draws.

    Returns:
      The lower and the upper end; twice the mean where no value or unit differs from another.
    """
    values = np.asarray(values, float)
    sums, sizes = _by_unit(values, np.arange(len(values)) if units is None else units)
    mean, error = _ratio_and_error(np.ones((1, len(sums))), sums, sizes)
    if not error[0] > 1e-12 * (1 + abs(mean[0])):
        return float(mean[0]), float(mean[0])
    below, above = _studentized_percentiles(sums, sizes, seed)
    low, high = float(mean[0] - above * error[0]), float(mean[0] - below * error[0])
    return max(low, 0.0) if values.min() >= 0 else low, high


def _studentized_percentiles(sums: Array, sizes: Array, seed: int) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of (mean of a draw - mean) / standard error of the draw."""
    from scipy.stats import t

    if len(sums) < _MIN_BOOTSTRAP_UNITS:
        half = float(t.ppf(1 - _TAIL, len(sums) - 1))
        return -half, half
    mean = sums.sum() / sizes.sum()
    rng = np.random.default_rng(seed)
    even = np.full(len(sums), 1 / len(sums))
    scores: list[Array] = []
    for _ in range(0, _DRAWS, _BLOCK_DRAWS):
        counts = rng.multinomial(len(sums), even, size=_BLOCK_DRAWS)
        drawn_mean, drawn_error = _ratio_and_error(counts, sums, sizes)
        usable = drawn_error > 1e-12
        scores.append((drawn_mean[usable] - mean) / drawn_error[usable])
    below, above = np.percentile(np.concatenate(scores), [100 * _TAIL, 100 * (1 - _TAIL)])
    wider = len(sums) / (
        len(sums) - 1
    )  # measured: without it, 93 % of 10 skewed losses are covered
    return float(below) * wider, float(above) * wider


def difference_interval(values: Array) -> Interval:
    """Computes the 95 % interval of a mean of differences from -1 to 1, also where all are 0.

    A win and a loss are added (Bonett & Price, 2012), so that a few equal results do not look like
    certainty.

    Args:
      values: Differences of two proportions, each of one example, float [n].
    """
    from scipy.stats import norm

    values = np.concatenate([np.asarray(values, float), [1.0, -1.0]])
    half = norm.ppf(1 - _TAIL) * values.std() / np.sqrt(len(values))
    return max(-1.0, float(values.mean() - half)), min(1.0, float(values.mean() + half))


def bootstrap(
    metric: Callable[[Array], float],
    count: int,
    *,
    units: Array | None = None,
    seed: int = 0,
    draws: int = _DRAWS,
) -> Interval:
    """Computes the 95 % interval of a metric over resampled units (Efron, 1979).

    The percentiles are wider for few units, as those of Student's t (Hesterberg, 2015).

    Args:
      metric: Function of the indices of examples, int [n], that returns their metric.
      count: Number of examples, n.
      units: Unit of each example, [n]; None if all are independent.
      seed: Seed of the draws.
      draws: Number of draws.

    Returns:
      The lower and the upper end.
    """
    from scipy.stats import norm, t

    members = _members(np.arange(count) if units is None else units)
    rng, groups = np.random.default_rng(seed), len(members)
    values = [
        metric(np.concatenate([members[k] for k in rng.integers(0, groups, groups)]))
        for _ in range(draws)
    ]
    tail = 100 * _TAIL
    if groups > 1:
        quantile = t.ppf(_TAIL, groups - 1) * np.sqrt(groups / (groups - 1))
        tail = 100 * float(norm.cdf(quantile))
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def with_intervals(
    scores: Array,
    labels: Array,
    problem_type: ProblemType,
    tasks: Sequence[Task] = (),
    *,
    units: Array | None = None,
    seed: int = 0,
) -> Metrics:
    """Computes the metrics and, under `intervals`, the 95 % intervals of the main ones.

    A metric has no interval where one unit is all there is, except for proportions.

    Args:
      scores: Scores as `ProblemType.probabilities` returns them, float [n, k].
      labels: Targets as `ProblemType.targets` returns them, float [n, k].
      problem_type: What the labels are.
      tasks: Tasks of the columns, for `multi_task`.
      units: Unit of each example, [n], such as its group; None if all are independent.
      seed: Seed of the draws.
    """
    problem_type = ProblemType(problem_type)
    units = np.arange(len(scores)) if units is None else np.asarray(units)
    per_example = _per_example(scores, labels, problem_type, tasks)
    intervals: dict[str, Interval] = {}
    several = len(np.unique(units)) > 1
    for name, each in per_example.items():
        if name in _PROPORTIONS:
            intervals[name] = proportion_interval(float(each.mean()), effective_count(each, units))
        elif several:
            intervals[name] = mean_interval(each, units=units, seed=seed)
    main = problem_type.main_metric
    if main not in intervals and several:

        def main_of(drawn: Array) -> float:
            return problem_type.metrics(scores[drawn], labels[drawn])[main]

        draws = {"seed": seed, "draws": _SLOW_DRAWS}
        found = bootstrap(main_of, len(scores), units=units, **draws)
        intervals[main] = _wider(found, intervals.get("exact_match"))
    return {**problem_type.metrics(scores, labels, tasks), "intervals": intervals}


def _wider(found: Interval, proportion: Interval | None) -> Interval:
    """Returns a bootstrap interval, or that of a proportion where all draws were equal."""
    if proportion is None or found[1] - found[0] > 1e-12:
        return found
    return min(found[0], proportion[0]), max(found[1], proportion[1])


def _by_unit(values: Array, units: Array) -> tuple[Array, Array]:
    """The sum of the values of each unit, and the number of them."""
    _, places = np.unique(units, return_inverse=True)
    return np.bincount(places, values), np.bincount(places)


def _members(units: Array) -> list[Array]:
    """The indices of each unit's examples, in the order of their first examples."""
    _, first, places = np.unique(units, return_index=True, return_inverse=True)
    order = np.argsort(first[places], kind="stable")
    return np.split(order, np.flatnonzero(np.diff(first[places][order])) + 1)


def _ratio_and_error(counts: Array, sums: Array, sizes: Array) -> tuple[Array, Array]:
    """The mean over all examples and its standard error; `counts` of each unit, [draws, units]."""
    total = counts @ sizes
    mean = (counts @ sums) / total
    squares = (
        counts @ sums**2 - 2 * mean * (counts @ (sums * sizes)) + mean**2 * (counts @ sizes**2)
    )
    groups = counts.sum(axis=1)
    scale = groups / np.maximum(groups - 1, 1)
    return mean, np.sqrt(np.maximum(squares, 0) * scale) / total


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
