"""The balance of tasks, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.losses import functional


def test_uncertainty_weighted_equals_values_by_hand_and_has_its_minimum_at_twice_the_loss():
    assert float(functional.uncertainty_weighted(3.0, 0.0)) == 3
    got = float(functional.uncertainty_weighted(3.0, np.log(2)))
    assert got == pytest.approx(1.5 + 0.5 * np.log(2), rel=1e-5)
    s = tf.Variable(np.log(6.0), dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = functional.uncertainty_weighted(3.0, s)
    assert float(tape.gradient(value, s)) == pytest.approx(0, abs=1e-6)


def test_gradnorm_equals_value_by_hand():
    losses, first, norms = [1.0, 1.0], [2.0, 4.0], tf.Variable([3.0, 1.0])
    # q = 1/2, 1/4; r = 4/3, 2/3; targets = 2 r^2.
    with tf.GradientTape() as tape:
        value = functional.gradnorm(losses, first, norms, 2.0)
    assert float(value) == pytest.approx(abs(3 - 32 / 9) + abs(1 - 8 / 9), rel=1e-5)
    np.testing.assert_array_equal(tape.gradient(value, norms), [-1, 1])
    assert float(functional.gradnorm(losses, first, norms, 0.0)) == 2


def test_gradnorm_gradient_reaches_the_norms_only():
    losses, first = tf.Variable([1.0, 3.0]), tf.Variable([2.0, 4.0])
    with tf.GradientTape() as tape:
        value = functional.gradnorm(losses, first, [3.0, 1.0], 1.5)
    assert tape.gradient(value, [losses, first]) == [None, None]
