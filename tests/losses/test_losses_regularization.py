"""The penalties against NumPy, and their invariances."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.losses import functional

RNG = np.random.default_rng(3)
F, F0 = (RNG.normal(size=(3, 4, 4, 6)).astype(np.float32) for _ in range(2))


def test_delta_with_channel_weights_equals_numpy():
    weight = RNG.random(6)
    expected = [
        0.5 * sum(weight[c] * ((F - F0)[i, ..., c] ** 2).mean() for c in range(6)) for i in range(3)
    ]
    np.testing.assert_allclose(functional.delta(F, F0, weight), expected, rtol=1e-5)
    equal = functional.delta(F, F0, np.full(6, 1 / 6))
    np.testing.assert_allclose(functional.delta(F, F0), equal, rtol=1e-5)


def test_delta_does_not_depend_on_resolution():
    finer = [np.repeat(np.repeat(x, 3, axis=1), 3, axis=2) for x in (F, F0)]
    np.testing.assert_allclose(functional.delta(*finer), functional.delta(F, F0), rtol=1e-5)
    pooled = functional.delta(F[:, 0, 0], F0[:, 0, 0])
    np.testing.assert_allclose(pooled, functional.delta(F[:, :1, :1], F0[:, :1, :1]))


def test_delta_at_the_reference_is_zero_and_the_reference_gets_no_gradient():
    reference = tf.Variable(F0)
    with tf.GradientTape() as tape:
        value = functional.delta(F, reference)
    assert tape.gradient(value, reference) is None
    np.testing.assert_array_equal(functional.delta(F, F), 0)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6), (1, 4)])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_batch_spectral_shrinkage_equals_an_svd(shape, count):
    features = RNG.normal(size=shape)
    singular = np.sort(np.linalg.svd(features, compute_uv=False))
    got = functional.batch_spectral_shrinkage(features, count)
    np.testing.assert_allclose(got, (singular[:count] ** 2).sum(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5)])
def test_batch_spectral_shrinkage_gradient_equals_that_of_an_svd(shape):
    features = RNG.normal(size=shape)
    u, s, vt = np.linalg.svd(features, full_matrices=False)
    x = tf.constant(features, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = functional.batch_spectral_shrinkage(x, 2)
    expected = sum(2 * s[i] * np.outer(u[:, i], vt[i]) for i in (-1, -2))
    np.testing.assert_allclose(tape.gradient(value, x), expected, atol=1e-3)


def test_batch_spectral_shrinkage_treats_all_weights_above_zero_equally():
    features, weight = RNG.normal(size=(6, 4)), np.float32([0.2, 3, 0, 1.5, 0.1, 0.7])
    got = functional.batch_spectral_shrinkage(features, 2, weight)
    expected = functional.batch_spectral_shrinkage(features[weight > 0], 2)
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_batch_spectral_shrinkage_without_rank_or_rows_is_zero():
    assert float(functional.batch_spectral_shrinkage(np.ones((4, 6)))) == pytest.approx(0, abs=1e-5)
    assert float(functional.batch_spectral_shrinkage(np.ones((4, 6)), 9, np.zeros(4))) == 0
    whole = functional.batch_spectral_shrinkage(np.ones((4, 6)), 4)
    assert float(whole) == pytest.approx(24, rel=1e-5)
