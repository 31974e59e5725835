"""Figures of merit against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from tftransfer.metrics import metrics

RNG = np.random.default_rng(0)


def labelled(count=200, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[truth]
    return metrics.softmax(logits), np.eye(classes)[truth], truth


def test_softmax_and_sigmoid_by_hand():
    logits = np.array([[0, np.log(3)], [1000, 0]])
    np.testing.assert_allclose(metrics.softmax(logits), [[0.25, 0.75], [1, 0]], atol=1e-12)
    np.testing.assert_allclose(metrics.softmax([[0, np.log(9)]], 2.0), [[0.25, 0.75]])
    np.testing.assert_allclose(metrics.sigmoid([0, np.log(3), -1000]), [0.5, 0.75, 0], atol=1e-12)
    np.testing.assert_allclose(metrics.sigmoid([np.log(9)], 2.0), [0.75])
    assert metrics.softmax(np.zeros((1, 2), np.float16)).dtype == np.float64


@pytest.mark.parametrize(
    "problem_type, expected",
    [
        ("single_label", [[0.2, 0.8]]),
        ("multi_label", [[0.5, 0.8]]),
        ("regression", [[0, 2 * np.log(4)]]),
    ],
)
def test_probabilities_of_each_target(problem_type, expected):
    got = metrics.probabilities(np.array([[0, 2 * np.log(4)]]), problem_type, 2.0)
    np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("problem_type", ["single_label", "multi_label"])
def test_a_known_temperature_is_found(temperature, problem_type):
    rng = np.random.default_rng(1)
    honest = 1.5 * rng.normal(size=(20_000, 3))
    p = metrics.probabilities(honest, problem_type)
    if problem_type == "single_label":
        truth = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
        labels = np.eye(3)[np.minimum(truth, 2)]
    else:
        labels = (rng.random(p.shape) < p).astype(float)
    found = metrics.fit_temperature(temperature * honest, labels, problem_type)
    assert found == pytest.approx(temperature, rel=0.05)


def test_a_few_right_examples_do_not_make_the_scores_certain():
    logits, labels = 2.0 * np.eye(3), np.eye(3)
    assert 0.4 < metrics.fit_temperature(logits, labels, "single_label") < 1
    many = np.tile(logits, (2000, 1)), np.tile(labels, (2000, 1))
    assert metrics.fit_temperature(*many, "single_label") < 0.3


def test_there_is_nothing_to_fit_for_regression_or_without_examples():
    assert metrics.fit_temperature(np.ones((5, 1)), np.ones((5, 1)), "regression") == 1.0
    assert metrics.fit_temperature(np.zeros((0, 3)), np.zeros((0, 3)), "single_label") == 1.0


def test_log_loss_of_single_and_multi_label():
    probabilities, labels, truth = labelled()
    expected = sk.log_loss(truth, probabilities)
    assert metrics.log_loss(probabilities, labels) == pytest.approx(expected)
    several = np.array([[0.9, 0.2], [0.5, 0.5]])
    by_hand = -(np.log(0.9) + np.log(0.8) + np.log(0.5) + np.log(0.5)) / 2
    assert metrics.log_loss(several, np.array([[1, 0], [1, 1]])) == pytest.approx(by_hand)
    certain = metrics.log_loss(np.array([[1.0, 0.0]]), np.array([[0, 1]]))
    assert certain == pytest.approx(-np.log(1e-12))


def test_expected_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.65, 0.65, 1.0])
    correct = np.array([1, 0, 1, 1, 1])
    # Ten bins: [.9, 1] holds three with mean .9667 and accuracy 2/3, [.6, .7] two with 1.
    expected = (3 * abs(2.9 / 3 - 2 / 3) + 2 * abs(0.65 - 1)) / 5
    got = metrics.expected_calibration_error(confidence, correct, bins=10)
    assert got == pytest.approx(expected)
    # One bin: the gap of the means.
    got = metrics.expected_calibration_error(confidence, correct, bins=1)
    assert got == pytest.approx(abs(4.2 / 5 - 4 / 5))


def test_calibrated_scores_have_a_small_error_and_overconfident_ones_a_large():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.3, 1, 50_000)
    correct = rng.random(50_000) < confidence
    assert metrics.expected_calibration_error(confidence, correct) < 0.02
    assert metrics.expected_calibration_error(np.minimum(confidence + 0.2, 1), correct) > 0.1


def test_single_label_figures_are_scikit_learns():
    probabilities, labels, truth = labelled(classes=12)
    guess = probabilities.argmax(axis=1)
    got = metrics.metrics(probabilities, labels, "single_label")
    expected = {
        "accuracy": sk.accuracy_score(truth, guess),
        "top_5_accuracy": sk.top_k_accuracy_score(truth, probabilities, k=5),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, guess),
        "macro_f1": sk.f1_score(truth, guess, average="macro"),
        "log_loss": sk.log_loss(truth, probabilities),
    }
    assert got == pytest.approx(expected | {"ece": got["ece"]})
    right = probabilities.argmax(1) == truth
    assert got["ece"] == metrics.expected_calibration_error(probabilities.max(1), right)


@pytest.mark.parametrize("classes, top", [(2, None), (3, 2), (5, 3), (10, 5), (100, 5)])
def test_top_k_is_said_only_where_it_says_something(classes, top):
    probabilities, labels, truth = labelled(classes=classes)
    got = metrics.metrics(probabilities, labels, "single_label")
    named = [name for name in got if name.startswith("top_")]
    assert named == ([f"top_{top}_accuracy"] if top else [])
    if top:
        order = np.argsort(-probabilities, axis=1)[:, :top]
        assert got[named[0]] == np.mean([t in row for t, row in zip(truth, order)])


def test_multi_label_figures_are_scikit_learns():
    rng = np.random.default_rng(3)
    labels = (rng.random((300, 5)) < 0.4).astype(float)
    labels[:, 4] = 0
    given = np.clip(0.35 * labels + rng.random((300, 5)) * 0.6, 0, 1)
    guess = given >= 0.5
    got = metrics.metrics(given, labels, "multi_label")
    expected = {
        "exact_match": sk.accuracy_score(labels, guess),
        "macro_f1": sk.f1_score(labels, guess, average="macro", zero_division=0),
        "micro_f1": sk.f1_score(labels, guess, average="micro"),
        "mean_average_precision": sk.average_precision_score(labels[:, :4], given[:, :4]),
        "log_loss": sum(sk.log_loss(labels[:, k], given[:, k], labels=[0, 1]) for k in range(5)),
    }
    assert got == pytest.approx(expected | {"ece": got["ece"]}, rel=1e-6)


def test_multi_label_without_any_positive_has_no_average_precision():
    got = metrics.metrics(np.full((4, 3), 0.1), np.zeros((4, 3)), "multi_label")
    assert "mean_average_precision" not in got
    assert got["exact_match"] == 1


def test_regression_figures_are_scikit_learns():
    labels = RNG.normal(size=(50, 2))
    given = labels + 0.3 * RNG.normal(size=(50, 2))
    expected = {
        "r2": sk.r2_score(labels, given),
        "mean_absolute_error": np.abs(labels - given).mean(),
        "root_mean_squared_error": np.sqrt(((labels - given) ** 2).mean()),
    }
    assert metrics.metrics(given, labels, "regression") == pytest.approx(expected)
    assert metrics.metrics(given[:1], labels[:1], "regression")["r2"] == 0.0


def test_bootstrap_of_a_mean_is_the_normal_interval():
    values = np.random.default_rng(4).normal(3.0, 2.0, 400)
    low, high = metrics.bootstrap(lambda i: values[i].mean(), 400, draws=4000)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_bootstrap_repeats_by_seed_and_a_constant_has_no_width():
    values = np.arange(50.0)

    def mean(indices):
        return values[indices].mean()

    assert metrics.bootstrap(mean, 50, seed=1) == metrics.bootstrap(mean, 50, seed=1)
    assert metrics.bootstrap(mean, 50, seed=1) != metrics.bootstrap(mean, 50, seed=2)
    assert metrics.bootstrap(lambda i: 0.7, 50) == (0.7, 0.7)


@pytest.mark.parametrize(
    "problem_type, named",
    [
        ("single_label", {"accuracy", "log_loss"}),
        ("multi_label", {"exact_match", "macro_f1"}),
        ("regression", {"mean_absolute_error", "r2"}),
    ],
)
def test_intervals_hold_their_figure(problem_type, named):
    probabilities, labels, _ = labelled(150)
    got = metrics.with_intervals(probabilities, labels, problem_type)
    assert set(got["intervals"]) == named
    assert metrics.main_metric(problem_type) in named
    for name, (low, high) in got["intervals"].items():
        assert low < got[name] < high, name
    assert metrics.with_intervals(probabilities, labels, problem_type) == got
