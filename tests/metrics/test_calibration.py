"""Calibration recovers a known temperature and measures known errors."""

import numpy as np
import pytest

from tftransfer.core.problem_types import ProblemType
from tftransfer.metrics.calibration import calibrate, expected_calibration_error, fit_temperature
from tftransfer.metrics.probabilities import log_loss


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


def logits_and_labels(count, temperature, seed):
    """Logits whose best temperature is known, and labels drawn from its probabilities."""
    rng = np.random.default_rng(seed)
    honest = 1.7 * rng.normal(size=(count, 4))
    p = ProblemType.SINGLE_LABEL.probabilities(honest)
    truth = (rng.random((count, 1)) > p.cumsum(axis=1)).sum(axis=1)
    return temperature * honest, np.eye(4)[np.minimum(truth, 3)]


def test_calibrate_on_few_examples_seldom_makes_the_loss_worse():
    worse = 0
    for seed in range(40):
        z, y = logits_and_labels(2020, 1.0, seed)
        found = calibrate(z[:20], y[:20], ProblemType.SINGLE_LABEL).temperature
        scores = [ProblemType.SINGLE_LABEL.probabilities(z[20:], t) for t in (1.0, found)]
        plain, fitted = (log_loss(each, y[20:]) for each in scores)
        worse += fitted > plain + 1e-4
    assert worse <= 6


@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_calibrate_with_evidence_fits_the_temperature(temperature):
    z, y = logits_and_labels(300, temperature, 1)
    found = calibrate(z, y, ProblemType.SINGLE_LABEL)
    assert found.temperature == pytest.approx(temperature, rel=0.3)
    assert found.reason == "fitted on 300 validation examples"


def test_calibrate_reports_why_the_temperature_is_one():
    z, y = logits_and_labels(40, 1.0, 3)
    assert calibrate(z[:6], y[:6], ProblemType.SINGLE_LABEL) == (
        1.0,
        "not fitted: 6 validation examples are too few",
    )
    assert calibrate(z, y, ProblemType.SINGLE_LABEL) == (
        1.0,
        "not fitted: 40 validation examples are no evidence that it lowers the loss",
    )
    groups = np.arange(40) % 4
    assert "4 validation groups" in calibrate(z, y, ProblemType.SINGLE_LABEL, units=groups).reason
    assert calibrate(y, y, ProblemType.REGRESSION).temperature == 1
