"""The loss of several tasks against NumPy; unknown labels are ignored."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

from tftransfer.losses import MultiTask, functional
from tftransfer.utils.errors import UserError

RNG = np.random.default_rng(5)
SIZES, N, D = (3, 2), 6, 4
COLUMNS = (slice(0, 3), slice(3, 5))
X = RNG.normal(size=(N, D))
KERNEL = RNG.normal(size=(D, 5))
LOGITS = (X @ KERNEL).astype(np.float32)
# The fifth label of the first task and the first of the second are unknown; the last row pads.
FIRST, SECOND = np.array([0, 1, 2, 1, -1, 0]), np.array([-1, 0, 1, 1, 0, 1])
LABEL = np.concatenate([np.eye(4, 3)[FIRST], np.eye(3, 2)[SECOND]], axis=1).astype(np.float32)
WEIGHT = np.float32([1, 1, 1, 1, 1, 0])
NUMBERS = np.float32([0.3, -0.7])


class Tensors(dict):
    """Tensors of a step, and the weights of the head."""

    def __init__(self, logits=LOGITS, numbers=NUMBERS, label=LABEL):
        rows = tf.convert_to_tensor(numbers) + tf.zeros((N, 1))
        super().__init__(
            {
                "train.logits": tf.convert_to_tensor(logits),
                "train.label": tf.constant(label),
                "train.weight": tf.constant(WEIGHT),
                "train.balance": rows,
                "train.class_weight": tf.constant(np.float32([1, 2, 3, 4, 5])),
            }
        )

    def weights(self, pattern):
        assert pattern == "head"
        kernel = tf.constant(KERNEL, tf.float32)
        return [(kernel, kernel), (tf.zeros(5), tf.zeros(5))]


def each_by_hand():
    """Loss of each task: the mean over the rows that have a label."""
    found = []
    for labels, columns in zip((FIRST, SECOND), COLUMNS):
        rows = [i for i in range(N - 1) if labels[i] >= 0]
        logs = log_softmax(LOGITS[rows, columns].astype(np.float64), axis=1)
        found.append(-np.mean([row[labels[i]] for row, i in zip(logs, rows)]))
    return np.array(found)


@pytest.mark.parametrize("weights", [(), (0.5, 2.0)])
def test_multi_task_with_fixed_weights_equals_numpy(weights):
    got = float(MultiTask(sizes=SIZES, weights=weights)(Tensors()))
    assert got == pytest.approx(float(np.dot(weights or (1, 1), each_by_hand())), rel=1e-5)


def test_multi_task_with_uncertainty_equals_numpy():
    got = float(MultiTask(sizes=SIZES, balance="uncertainty", trained="train.balance")(Tensors()))
    expected = (np.exp(-NUMBERS) * each_by_hand() + NUMBERS / 2).sum()
    assert got == pytest.approx(float(expected), rel=1e-5)


def test_linear_gradient_norm_equals_the_norm_by_a_gradient_tape():
    x, kernel = tf.Variable(X), tf.constant(KERNEL)
    for columns in COLUMNS:
        known = LABEL[:, columns].sum(axis=1) * WEIGHT
        with tf.GradientTape() as tape:
            logits = tf.cast(x @ kernel[:, columns], tf.float32)
            each = functional.cross_entropy(logits, LABEL[:, columns], 0.1)
            loss = functional.weighted_mean(each, known)
        expected = np.linalg.norm(tape.gradient(loss, x))
        got = functional.linear_gradient_norm(
            logits, LABEL[:, columns], known, kernel[:, columns], 0.1
        )
        assert float(got) == pytest.approx(float(expected), rel=1e-5)


def test_multi_task_with_gradnorm_equals_numpy():
    loss = MultiTask(sizes=SIZES, balance="gradnorm", trained="train.balance", alpha=1.5)
    losses, weights = each_by_hand(), 2 * softmax(NUMBERS)
    norms = []
    for columns in COLUMNS:
        known = LABEL[:, columns].sum(axis=1) * WEIGHT
        error = (softmax(LOGITS[:, columns], axis=1) - LABEL[:, columns]) * known[:, None]
        norms.append(np.linalg.norm(error @ KERNEL[:, columns].T) / known.sum())
    rate = losses / [math.log(size) for size in SIZES]
    rate /= rate.mean()
    norms = weights * norms
    slowness = np.abs(norms - norms.mean() * rate**1.5).sum()
    got = float(loss(Tensors()))
    assert got == pytest.approx(float((weights * losses).sum() + slowness), rel=1e-4)


def test_multi_task_with_gradnorm_trains_the_weights_by_the_norms_only():
    loss = MultiTask(sizes=SIZES, balance="gradnorm", trained="train.balance")
    logits, numbers = tf.Variable(LOGITS), tf.Variable(NUMBERS)
    with tf.GradientTape() as tape:
        value = loss(Tensors(logits.value(), numbers.value()))
    by_logits, by_numbers = tape.gradient(value, [logits, numbers])
    assert np.abs(by_numbers).max() > 0
    fixed = MultiTask(sizes=SIZES, weights=tuple(2 * softmax(NUMBERS)))
    with tf.GradientTape() as tape:
        value = fixed(Tensors(logits.value()))
    np.testing.assert_allclose(by_logits, tape.gradient(value, logits), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("balance", ["fixed", "uncertainty", "gradnorm"])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_multi_task_ignores_examples_with_an_unknown_label(balance, class_weight):
    loss = MultiTask(
        sizes=SIZES,
        balance=balance,
        trained="train.balance",
        class_weight=class_weight,
        label_smoothing=0.1,
    )
    other = LOGITS.copy()
    other[4, COLUMNS[0]], other[0, COLUMNS[1]], other[5] = [9, -9, 1], [-5, 5], 7
    values, gradients = [], []
    for logits in (LOGITS, other):
        logits = tf.Variable(logits)
        with tf.GradientTape() as tape:
            value = loss(Tensors(logits.value()))
        values.append(float(value))
        gradients.append(tape.gradient(value, logits).numpy())
    assert values[0] == values[1]
    np.testing.assert_array_equal(*gradients)
    unknown = (gradients[0][4, COLUMNS[0]], gradients[0][0, COLUMNS[1]], gradients[0][5])
    assert not any(np.any(each) for each in unknown)


def test_multi_task_of_a_task_without_labels_in_the_batch_is_zero():
    label = LABEL.copy()
    label[:, COLUMNS[1]] = 0
    got = float(MultiTask(sizes=SIZES)(Tensors(label=label)))
    assert got == pytest.approx(each_by_hand()[0], rel=1e-5)


def test_multi_task_with_an_unknown_balance_or_a_frozen_head_is_an_error():
    with pytest.raises(UserError, match="'gradnrm'") as caught:
        MultiTask(balance="gradnrm")
    assert "gradnorm" in caught.value.remedy
    tensors = Tensors()
    tensors.weights = lambda pattern: []
    with pytest.raises(UserError, match="does not train here"):
        MultiTask(sizes=SIZES, balance="gradnorm", trained="train.balance")(tensors)
