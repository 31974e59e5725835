"""Calibration recovers a known temperature and measures known errors."""

import numpy as np
import pytest

from tftransfer.core.problem_types import ProblemType
from tftransfer.metrics.calibration import expected_calibration_error, fit_temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("problem_type", [ProblemType.SINGLE_LABEL, ProblemType.MULTI_LABEL])
def test_fit_temperature_recovers_a_known_temperature(temperature, problem_type):
    rng = np.random.default_rng(1)
    honest = 1.5 * rng.normal(size=(20_000, 3))
    p = problem_type.probabilities(honest)
    if problem_type is ProblemType.SINGLE_LABEL:
        truth = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
        labels = np.eye(3)[np.minimum(truth, 2)]
    else:
        labels = (rng.random(p.shape) < p).astype(float)
    found = fit_temperature(temperature * honest, labels, problem_type)
    assert found == pytest.approx(temperature, rel=0.05)


def test_fit_temperature_on_a_few_correct_examples_stays_near_one():
    logits, labels = 2.0 * np.eye(3), np.eye(3)
    assert 0.4 < fit_temperature(logits, labels, ProblemType.SINGLE_LABEL) < 1
    many = np.tile(logits, (2000, 1)), np.tile(labels, (2000, 1))
    assert fit_temperature(*many, ProblemType.SINGLE_LABEL) < 0.3


def test_fit_temperature_without_examples_or_for_regression_is_one():
    assert fit_temperature(np.ones((5, 1)), np.ones((5, 1)), ProblemType.REGRESSION) == 1.0
    assert fit_temperature(np.zeros((0, 3)), np.zeros((0, 3)), ProblemType.SINGLE_LABEL) == 1.0


def test_expected_calibration_error_equals_values_by_hand():
    confidence = np.array([0.95, 0.95, 0.65, 0.65, 1.0])
    correct = np.array([1, 0, 1, 1, 1])
    # Ten bins: [.9, 1] holds three with mean .9667 and accuracy 2/3, [.6, .7] two with 1.
    expected = (3 * abs(2.9 / 3 - 2 / 3) + 2 * abs(0.65 - 1)) / 5
    got = expected_calibration_error(confidence, correct, bins=10)
    assert got == pytest.approx(expected)
    # One bin: the gap of the means.
    got = expected_calibration_error(confidence, correct, bins=1)
    assert got == pytest.approx(abs(4.2 / 5 - 4 / 5))


def test_expected_calibration_error_is_small_when_calibrated_and_large_when_overconfident():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.3, 1, 50_000)
    correct = rng.random(50_000) < confidence
    assert expected_calibration_error(confidence, correct) < 0.02
    assert expected_calibration_error(np.minimum(confidence + 0.2, 1), correct) > 0.1
