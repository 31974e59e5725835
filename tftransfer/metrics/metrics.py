"""Metrics of scores and labels for each problem type, by scikit-learn where it has them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from tftransfer.core.problem_types import METRICS, ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.metrics.calibration import expected_calibration_error
from tftransfer.metrics.probabilities import by_task, log_loss


@METRICS.register(ProblemType.SINGLE_LABEL)
def _of_single_label(scores: Array, labels: Array, tasks: Sequence[Task]) -> dict[str, float]:
    from sklearn.metrics import balanced_accuracy_score, f1_score

    truth, guess = labels.argmax(1), scores.argmax(1)
    k = min(5, (scores.shape[1] + 1) // 2)
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = {
        "accuracy": float((truth == guess).mean()),
        f"top_{k}_accuracy": float((top == truth[:, None]).any(axis=1).mean()),
        "balanced_accuracy": _without_warnings(balanced_accuracy_score, truth, guess),
        "macro_f1": float(
            f1_score(truth, guess, average="macro", labels=np.unique(truth), zero_division=0)
        ),
        "log_loss": log_loss(scores, labels),
        "ece": expected_calibration_error(scores.max(1), truth == guess),
    }
    if k == 1:
        del found["top_1_accuracy"]
    return found


@METRICS.register(ProblemType.MULTI_LABEL)
def _of_multi_label(scores: Array, labels: Array, tasks: Sequence[Task]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, f1_score

    guess, truth = scores >= 0.5, labels >= 0.5
    present = truth.any(axis=0)
    found = {
        "exact_match": float((guess == truth).all(axis=1).mean()),
        "macro_f1": _macro_f1(truth[:, present], guess[:, present]),
        "micro_f1": float(f1_score(truth, guess, average="micro", zero_division=0)),
        "log_loss": log_loss(scores, labels),
        "ece": expected_calibration_error(
            np.where(guess, scores, 1 - scores).ravel(), (guess == truth).ravel()
        ),
    }
    if present.any():
        precision = average_precision_score(truth[:, present], scores[:, present])
        found["mean_average_precision"] = float(precision)
    return found


def _macro_f1(truth: Array, guess: Array) -> float:
    """The mean of 2 TP / (2 TP + FP + FN) over labels that some example has; 0 without any."""
    positives = truth.sum(axis=0) + guess.sum(axis=0)
    f1 = 2 * (truth & guess).sum(axis=0) / np.maximum(positives, 1)
    return float(f1.mean()) if len(f1) else 0.0


@METRICS.register(ProblemType.REGRESSION)
def _of_regression(scores: Array, labels: Array, tasks: Sequence[Task]) -> dict[str, float]:
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    varies = np.ptp(labels, axis=0) > 0  # of a constant column nothing can be explained
    some = varies.any() and len(labels) > 1
    return {
        "r2": float(r2_score(labels[:, varies], scores[:, varies])) if some else 0.0,
        "mean_absolute_error": float(mean_absolute_error(labels, scores)),
        "root_mean_squared_error": float(np.sqrt(mean_squared_error(labels, scores))),
    }


@METRICS.register(ProblemType.MULTI_TASK)
def _of_multi_task(scores: Array, labels: Array, tasks: Sequence[Task]) -> dict[str, float]:
    """The mean over tasks of each metric that all of them have."""
    each = [_of_single_label(s, y, ()) for _, _, s, y in by_task(scores, labels, tasks)]
    shared = [name for name in each[0] if all(name in found for found in each)]
    return {name: float(np.mean([found[name] for found in each])) for name in shared}


def _without_warnings(metric: Callable[..., float], truth: Array, guess: Array) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(metric(truth, guess))
