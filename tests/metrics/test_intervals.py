"""Bootstrap intervals: their width, their seed, and the metrics they belong to."""

import numpy as np
import pytest

from tftransfer.core.problem_types import ProblemType
from tftransfer.metrics.intervals import (
    bootstrap,
    difference_interval,
    effective_count,
    mean_interval,
    proportion_interval,
    with_intervals,
)
from tftransfer.metrics.probabilities import softmax


def labeled(count=200, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[truth]
    return softmax(logits), np.eye(classes)[truth], truth


def test_bootstrap_of_a_mean_equals_the_normal_interval():
    values = np.random.default_rng(4).normal(3.0, 2.0, 400)
    low, high = bootstrap(lambda i: values[i].mean(), 400, draws=4000)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_bootstrap_with_one_seed_repeats_and_of_a_constant_has_no_width():
    values = np.arange(50.0)

    def mean(indices):
        return values[indices].mean()

    assert bootstrap(mean, 50, seed=1) == bootstrap(mean, 50, seed=1)
    assert bootstrap(mean, 50, seed=1) != bootstrap(mean, 50, seed=2)
    assert bootstrap(lambda i: 0.7, 50) == (0.7, 0.7)


@pytest.mark.parametrize(
    "problem_type, named",
    [
        (ProblemType.SINGLE_LABEL, {"accuracy", "log_loss"}),
        (ProblemType.MULTI_LABEL, {"exact_match", "macro_f1"}),
        (ProblemType.REGRESSION, {"mean_absolute_error", "r2"}),
    ],
)
def test_with_intervals_contains_each_metric_in_its_interval(problem_type, named):
    probabilities, labels, _ = labeled(150)
    got = with_intervals(probabilities, labels, problem_type)
    assert set(got["intervals"]) == named
    assert problem_type.main_metric in named
    for name, (low, high) in got["intervals"].items():
        assert low < got[name] < high, name
    assert with_intervals(probabilities, labels, problem_type) == got


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(18, 18, 0.8216, 1.0), (0, 18, 0.0, 0.1784), (9, 10, 0.5555, 0.9949), (1, 1, 0.05, 1.0)],
)
def test_proportion_of_few_examples_has_the_exact_interval(right, count, low, high):
    assert proportion_interval(right / count, count) == pytest.approx((low, high), abs=2e-3)


@pytest.mark.parametrize(("right", "count"), [(18, 18), (3, 10), (25, 30), (480, 500)])
def test_proportion_interval_holds_the_accuracies_that_a_definition_accepts(right, count):
    """Blaker: the tail of the observed number and the other tail that is no more likely."""
    from scipy.stats import binom

    numbers, accepted = np.arange(count + 1), []
    for accuracy in np.linspace(0.001, 0.999, 999):
        below, above = binom.cdf(numbers, count, accuracy), binom.sf(numbers - 1, count, accuracy)
        smaller = np.minimum(below, above)
        unlikely = smaller <= smaller[right] * (1 + 1e-9)
        if binom.pmf(numbers[unlikely], count, accuracy).sum() >= 0.05:
            accepted.append(accuracy)
    low, high = proportion_interval(right / count, count)
    assert low == pytest.approx(accepted[0], abs=2e-3)
    assert high == pytest.approx(max(accepted[-1], right / count), abs=2e-3)


@pytest.mark.parametrize("count", [10, 18, 29, 30, 100, 500])
@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.9])
def test_proportion_interval_covers_the_accuracy(count, accuracy):
    from scipy.stats import binom

    covered = 0.0
    for right in range(count + 1):
        low, high = proportion_interval(right / count, count)
        covered += (low <= accuracy <= high) * binom.pmf(right, count, accuracy)
    assert covered >= 0.95


@pytest.mark.parametrize("count", [30, 100, 500])
def test_proportion_interval_covers_no_more_than_97_percent_of_accuracies(count):
    from scipy.stats import binom

    ends = np.array([proportion_interval(k / count, count) for k in range(count + 1)])
    covered = [
        binom.pmf(np.arange(count + 1), count, p) @ ((ends[:, 0] <= p) & (p <= ends[:, 1]))
        for p in np.linspace(0.5, 1, 51)
    ]
    assert np.mean(covered) <= 0.97


def test_effective_count_of_independent_examples_is_their_number():
    values = np.random.default_rng(0).random(60) < 0.8
    assert effective_count(values, np.arange(60)) == 60
    assert effective_count(np.ones(60), np.arange(60)) == 60


def test_effective_count_of_copies_is_the_number_of_contents():
    values = np.random.default_rng(0).random(200) < 0.7
    copies = np.repeat(values, 5)
    assert effective_count(copies, np.repeat(np.arange(200), 5)) == pytest.approx(200, rel=0.02)
    assert effective_count(np.ones(1000), np.repeat(np.arange(200), 5)) == 200
    assert effective_count(copies, np.zeros(1000)) == 1


def test_intervals_are_over_groups_and_not_over_their_examples():
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(40) < 0.75, 25)  # groups that are right or wrong as a whole
    scores = np.where(right[:, None], [0.1, 0.9], [0.9, 0.1])
    labels = np.tile([0.0, 1.0], (1000, 1))
    groups = np.repeat(np.arange(40), 25)
    rows = with_intervals(scores, labels, ProblemType.SINGLE_LABEL)["intervals"]
    grouped = with_intervals(scores, labels, ProblemType.SINGLE_LABEL, units=groups)["intervals"]
    for name in ("accuracy", "log_loss"):
        assert 3.5 < np.diff(grouped[name]) / np.diff(rows[name]) < 7.5, name  # sqrt(25) is 5


def test_perfect_multi_label_predictions_of_few_examples_have_an_interval():
    labels = np.eye(3)[np.arange(18) % 3]
    got = with_intervals(labels, labels, ProblemType.MULTI_LABEL)
    assert got["macro_f1"] == 1 and got["intervals"]["macro_f1"] == pytest.approx(
        (0.8216, 1), abs=2e-3
    )


def test_one_example_has_an_interval_of_its_accuracy_only():
    got = with_intervals(np.array([[0.2, 0.8]]), np.array([[0.0, 1.0]]), ProblemType.SINGLE_LABEL)
    assert set(got["intervals"]) == {"accuracy"}
    one = with_intervals(np.ones((1, 1)), np.ones((1, 1)), ProblemType.REGRESSION)
    assert one["intervals"] == {}


@pytest.mark.parametrize("count", [3, 12])
def test_mean_interval_of_skewed_values_is_wider_above(count):
    values = np.random.default_rng(count).exponential(size=count)
    low, high = mean_interval(values)
    assert 0 <= low < values.mean() < high


def test_difference_of_equal_results_is_no_certainty():
    low, high = difference_interval(np.zeros(18))
    assert low == pytest.approx(-high) and 0.1 < high < 0.2
    low, high = difference_interval(np.ones(18))
    assert 0.6 < low < high == 1
    low, high = difference_interval(np.r_[np.zeros(9000), np.ones(1000)])
    assert low == pytest.approx(0.1 - 1.96 * 0.003, abs=1e-3)
