"""The losses against NumPy, and the tensors that they read."""

import json

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, log_softmax

from tftransfer import losses
from tftransfer.core.serialization import from_jsonable, to_jsonable
from tftransfer.losses import functional
from tftransfer.utils.errors import UserError

RNG = np.random.default_rng(0)
LOGITS = (3 * RNG.normal(size=(6, 4))).astype(np.float32)
ONE_HOT = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 1, 1]]
SEVERAL = (RNG.random((6, 4)) > 0.5).astype(np.float32)


class FakeTensors(dict):
    """Tensors of a step; `held` is what `weights` returns for a pattern."""

    held = ()

    def weights(self, pattern):
        return self.held[pattern]


def tensors(weight, label=ONE_HOT, **more):
    values = {"train.logits": LOGITS, "train.label": label, "train.weight": np.float32(weight)}
    return FakeTensors({key: tf.constant(value) for key, value in (values | more).items()})


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_equals_numpy(smoothing):
    smoothed = (1 - smoothing) * ONE_HOT + smoothing / 4
    expected = -(smoothed * log_softmax(LOGITS.astype(np.float64), axis=1)).sum(axis=1)
    got = functional.cross_entropy(LOGITS, ONE_HOT, smoothing)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_cross_entropy_of_large_logits_equals_values_by_hand():
    logits = np.array([[0, 0], [np.log(3), 0], [1000, 0], [0, 1000]], np.float32)
    label = np.array([[1, 0], [1, 0], [1, 0], [1, 0]], np.float32)
    expected = [np.log(2), np.log(4 / 3), 0, 1000]
    np.testing.assert_allclose(functional.cross_entropy(logits, label), expected, atol=1e-6)


def test_binary_cross_entropy_equals_numpy():
    p = expit(LOGITS.astype(np.float64))
    expected = -(SEVERAL * np.log(p) + (1 - SEVERAL) * np.log(1 - p)).sum(axis=1)
    np.testing.assert_allclose(
        functional.binary_cross_entropy(LOGITS, SEVERAL), expected, rtol=1e-4
    )
    far = functional.binary_cross_entropy(np.float32([[1000, -1000]]), np.float32([[0, 0]]))
    np.testing.assert_allclose(far, [1000])


@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 3, 4)])
def test_squared_error_is_the_mean_over_all_axes_but_the_first(shape):
    a, b = RNG.normal(size=shape), RNG.normal(size=shape)
    expected = ((a - b) ** 2).reshape(5, -1).mean(axis=1)
    np.testing.assert_allclose(functional.squared_error(a, b), expected, rtol=1e-5)


def test_l2_sp_equals_value_by_hand():
    pairs = [(np.float32([1, 2]), np.float32([0, 4])), (np.float32([[3.0]]), np.float32([[1.0]]))]
    assert float(functional.l2_sp(pairs)) == 0.5 * (1 + 4 + 4)
    assert float(functional.l2_sp([])) == 0.0


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_losses_of_half_precision_are_computed_in_float32(dtype):
    logits, label = tf.cast(LOGITS, dtype), tf.cast(ONE_HOT, dtype)
    for function in (
        functional.cross_entropy,
        functional.binary_cross_entropy,
        functional.squared_error,
    ):
        got = function(logits, label)
        assert got.dtype == tf.float32
        np.testing.assert_allclose(got, function(tf.cast(logits, tf.float32), ONE_HOT), rtol=1e-6)


def test_weighted_mean_equals_values_by_hand():
    values = np.float32([1, 2, 6])
    assert float(functional.weighted_mean(values, [1, 1, 1])) == 3
    assert float(functional.weighted_mean(values, [1, 0, 3])) == pytest.approx(19 / 4)
    assert float(functional.weighted_mean(values, [0, 0, 0])) == 0


def test_example_weights_are_those_of_the_class():
    got = functional.example_weights(ONE_HOT, np.float32([1, 2, 3, 4]))
    np.testing.assert_allclose(got, [1, 2, 3, 4, 2, 2])


@pytest.mark.parametrize(
    "loss, label, function",
    [
        (losses.CrossEntropy(), ONE_HOT, functional.cross_entropy),
        (losses.BinaryCrossEntropy(), SEVERAL, functional.binary_cross_entropy),
        (losses.SquaredError(), SEVERAL, functional.squared_error),
    ],
)
def test_losses_ignore_rows_of_weight_zero(loss, label, function):
    per_example = np.asarray(function(LOGITS, label))
    weight = [1, 1, 1, 1, 0, 0]
    assert float(loss(tensors(weight, label))) == pytest.approx(per_example[:4].mean(), rel=1e-5)
    assert float(loss(tensors([0] * 6, label))) == 0
    whole = float(loss(tensors([1] * 6, label)))
    assert whole == pytest.approx(per_example.mean(), rel=1e-5)


def test_cross_entropy_with_balanced_classes_weights_examples_by_class():
    class_weight = np.float32([0.5, 1, 2, 4])
    per_example = np.asarray(functional.cross_entropy(LOGITS, ONE_HOT, 0.1))
    weight = np.array([1, 1, 1, 1, 1, 0]) * class_weight[[0, 1, 2, 3, 1, 1]]
    given = tensors([1, 1, 1, 1, 1, 0], **{"train.class_weight": class_weight})
    loss = losses.CrossEntropy(label_smoothing=0.1, class_weight="balanced")
    assert float(loss(given)) == pytest.approx((per_example * weight).sum() / weight.sum())
    plain = losses.CrossEntropy(label_smoothing=0.1)
    assert float(plain(given)) == pytest.approx(per_example[:5].mean())


def test_losses_read_the_stream_of_their_paths_and_its_weight():
    other = {
        "target.logits": LOGITS[:2],
        "target.label": ONE_HOT[:2],
        "target.weight": np.float32([1, 0]),
    }
    given = FakeTensors({key: tf.constant(value) for key, value in other.items()})
    loss = losses.CrossEntropy(logits="target.logits", label="target.label")
    expected = np.asarray(functional.cross_entropy(LOGITS[:1], ONE_HOT[:1]))[0]
    assert float(loss(given)) == pytest.approx(expected)
    with pytest.raises(KeyError, match=r"train\.logits"):
        losses.CrossEntropy()(given)


def test_l2_sp_reads_the_weights_of_its_pattern_and_not_its_factor():
    given = FakeTensors()
    given.held = {"stage*": [(tf.constant([3.0]), tf.constant([1.0]))], "stage1": []}
    assert float(losses.L2SP(weight=10.0)(given)) == 2.0
    assert float(losses.L2SP(blocks="stage1")(given)) == 0.0


@pytest.mark.parametrize(
    "target, expected",
    [
        ("single_label", losses.CrossEntropy(label_smoothing=0.1, class_weight="balanced")),
        ("multi_label", losses.BinaryCrossEntropy()),
        ("regression", losses.SquaredError(standardize=True)),
    ],
)
def test_supervised_returns_the_loss_of_the_problem_type(target, expected):
    got = losses.supervised(target, label_smoothing=0.1, class_weight="balanced")
    assert got == expected
    assert from_jsonable(json.loads(json.dumps(to_jsonable(got)))) == got


def test_supervised_with_an_unknown_problem_type_names_the_nearest():
    with pytest.raises(UserError, match="multi_label"):
        losses.supervised("multilabel")
