"""Further properties of the supervised losses."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit
from sklearn.metrics import log_loss

from tftransfer.losses import functional

RNG = np.random.default_rng(2)


def gradient(function, x):
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x).numpy()


def test_cross_entropy_equals_scikit_learn():
    logits = RNG.normal(size=(8, 3))
    label = np.arange(8) % 3
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    got = functional.cross_entropy(logits, np.eye(3)[label])
    assert float(tf.reduce_mean(got)) == pytest.approx(log_loss(label, probability), rel=1e-5)


@pytest.mark.parametrize("z", [-30.0, -1.0, 0.0, 0.5, 30.0])
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_binary_cross_entropy_gradient_is_probability_minus_label(z, y):
    got = gradient(lambda x: functional.binary_cross_entropy(x, [[y]]), np.float32([[z]]))
    np.testing.assert_allclose(got, [[expit(z) - y]], rtol=1e-5, atol=1e-12)


def test_binary_cross_entropy_of_small_losses_keeps_its_precision():
    got = functional.binary_cross_entropy(np.float32([[20], [-20]]), np.float32([[1], [0]]))
    np.testing.assert_allclose(got, [np.log1p(np.exp(-20.0))] * 2, rtol=1e-5)


def test_squared_error_of_a_vector_equals_value_by_hand():
    got = functional.squared_error(np.float32([1, 2]), np.float32([3, 2]))
    np.testing.assert_array_equal(got, [4, 0])


def test_weighted_mean_gradient_is_the_share_of_the_weight():
    share = gradient(lambda v: functional.weighted_mean(v, [1, 3, 0]), np.float32([5, 6, 7]))
    np.testing.assert_allclose(share, [0.25, 0.75, 0])
