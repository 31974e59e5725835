"""Squared errors of several columns in units of their variance."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.losses import SquaredError

VALUES = {
    "train.logits": tf.constant([[1.0, 300.0], [2.0, 500.0]]),
    "train.label": tf.constant([[2.0, 100.0], [2.0, 400.0]]),
    "train.weight": tf.constant([1.0, 1.0]),
    "train.class_weight": tf.constant([0.25, 1e-4]),
}


def test_squared_error_standardized_weights_each_column():
    # Squared: 1, 40000; 0, 10000. Weighted: 0.25, 4; 0, 1.
    assert float(SquaredError(standardize=True)(VALUES)) == pytest.approx((4.25 / 2 + 0.5) / 2)
    assert float(SquaredError()(VALUES)) == pytest.approx((40001 / 2 + 5000) / 2)


def test_squared_error_of_one_column_is_the_same_to_the_bit():
    one = {**VALUES, "train.class_weight": tf.constant([7.0])}
    one |= {name: VALUES[name][:, 1:] for name in ("train.logits", "train.label")}
    plain, standardized = SquaredError()(one), SquaredError(standardize=True)(one)
    assert np.asarray(plain).tobytes() == np.asarray(standardized).tobytes()
