"""Metrics of each problem type against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sk

from tftransfer.core.problem_types import ProblemType
from tftransfer.metrics.calibration import expected_calibration_error
from tftransfer.metrics.probabilities import softmax

RNG = np.random.default_rng(0)


def labeled(count=200, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[truth]
    return softmax(logits), np.eye(classes)[truth], truth


def test_metrics_of_single_labels_equal_scikit_learn():
    probabilities, labels, truth = labeled(classes=12)
    guess = probabilities.argmax(axis=1)
    got = ProblemType.SINGLE_LABEL.metrics(probabilities, labels)
    expected = {
        "accuracy": sk.accuracy_score(truth, guess),
        "top_5_accuracy": sk.top_k_accuracy_score(truth, probabilities, k=5),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, guess),
        "macro_f1": sk.f1_score(truth, guess, average="macro"),
        "log_loss": sk.log_loss(truth, probabilities),
    }
    assert got == pytest.approx(expected | {"ece": got["ece"]})
    right = probabilities.argmax(1) == truth
    assert got["ece"] == expected_calibration_error(probabilities.max(1), right)


@pytest.mark.parametrize("classes, top", [(2, None), (3, 2), (5, 3), (10, 5), (100, 5)])
def test_top_k_accuracy_is_present_only_where_k_is_above_one(classes, top):
    probabilities, labels, truth = labeled(classes=classes)
    got = ProblemType.SINGLE_LABEL.metrics(probabilities, labels)
    named = [name for name in got if name.startswith("top_")]
    assert named == ([f"top_{top}_accuracy"] if top else [])
    if top:
        order = np.argsort(-probabilities, axis=1)[:, :top]
        assert got[named[0]] == np.mean([t in row for t, row in zip(truth, order)])


def test_metrics_of_multiple_labels_equal_scikit_learn():
    rng = np.random.default_rng(3)
    labels = (rng.random((300, 5)) < 0.4).astype(float)
    labels[:, 4] = 0
    given = np.clip(0.35 * labels + rng.random((300, 5)) * 0.6, 0, 1)
    guess = given >= 0.5
    got = ProblemType.MULTI_LABEL.metrics(given, labels)
    expected = {
        "exact_match": sk.accuracy_score(labels, guess),
        "macro_f1": sk.f1_score(
            labels, guess, average="macro", labels=np.flatnonzero(labels.any(axis=0))
        ),
        "micro_f1": sk.f1_score(labels, guess, average="micro"),
        "mean_average_precision": sk.average_precision_score(labels[:, :4], given[:, :4]),
        "log_loss": sum(sk.log_loss(labels[:, k], given[:, k], labels=[0, 1]) for k in range(5)),
    }
    assert got == pytest.approx(expected | {"ece": got["ece"]}, rel=1e-6)


def test_metrics_of_multiple_labels_without_a_positive_lack_average_precision():
    got = ProblemType.MULTI_LABEL.metrics(np.full((4, 3), 0.1), np.zeros((4, 3)))
    assert "mean_average_precision" not in got
    assert got["exact_match"] == 1


def test_metrics_of_regression_equal_scikit_learn():
    labels = RNG.normal(size=(50, 2))
    given = labels + 0.3 * RNG.normal(size=(50, 2))
    expected = {
        "r2": sk.r2_score(labels, given),
        "mean_absolute_error": np.abs(labels - given).mean(),
        "root_mean_squared_error": np.sqrt(((labels - given) ** 2).mean()),
    }
    assert ProblemType.REGRESSION.metrics(given, labels) == pytest.approx(expected)
    assert ProblemType.REGRESSION.metrics(given[:1], labels[:1])["r2"] == 0.0
