"""Bootstrap intervals: their width, their seed, and the metrics they belong to."""

import numpy as np
import pytest

from tftransfer.core.problem_types import ProblemType
from tftransfer.metrics.intervals import bootstrap, with_intervals
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
