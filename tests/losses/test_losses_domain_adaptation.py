"""The losses between domains against NumPy and scikit-learn, and their invariances."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import cdist, pdist
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics import log_loss
from sklearn.metrics.pairwise import rbf_kernel

from tftransfer.losses import functional

RNG = np.random.default_rng(5)
SOURCE, TARGET = RNG.normal(size=(7, 3)), 1 + 2 * RNG.normal(size=(5, 3))
BETWEEN = [functional.mmd, functional.linear_mmd, functional.coral]
between = pytest.mark.parametrize("function", BETWEEN)


def mmd(x, y, multiples):
    base = (pdist(np.concatenate([x, y])) ** 2).mean()
    return sum(
        rbf_kernel(x, x, 1 / (u * base)).mean()
        + rbf_kernel(y, y, 1 / (u * base)).mean()
        - 2 * rbf_kernel(x, y, 1 / (u * base)).mean()
        for u in multiples
    )


@pytest.mark.parametrize("multiples", [(0.25, 0.5, 1, 2, 4), (1,), (3.0, 0.1)])
def test_mmd_equals_numpy(multiples):
    got = functional.mmd(SOURCE, TARGET, bandwidths=multiples)
    np.testing.assert_allclose(got, mmd(SOURCE, TARGET, multiples), rtol=1e-4)
    standard = functional.mmd(SOURCE, TARGET)
    np.testing.assert_allclose(standard, mmd(SOURCE, TARGET, (0.25, 0.5, 1, 2, 4)), rtol=1e-4)


def test_linear_mmd_equals_numpy():
    expected = ((SOURCE.mean(axis=0) - TARGET.mean(axis=0)) ** 2).sum()
    np.testing.assert_allclose(functional.linear_mmd(SOURCE, TARGET), expected, rtol=1e-5)


def test_coral_equals_numpy():
    difference = np.cov(SOURCE.T) - np.cov(TARGET.T)
    expected = np.linalg.norm(difference, "fro") ** 2 / (4 * 3**2)
    np.testing.assert_allclose(functional.coral(SOURCE, TARGET), expected, rtol=1e-5)


@between
def test_distances_are_symmetric_and_zero_between_equal_samples(function):
    there, back = float(function(SOURCE, TARGET)), float(function(TARGET, SOURCE))
    assert there == pytest.approx(back, rel=1e-5)
    assert there > 0.1
    assert float(function(SOURCE, SOURCE[::-1])) == pytest.approx(0, abs=1e-6)


@between
def test_distances_do_not_change_when_both_samples_are_shifted(function):
    moved = function(SOURCE + 100, TARGET + 100)
    np.testing.assert_allclose(moved, function(SOURCE, TARGET), rtol=1e-3)


def test_distances_depend_on_the_moments_that_they_compare():
    mirrored = 2 * SOURCE.mean(axis=0) - SOURCE
    assert float(functional.linear_mmd(SOURCE, mirrored)) == pytest.approx(0, abs=1e-6)
    assert float(functional.coral(SOURCE, SOURCE + 5)) == pytest.approx(0, abs=1e-6)
    assert float(functional.mmd(SOURCE, mirrored)) > 0.01
    assert float(functional.mmd(SOURCE, 3 * SOURCE)) == pytest.approx(
        float(functional.mmd(10 * SOURCE, 30 * SOURCE)), rel=1e-4
    )


@between
def test_distances_ignore_rows_of_weight_zero(function):
    keep_s, keep_t = np.float32([1, 0, 1, 1, 1, 0, 1]), np.float32([0, 1, 1, 1, 1])
    got = function(SOURCE, TARGET, keep_s, keep_t)
    np.testing.assert_allclose(got, function(SOURCE[keep_s > 0], TARGET[1:]), rtol=1e-5)
    got = function(SOURCE, TARGET, target_weight=keep_t)
    np.testing.assert_allclose(got, function(SOURCE, TARGET[1:]), rtol=1e-5)


@between
def test_distances_with_a_weight_of_two_equal_a_repeated_row(function):
    twice, half = np.float32([1, 2, 1, 3, 1, 1, 0]), np.float32([2, 1, 1, 1, 2])
    got = function(SOURCE, TARGET, twice, half)
    rows = [np.repeat(x, w.astype(int), axis=0) for x, w in ((SOURCE, twice), (TARGET, half))]
    np.testing.assert_allclose(got, function(*rows), rtol=1e-5)


@between
def test_distances_with_an_empty_domain_are_zero_without_gradient(function):
    x = tf.constant(SOURCE, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x, TARGET, None, np.zeros(5))
    assert float(value) == 0
    np.testing.assert_array_equal(tape.gradient(value, x), 0)


@between
def test_gradient_of_distances_brings_the_domains_together(function):
    x = tf.Variable(SOURCE, dtype=tf.float32)
    first = float(function(x, TARGET))
    for _ in range(100):
        with tf.GradientTape() as tape:
            value = function(x, TARGET)
        x.assign_sub(0.3 * tape.gradient(value, x))
    assert float(function(x, TARGET)) < 0.5 * first


def test_distances_far_from_zero_keep_their_precision():
    far = 1e4 + SOURCE.astype(np.float32)
    got = functional.prototype_logits(far, far[:4])
    np.testing.assert_allclose(-got, cdist(far, far[:4]) ** 2, atol=1e-4)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_domain_cross_entropy_equals_numpy(shape):
    logits, is_target = RNG.normal(size=(4, 1)), np.array([0, 1, 1, 0])
    got = functional.domain_cross_entropy(logits, is_target.reshape(shape))
    probability = 1 / (1 + np.exp(-logits[:, 0]))
    expected = [log_loss([t], [p], labels=[0, 1]) for t, p in zip(is_target, probability)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_multilinear_map_equals_the_outer_product():
    features, probabilities = RNG.normal(size=(3, 2)), RNG.random((3, 4))
    got = functional.multilinear_map(features, probabilities)
    expected = [np.kron(f, p) for f, p in zip(features, probabilities)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_entropy_and_certainty_weight_equal_scipy():
    logits = 3 * RNG.normal(size=(6, 4))
    expected = entropy(softmax(logits, axis=1), axis=1)
    np.testing.assert_allclose(functional.entropy(logits), expected, rtol=1e-4)
    weight = functional.certainty_weight(logits)
    np.testing.assert_allclose(weight, 1 + np.exp(-expected), rtol=1e-5)
    ends = functional.certainty_weight([[0.0] * 4, [1e4, 0, 0, 0]])
    np.testing.assert_allclose(ends, [1.25, 2])
