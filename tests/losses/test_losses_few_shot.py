"""Prototypes and their scores against sklearn and SciPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestCentroid

from tftransfer.losses import functional
from tftransfer.losses.functional.few_shot import split_episode

RNG = np.random.default_rng(7)
X, C = RNG.normal(size=(6, 3)), RNG.normal(size=(4, 3))
LABEL = np.array([0, 2, 2, 0, 1, 2])


def test_prototypes_are_the_centroids_of_sklearn():
    got = functional.prototypes(X, np.eye(4)[LABEL])
    np.testing.assert_allclose(got[:3], NearestCentroid().fit(X, LABEL).centroids_, rtol=1e-5)
    np.testing.assert_array_equal(got[3], 0)


def test_prototypes_of_weighted_rows_and_soft_labels():
    weight = np.float32([1, 0, 1, 1, 0, 1])
    got = functional.prototypes(X, np.eye(4)[LABEL], weight)
    np.testing.assert_allclose(got[2], X[[2, 5]].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(got[1], 0)
    soft = functional.prototypes(X[:2], [[0.1, 0.9], [0.3, 0.7]])
    np.testing.assert_allclose(soft[0], 0.25 * X[0] + 0.75 * X[1], atol=1e-6)


def test_prototype_logits():
    got = functional.prototype_logits(X, C)
    np.testing.assert_allclose(got, -(cdist(X, C) ** 2), rtol=1e-4, atol=1e-5)


def test_a_batch_is_an_split_episode():
    label = np.eye(4)[LABEL]  # 0 2 2 0 1 2
    support, query = split_episode(label)
    np.testing.assert_array_equal(support, [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(query, [0, 0, 1, 1, 0, 1])
    support, query = split_episode(label, [0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(support, [0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(query, [0, 0, 1, 0, 0, 1])


def test_prototypical_by_hand():
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    centres, scores = unit[[0, 1]], np.full((6, 2), 0.0)  # of the classes 0 and 2
    scores = -cdist(unit, centres, "sqeuclidean") / 0.5
    own = np.array([0, 1, 1, 0, 0, 1])
    expected = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(6), own]
    got = functional.prototypical(X, np.eye(4)[LABEL], 0.5)
    np.testing.assert_allclose(got, np.where([0, 0, 1, 1, 0, 1], expected, 0), atol=1e-5)


def test_cosine_logits():
    expected = 10 * cosine_similarity(X, C)
    np.testing.assert_allclose(functional.cosine_logits(X, C, 10.0), expected, rtol=1e-4, atol=1e-5)
    scale = tf.Variable(10.0)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(functional.cosine_logits(X, C, scale))
    assert float(tape.gradient(value, scale)) == pytest.approx(expected.sum() / 10, rel=1e-4)
