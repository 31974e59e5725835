"""The contrastive losses against loops over NumPy rows."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from sklearn.preprocessing import normalize

from tftransfer.losses import functional

RNG = np.random.default_rng(6)
A, B = RNG.normal(size=(2, 5, 3))


def nt_xent(a, b, t):
    n, u = len(a), normalize(np.concatenate([a, b]))
    s = u @ u.T / t
    anchors = [logsumexp(np.delete(s[i], i)) - s[i, (i + n) % (2 * n)] for i in range(2 * n)]
    return (np.array(anchors[:n]) + anchors[n:]) / 2


def supervised_contrastive(x, label, t):
    u = normalize(x)
    s = u @ u.T / t
    losses = []
    for i in range(len(x)):
        positives = [p for p in range(len(x)) if p != i and label[p] == label[i]]
        partition = logsumexp(np.delete(s[i], i))
        losses.append(np.mean([partition - s[i, p] for p in positives]) if positives else 0)
    return losses


@pytest.mark.parametrize("t", [0.05, 0.5, 2.0])
def test_nt_xent_equals_numpy(t):
    np.testing.assert_allclose(functional.nt_xent(A, B, t), nt_xent(A, B, t), rtol=1e-4)


def test_nt_xent_equals_value_by_hand():
    rows = np.float32([[1, 0], [0, 1]])
    np.testing.assert_allclose(
        functional.nt_xent(rows, rows, 1.0), [np.log(np.e + 2) - 1] * 2, rtol=1e-5
    )
    np.testing.assert_allclose(functional.nt_xent(A[:1], B[:1], 0.5), [0], atol=1e-6)


def test_nt_xent_does_not_depend_on_the_order_of_views_or_on_lengths():
    expected = functional.nt_xent(A, B, 0.5)
    np.testing.assert_allclose(functional.nt_xent(B, A, 0.5), expected, rtol=1e-4)
    np.testing.assert_allclose(functional.nt_xent(7 * A, 0.2 * B, 0.5), expected, rtol=1e-4)


def test_nt_xent_ignores_pairs_of_weight_zero():
    weight = np.float32([1, 0, 1, 1, 0])
    expected = np.zeros(5)
    expected[[0, 2, 3]] = nt_xent(A[[0, 2, 3]], B[[0, 2, 3]], 0.5)
    np.testing.assert_allclose(functional.nt_xent(A, B, 0.5, weight), expected, rtol=1e-4)


def test_negative_cosine_equals_numpy_and_stops_the_gradient():
    expected = -(normalize(A) * normalize(B)).sum(axis=1)
    np.testing.assert_allclose(functional.negative_cosine(A, B), expected, rtol=1e-4)
    p, z = tf.Variable(A), tf.Variable(B)
    with tf.GradientTape() as tape:
        value = functional.negative_cosine(p, z)
    of_p, of_z = tape.gradient(value, [p, z])
    assert of_z is None
    assert np.abs(of_p).max() > 0


@pytest.mark.parametrize("t", [0.1, 1.0])
def test_supervised_contrastive_equals_numpy(t):
    x, label = RNG.normal(size=(8, 3)), np.array([0, 1, 0, 2, 1, 0, 1, 3])
    expected = supervised_contrastive(x, label, t)
    one_hot = np.eye(4)[label]
    got = functional.supervised_contrastive(x, one_hot, t)
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    assert expected[3] == expected[7] == 0
    weight = np.float32([1, 1, 1, 1, 1, 0, 1, 0])
    left = weight > 0
    kept = functional.supervised_contrastive(x, one_hot, t, weight)
    np.testing.assert_allclose(
        np.asarray(kept)[left], supervised_contrastive(x[left], label[left], t), rtol=1e-4
    )
    np.testing.assert_array_equal(np.asarray(kept)[~left], 0)


def cosine_pairs(x, label):
    cosine, n = normalize(x) @ normalize(x).T, len(x)
    losses = np.zeros(n)
    for i in range(n):
        same = [(1 - cosine[i, j]) ** 2 for j in range(n) if j != i and label[j] == label[i]]
        other = [cosine[i, j] ** 2 for j in range(n) if label[j] != label[i]]
        losses[i] = (np.mean(same or [0]) + np.mean(other or [0])) / 2
    return losses


def test_cosine_pairs_equals_numpy():
    x, label = RNG.normal(size=(8, 3)), np.array([0, 1, 0, 2, 1, 0, 1, 3])
    one_hot, weight = np.eye(4)[label], np.float32([1, 1, 0, 1, 1, 1, 0, 1])
    got = functional.cosine_pairs(x, one_hot)
    np.testing.assert_allclose(got, cosine_pairs(x, label), rtol=1e-4)
    left = weight > 0
    kept = np.asarray(functional.cosine_pairs(x, one_hot, weight))
    np.testing.assert_allclose(kept[left], cosine_pairs(x[left], label[left]), rtol=1e-4)
    np.testing.assert_array_equal(kept[~left], 0)


def test_cosine_pairs_with_one_orthogonal_direction_per_class_is_zero():
    rows, label = np.eye(3)[[0, 1, 1, 2, 0]], np.eye(3)[[0, 1, 1, 2, 0]]
    np.testing.assert_allclose(functional.cosine_pairs(5 * rows, label), np.zeros(5), atol=1e-6)


def test_supervised_contrastive_with_one_example_per_class_equals_nt_xent():
    label = np.eye(5)
    both = functional.supervised_contrastive(
        np.concatenate([A, B]), np.concatenate([label, label]), 0.5
    )
    mean = tf.reduce_mean(tf.reshape(both, (2, 5)), axis=0)
    np.testing.assert_allclose(mean, functional.nt_xent(A, B, 0.5), rtol=1e-4)
