"""Pseudo-labels, by hand."""

import numpy as np
import tensorflow as tf
from scipy.special import log_softmax

from tftransfer.losses import functional

RNG = np.random.default_rng(8)


def test_confident_cross_entropy_equals_numpy():
    logits = RNG.normal(size=(3, 4))
    teacher = tf.Variable([[5.0, 0, 0, 0], [0, 0.1, 0, 0], [0, 0, 0, 1e4]])
    with tf.GradientTape() as tape:
        got = functional.confident_cross_entropy(logits, teacher, 0.95)
    assert tape.gradient(got, teacher) is None
    expected = -log_softmax(logits, axis=1)
    np.testing.assert_allclose(got, [expected[0, 0], 0, expected[2, 3]], rtol=1e-5)
    every = functional.confident_cross_entropy(logits, teacher, 0.0)
    np.testing.assert_allclose(every[1], expected[1, 1], rtol=1e-5)
