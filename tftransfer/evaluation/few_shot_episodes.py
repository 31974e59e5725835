"""N-way K-shot evaluation of frozen features (Vinyals et al., 2016).

Every method is evaluated on the same episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from tftransfer.core.typing import Array, ArrayLike
from tftransfer.probes.closed_form import SOLVERS
from tftransfer.utils import signals
from tftransfer.utils.errors import UserError, unknown_name

TRANSFORMS = ("none", "l2", "center_l2")
_MIN_EPISODES = 200
# 97.5 % quantile of the standard normal distribution.
_NORMAL_QUANTILE = 1.96
# Fixed options: a scale or a temperature does not change the predicted class of an episode.
_OPTIONS: dict[str, dict[str, float]] = {
    "prototypes": {"scale": 1.0},
    "cosine": {"scale": 1.0},
    "ridge": {"temperature": 1.0},
    "logistic": {"strength": 100.0},
}


class EpisodeRow(TypedDict):
    """The accuracy of a method over the episodes of one number of shots.

    Attributes:
      method: Name of the solver.
      ways: Number of classes of an episode.
      shots: Number of labeled examples of each class.
      episodes: Number of episodes.
      accuracy: Mean accuracy on the queries.
      low: Lower end of the 95 % interval.
      high: Upper end of the 95 % interval.
    """

    method: str
    ways: int
    shots: int
    episodes: int
    accuracy: float
    low: float
    high: float


def episodes(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    ways: int = 5,
    shots: Sequence[int] = (1, 5),
    queries: int = 15,
    count: int = 600,
    methods: Sequence[str] = ("prototypes", "ridge", "logistic", "cosine"),
    transform: str = "l2",
    base_mean: Array | None = None,
    seed: int = 0,
) -> list[EpisodeRow]:
    """Measures closed-form classifiers that are fitted on `shots` examples of `ways` classes.

    An episode draws classes that have enough examples, and queries and supports of each class. The
    supports of fewer shots are the first of those of more shots.

    Args:
      features: Frozen features, float [n, d].
      labels: Class indices, int [n].
      ways: Number of classes of an episode, at least 2.
      shots: Numbers of supports of each class, one or several.
      queries: Number of queries of each class.
      count: Number of episodes, at least 200.
      methods: Names in `closed_form.SOLVERS`.
      transform: `none`; `l2`, rows of unit length; or `center_l2`, rows minus a mean, then of unit
        length (CL2N of SimpleShot, Wang et al., 2019).
      base_mean: Mean feature of the source's classes, float [d], for `center_l2`; None takes the
        mean of each episode's support. Queries have no influence on it.
      seed: Seed of the draws; episode i does not depend on the number of episodes.

    Returns:
      A row for each method and number of shots.

    Raises:
      UserError: There are too few episodes, classes or examples, or a method or the transform is
        unknown.
    """
    from threadpoolctl import threadpool_limits

    features, labels = np.asarray(features), np.asarray(labels)
    _check_arrays(features, labels, base_mean, transform)
    _check_numbers(ways, shots, queries, count)
    for method in methods:
        SOLVERS[method]  # an unknown name is an error with the nearest names
    drawn = max(shots) + queries
    indices = _indices_by_class(labels, ways, drawn)
    accuracies: dict[tuple[str, int], list[float]] = {(m, k): [] for k in shots for m in methods}
    with threadpool_limits(1):  # once: it takes 5 ms
        for episode in _draws(indices, ways, drawn, count, seed):
            signals.raise_if_stop_requested()
            query = features[episode[:, max(shots) :]].reshape(ways * queries, -1)
            for k in shots:
                support = features[episode[:, :k]].reshape(ways * k, -1)
                pair = _transformed(support, query, transform, base_mean)
                for method in methods:
                    accuracies[method, k].append(_accuracy(method, *pair, ways))
    return [_row(method, ways, k, values) for (method, k), values in accuracies.items()]


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns the mean and its normal 95 % interval, `mean +- 1.96 s / sqrt(n)`.

    s is the standard deviation with n - 1 degrees of freedom.
    """
    mean = float(np.mean(values))
    half = _NORMAL_QUANTILE * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return mean, mean - half, mean + half


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns a Markdown table of methods by numbers of shots, the best of each column in bold."""
    columns = list(dict.fromkeys((row["ways"], row["shots"]) for row in rows))
    cells = {(row["method"], row["ways"], row["shots"]): row for row in rows}
    best = {c: max(r["accuracy"] for r in rows if (r["ways"], r["shots"]) == c) for c in columns}

    def cell(method: str, column: tuple[int, int]) -> str:
        row = cells.get((method, *column))
        if row is None:
            return ""
        mark = "**" if row["accuracy"] == best[column] else ""
        return f"{mark}{row['accuracy']:.3f}{mark} ± {row['high'] - row['accuracy']:.3f}"

    lines = [
        ["method", *(f"{ways}-way {shots}-shot" for ways, shots in columns)],
        ["---", *("---:" for _ in columns)],
        *(
            [method, *(cell(method, column) for column in columns)]
            for method in dict.fromkeys(row["method"] for row in rows)
        ),
    ]
    return [f"| {' | '.join(line)} |" for line in lines]


def _row(method: str, ways: int, shots: int, values: list[float]) -> EpisodeRow:
    accuracy, low, high = interval(values)
    return {
        "method": method,
        "ways": ways,
        "shots": shots,
        "episodes": len(values),
        "accuracy": accuracy,
        "low": low,
        "high": high,
    }


def _draws(
    indices: Sequence[Array], ways: int, each: int, count: int, seed: int
) -> Iterator[Array]:
    """Yields the distinct indices [ways, each] of every episode."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        classes = rng.choice(len(indices), ways, replace=False)
        yield np.stack([rng.choice(indices[c], each, replace=False) for c in classes])


def _transformed(
    support: Array, query: Array, transform: str, base_mean: Array | None
) -> tuple[Array, Array]:
    from sklearn.preprocessing import normalize

    if transform == "none":
        return support, query
    if transform == "center_l2":
        center = support.mean(axis=0) if base_mean is None else base_mean
        support, query = support - center, query - center
    return normalize(support), normalize(query)


def _accuracy(method: str, support: Array, query: Array, ways: int) -> float:
    targets = np.repeat(np.eye(ways), len(support) // ways, axis=0)
    kernel, bias = SOLVERS[method](support, targets, **_OPTIONS.get(method, {}))
    # The length of a query does not change which class has the largest cosine.
    predicted = (query @ kernel + bias).argmax(axis=1)
    return float((predicted == np.repeat(np.arange(ways), len(query) // ways)).mean())


def _remedy(enough: int, each: int) -> str:
    """Returns what to do if so few classes have `each` examples."""
    if enough > 1:
        return f"Give --ways={enough}, or label more examples."
    return f"Label {each} of two classes or more; in Python, give fewer shots or queries."


def _indices_by_class(labels: Array, ways: int, each: int) -> list[Array]:
    """Indices of the examples of every class that has enough of them."""
    indices = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    enough = [found for found in indices if len(found) >= each]
    if len(enough) < ways:
        raise UserError(
            f"{len(enough)} of {len(indices)} classes have the {each} examples that shots and "
            f"queries need; an episode needs {ways} classes.",
            _remedy(len(enough), each),
        )
    return enough


def _check_arrays(features: Array, labels: Array, base_mean: Array | None, transform: str) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise UserError(
            f"The features have the shape {list(features.shape)} and the labels "
            f"{list(labels.shape)}.",
            "Give features [n, d] and class indices [n].",
        )
    if transform not in TRANSFORMS:
        raise unknown_name("transform of few-shot features", transform, TRANSFORMS)
    if base_mean is None:
        return
    if transform != "center_l2" or np.shape(base_mean) != features.shape[1:]:
        raise UserError(
            f"A base mean of the shape {list(np.shape(base_mean))} does not match "
            f"transform={transform!r} and features of the shape {list(features.shape)}.",
            "Give float [d] with transform='center_l2', or no base mean.",
        )


def _check_numbers(ways: int, shots: Sequence[int], queries: int, count: int) -> None:
    if ways < 2 or not shots or min(shots) < 1 or queries < 1:
        raise UserError(
            f"An episode cannot have {ways} ways, {list(shots)} shots and {queries} queries.",
            "Use at least 2 ways, 1 shot and 1 query.",
        )
    if count < _MIN_EPISODES:
        raise UserError(
            f"The interval of {count} episodes is too wide.", f"Use {_MIN_EPISODES} or more."
        )
