"""N-way K-shot evaluation of frozen features (Vinyals et al., 2016): same episodes for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tftransfer.probes.closed_form import SOLVERS
from tftransfer.utils import signals
from tftransfer.utils.errors import UserError, unknown_name

TRANSFORMS = ("none", "l2", "centre_l2")
_LEAST_EPISODES = 200
# Nothing to choose or calibrate inside an episode: a scale does not change which class wins.
_OPTIONS: dict[str, dict[str, float]] = {
    "prototypes": {"scale": 1.0},
    "cosine": {"scale": 1.0},
    "ridge": {"temperature": 1.0},
    "logistic": {"strength": 100.0},
}


def episodes(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    ways: int = 5,
    shots: Sequence[int] = (1, 5),
    queries: int = 15,
    episodes: int = 600,
    methods: Sequence[str] = ("prototypes", "ridge", "logistic", "cosine"),
    transform: str = "l2",
    base_mean: np.ndarray | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Accuracy of closed-form classifiers that see `shots` examples of each of `ways` classes.

    An episode draws classes that have enough examples, and of each class queries and
    supports; fewer shots are the first of the more. Every method sees the same.

    Args:
      features: float [n, d].
      labels: int [n].
      ways: classes of an episode.
      shots: supports of each class, one or more numbers.
      queries: of each class.
      episodes: how many, 200 or more.
      methods: names in `closed_form.SOLVERS`.
      transform: `none`; `l2`, unit rows; or `centre_l2`, unit rows of the features less a
        mean (CL2N of SimpleShot, Wang et al., 2019).
      base_mean: float [d], of the source's classes, for `centre_l2`; None takes the mean of
        each episode's support. Queries never enter it.
      seed: of the draws; episode i is the same whatever the number of episodes.

    Returns:
      A row for each method and number of shots: `method`, `ways`, `shots`, `episodes`,
      `accuracy`, and its 95 % interval, `low` and `high`.

    Raises:
      UserError: too few episodes, classes or examples; an unknown method or transform.
    """
    from threadpoolctl import threadpool_limits

    features, labels = np.asarray(features), np.asarray(labels)
    _check(features, labels, base_mean, transform)
    _check_numbers(ways, shots, queries, episodes)
    for method in methods:
        SOLVERS[method]  # an unknown name is an error that gives the nearest
    places = _places(labels, ways, max(shots) + queries)
    found: dict[tuple[str, int], list[float]] = {(m, k): [] for k in shots for m in methods}
    with threadpool_limits(1):  # once: it costs 5 ms
        for drawn in _draws(places, ways, max(shots) + queries, episodes, seed):
            signals.raise_if_stop_requested()
            query = features[drawn[:, max(shots) :]].reshape(ways * queries, -1)
            for k in shots:
                support = features[drawn[:, :k]].reshape(ways * k, -1)
                pair = _transformed(support, query, transform, base_mean)
                for method in methods:
                    found[method, k].append(_accuracy(method, *pair, ways))
    return [_row(method, ways, k, values) for (method, k), values in found.items()]


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its normal 95 % interval, `mean +- 1.96 s / sqrt(n)`, s with n - 1."""
    mean = float(np.mean(values))
    half = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return mean, mean - half, mean + half


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of a Markdown table: methods down, shots across, the best of a column in bold."""
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


def _row(method: str, ways: int, shots: int, values: list[float]) -> dict[str, Any]:
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
    places: list[np.ndarray], ways: int, each: int, count: int, seed: int
) -> Iterator[np.ndarray]:
    """Indices [ways, each] of every episode, none of them twice."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        classes = rng.choice(len(places), ways, replace=False)
        yield np.stack([rng.choice(places[c], each, replace=False) for c in classes])


def _transformed(
    support: np.ndarray, query: np.ndarray, transform: str, base_mean: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.preprocessing import normalize

    if transform == "none":
        return support, query
    if transform == "centre_l2":
        middle = support.mean(axis=0) if base_mean is None else base_mean
        support, query = support - middle, query - middle
    return normalize(support), normalize(query)


def _accuracy(method: str, support: np.ndarray, query: np.ndarray, ways: int) -> float:
    targets = np.repeat(np.eye(ways), len(support) // ways, axis=0)
    kernel, bias = SOLVERS[method](support, targets, **_OPTIONS.get(method, {}))
    guess = (query @ kernel + bias).argmax(axis=1)  # a query's length does not turn a cosine
    return float((guess == np.repeat(np.arange(ways), len(query) // ways)).mean())


def _places(labels: np.ndarray, ways: int, each: int) -> list[np.ndarray]:
    """Indices of every class that has enough examples."""
    places = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    enough = [p for p in places if len(p) >= each]
    if len(enough) < ways:
        raise UserError(
            f"{len(enough)} of {len(places)} classes have the {each} examples that shots and "
            f"queries need; an episode takes {ways} classes.",
            "Take fewer ways, shots or queries, or label more examples.",
        )
    return enough


def _check(
    features: np.ndarray, labels: np.ndarray, base_mean: np.ndarray | None, transform: str
) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise UserError(
            f"Features are {list(features.shape)} and labels {list(labels.shape)}.",
            "Give features [n, d] and class indices [n].",
        )
    if transform not in TRANSFORMS:
        raise unknown_name("transform of few-shot features", transform, TRANSFORMS)
    if base_mean is None:
        return
    if transform != "centre_l2" or np.shape(base_mean) != features.shape[1:]:
        raise UserError(
            f"A base mean {list(np.shape(base_mean))} does not go with transform={transform!r} "
            f"and features {list(features.shape)}.",
            "Give float [d] with transform='centre_l2', or none.",
        )


def _check_numbers(ways: int, shots: Sequence[int], queries: int, episodes: int) -> None:
    if ways < 2 or not shots or min(shots) < 1 or queries < 1:
        raise UserError(
            f"An episode of {ways} ways, {list(shots)} shots and {queries} queries is none.",
            "Take 2 ways or more, and 1 shot and 1 query or more.",
        )
    if episodes < _LEAST_EPISODES:
        raise UserError(
            f"{episodes} episodes leave too wide an interval.", f"Take {_LEAST_EPISODES} or more."
        )
