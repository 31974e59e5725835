"""Probabilities against values by hand and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sk

from tftransfer.core.problem_types import ProblemType
from tftransfer.metrics.probabilities import log_loss, sigmoid, softmax


def labeled(count=200, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[truth]
    return softmax(logits), np.eye(classes)[truth], truth


def test_softmax_and_sigmoid_equal_values_by_hand():
    logits = np.array([[0, np.log(3)], [1000, 0]])
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [1, 0]], atol=1e-12)
    np.testing.assert_allclose(softmax([[0, np.log(9)]], 2.0), [[0.25, 0.75]])
    np.testing.assert_allclose(sigmoid([0, np.log(3), -1000]), [0.5, 0.75, 0], atol=1e-12)
    np.testing.assert_allclose(sigmoid([np.log(9)], 2.0), [0.75])
    assert softmax(np.zeros((1, 2), np.float16)).dtype == np.float64


@pytest.mark.parametrize(
    "problem_type, expected",
    [
        (ProblemType.SINGLE_LABEL, [[0.2, 0.8]]),
        (ProblemType.MULTI_LABEL, [[0.5, 0.8]]),
        (ProblemType.REGRESSION, [[0, 2 * np.log(4)]]),
    ],
)
def test_probabilities_of_each_problem_type_equal_values_by_hand(problem_type, expected):
    got = problem_type.probabilities(np.array([[0, 2 * np.log(4)]]), 2.0)
    np.testing.assert_allclose(got, expected)


def test_log_loss_equals_scikit_learn_and_values_by_hand():
    probabilities, labels, truth = labeled()
    expected = sk.log_loss(truth, probabilities)
    assert log_loss(probabilities, labels) == pytest.approx(expected)
    several = np.array([[0.9, 0.2], [0.5, 0.5]])
    by_hand = -(np.log(0.9) + np.log(0.8) + np.log(0.5) + np.log(0.5)) / 2
    assert log_loss(several, np.array([[1, 0], [1, 1]])) == pytest.approx(by_hand)
    certain = log_loss(np.array([[1.0, 0.0]]), np.array([[0, 1]]))
    assert certain == pytest.approx(-np.log(1e-12))
