"""Figures of merit from scores and labels, in NumPy; scikit-learn's where it has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tftransfer.data.label_tasks import Task

# Standard deviation of the prior of log T.
_PRIOR = 0.5


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """`exp(z / T) / sum exp(z / T)` of float [n, classes]; float64."""
    from scipy.special import softmax as scipy_softmax

    return scipy_softmax(np.asarray(logits, np.float64) / temperature, axis=-1)


def sigmoid(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """`1 / (1 + exp(-z / T))` of float [n, labels]; float64."""
    from scipy.special import expit

    return expit(np.asarray(logits, np.float64) / temperature)


def probabilities(
    logits: np.ndarray, problem_type: str, temperature: float = 1.0, tasks: Sequence[Task] = ()
) -> np.ndarray:
    """Scores as users see them: softmax (of each task), sigmoid, or the values of a regression."""
    if problem_type == "multi_task":
        parts = [softmax(logits[:, task.columns], temperature) for task in tasks]
        return np.concatenate(parts, axis=1)
    if problem_type == "single_label":
        return softmax(logits, temperature)
    if problem_type == "multi_label":
        return sigmoid(logits, temperature)
    return np.asarray(logits, np.float64)


def fit_temperature(
    logits: np.ndarray, labels: np.ndarray, problem_type: str, tasks: Sequence[Task] = ()
) -> float:
    """The T, one for all tasks, that minimises the log loss of the scores z / T (Guo et al., 2017).

    log T has a normal prior around 0, so that a handful of examples, all right by
    chance, cannot make the scores certain.

    Args:
      logits: float [n, k].
      labels: one-hot or 0/1, [n, k].
      problem_type: kind of label; regression has 1.
      tasks: of `multi_task`.

    Returns:
      T in [0.05, 20]; 1 when there is nothing to fit on.
    """
    if problem_type == "regression" or not len(logits):
        return 1.0
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        fit = log_loss(probabilities(logits, problem_type, np.exp(log_t), tasks), labels, tasks)
        return fit + 0.5 * (log_t / _PRIOR) ** 2 / len(logits)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def log_loss(scores: np.ndarray, labels: np.ndarray, tasks: Sequence[Task] = ()) -> float:
    """Mean over examples of minus the log-likelihood, in nats; with `tasks`, the mean of theirs.

    Args:
      scores: probabilities [n, k].
      labels: one-hot [n, k] where the rows of `scores` sum to 1, else 0/1.
      tasks: of `multi_task`.
    """
    if tasks:
        return float(np.mean([log_loss(s, y) for _, _, s, y in by_task(scores, labels, tasks)]))
    eps = 1e-12
    positive = labels * np.log(np.clip(scores, eps, 1))
    if np.allclose(scores.sum(axis=1), 1, atol=1e-4) and np.all(labels.sum(axis=1) == 1):
        return float(-positive.sum(axis=1).mean())
    negative = (1 - labels) * np.log(np.clip(1 - scores, eps, 1))
    return float(-(positive + negative).sum(axis=1).mean())


def expected_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Guo et al., 2017).

    Args:
      confidence: of the predicted class, float [n] in [0, 1].
      correct: whether it was right, [n].
      bins: number of bins.
    """
    which = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    total = 0.0
    for b in np.unique(which):
        inside = which == b
        total += abs(confidence[inside].mean() - correct[inside].mean()) * inside.sum()
    return float(total / len(confidence))


def by_task(
    scores: np.ndarray, labels: np.ndarray, tasks: Sequence[Task]
) -> Iterator[tuple[Task, np.ndarray, np.ndarray, np.ndarray]]:
    """Each task that has labels: where they are known, int [m]; scores and labels [m, count]."""
    for task in tasks:
        known = np.flatnonzero(labels[:, task.columns].any(axis=1))
        if len(known):
            yield task, known, scores[known, task.columns], labels[known, task.columns]


def mean_over_tasks(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """One value of each example, whose mean is the mean over tasks of the means of the known.

    Args:
      values: float [n, tasks].
      known: bool [n, tasks].
    """
    counts = known.sum(axis=0)
    share = len(known) / np.maximum(counts, 1) / max(1, np.count_nonzero(counts))
    return (np.where(known, values, 0) * share).sum(axis=1)


def metrics(
    scores: np.ndarray, labels: np.ndarray, problem_type: str, tasks: Sequence[Task] = ()
) -> dict[str, float]:
    """The figures that go with a kind of target; of several tasks, the means of theirs.

    Args:
      scores: as `probabilities` gives them, [n, k].
      labels: one-hot, 0/1 or values, [n, k].
      problem_type: kind of label.
      tasks: of `multi_task`.
    """
    if problem_type == "multi_task":
        each = [_single_label(s, y) for _, _, s, y in by_task(scores, labels, tasks)]
        shared = [name for name in each[0] if all(name in figures for figures in each)]
        return {name: float(np.mean([figures[name] for figures in each])) for name in shared}
    return _METRICS[problem_type](np.asarray(scores), np.asarray(labels))


def main_metric(problem_type: str) -> str:
    """The figure that stands for all in a table: higher is better."""
    return {
        "single_label": "accuracy",
        "multi_label": "macro_f1",
        "regression": "r2",
        "multi_task": "accuracy",
    }[problem_type]


def bootstrap(
    function: Callable[[np.ndarray], float], count: int, *, seed: int = 0, draws: int = 1000
) -> tuple[float, float]:
    """The 95 % percentile interval of a figure over resampled examples (Efron, 1979).

    Args:
      function: indices int [n] to the figure of those examples.
      count: n.
      seed: of the draws.
      draws: how many.
    """
    rng = np.random.default_rng(seed)
    values = [function(rng.integers(0, count, count)) for _ in range(draws)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def mean_interval(values: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of float [n]."""
    return bootstrap(lambda chosen: float(values[chosen].mean()), len(values), seed=seed)


def with_intervals(
    scores: np.ndarray,
    labels: np.ndarray,
    problem_type: str,
    tasks: Sequence[Task] = (),
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """`metrics`, and under `intervals` the 95 % interval of the main ones."""
    figures: dict[str, Any] = dict(metrics(scores, labels, problem_type, tasks))
    fast = _fast_figures(scores, labels, problem_type, tasks)
    figures["intervals"] = {name: mean_interval(per, seed=seed) for name, per in fast.items()}
    main = main_metric(problem_type)
    if main not in figures["intervals"]:

        def main_of(i: np.ndarray) -> float:
            return metrics(scores[i], labels[i], problem_type)[main]

        figures["intervals"][main] = bootstrap(main_of, len(scores), seed=seed, draws=200)
    return figures


def _fast_figures(
    scores: np.ndarray, labels: np.ndarray, problem_type: str, tasks: Sequence[Task]
) -> Mapping[str, Any]:
    if problem_type == "multi_task":
        return _of_tasks(scores, labels, tasks)
    if problem_type == "single_label":
        truth = labels.argmax(1)
        right = scores.argmax(1) == truth
        likelihood = scores[np.arange(len(truth)), truth]
        return {"accuracy": right, "log_loss": -np.log(np.clip(likelihood, 1e-12, 1))}
    if problem_type == "regression":
        return {"mean_absolute_error": np.abs(scores - labels).mean(axis=1)}
    return {"exact_match": ((scores >= 0.5) == (labels >= 0.5)).all(axis=1)}


def _of_tasks(
    scores: np.ndarray, labels: np.ndarray, tasks: Sequence[Task]
) -> Mapping[str, np.ndarray]:
    known = np.zeros((len(scores), len(tasks)), bool)
    values = {"accuracy": np.zeros(known.shape), "log_loss": np.zeros(known.shape)}
    for task, where, task_scores, task_labels in by_task(scores, labels, tasks):
        column = tasks.index(task)
        known[where, column] = True
        for name, each in _fast_figures(task_scores, task_labels, "single_label", ()).items():
            values[name][where, column] = each
    return {name: mean_over_tasks(each, known) for name, each in values.items()}


def _single_label(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import balanced_accuracy_score, f1_score

    truth, guess = labels.argmax(1), scores.argmax(1)
    k = min(5, (scores.shape[1] + 1) // 2)
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    figures = {
        "accuracy": float((truth == guess).mean()),
        f"top_{k}_accuracy": float((top == truth[:, None]).any(axis=1).mean()),
        "balanced_accuracy": _quiet(balanced_accuracy_score, truth, guess),
        "macro_f1": float(f1_score(truth, guess, average="macro", zero_division=0)),
        "log_loss": log_loss(scores, labels),
        "ece": expected_calibration_error(scores.max(1), truth == guess),
    }
    if k == 1:
        del figures["top_1_accuracy"]
    return figures


def _multi_label(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, f1_score

    guess, truth = scores >= 0.5, labels >= 0.5
    present = truth.any(axis=0)
    figures = {
        "exact_match": float((guess == truth).all(axis=1).mean()),
        "macro_f1": float(f1_score(truth, guess, average="macro", zero_division=0)),
        "micro_f1": float(f1_score(truth, guess, average="micro", zero_division=0)),
        "log_loss": log_loss(scores, labels),
        "ece": expected_calibration_error(
            np.where(guess, scores, 1 - scores).ravel(), (guess == truth).ravel()
        ),
    }
    if present.any():
        precision = average_precision_score(truth[:, present], scores[:, present])
        figures["mean_average_precision"] = float(precision)
    return figures


def _regression(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    return {
        "r2": float(r2_score(labels, scores)) if len(labels) > 1 else 0.0,
        "mean_absolute_error": float(mean_absolute_error(labels, scores)),
        "root_mean_squared_error": float(np.sqrt(mean_squared_error(labels, scores))),
    }


def _quiet(function: Callable[..., float], *arguments: Any) -> float:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function(*arguments))


_METRICS = {"single_label": _single_label, "multi_label": _multi_label, "regression": _regression}
