"""Prototypes and their logits against scikit-learn and SciPy."""

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


def test_prototypes_equal_the_centroids_of_scikit_learn():
    got = functional.prototypes(X, np.eye(4)[LABEL])
    np.testing.assert_allclose(got[:3], NearestCentroid().fit(X, LABEL).centroids_, rtol=1e-5)
    np.testing.assert_array_equal(got[3], 0)


def test_prototypes_of_weighted_rows_and_soft_labels_equal_numpy():
    weight = np.float32([1, 0, 1, 1, 0, 1])
    got = functional.prototypes(X, np.eye(4)[LABEL], weight)
    np.testing.assert_allclose(got[2], X[[2, 5]].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(got[1], 0)
    soft = functional.prototypes(X[:2], [[0.1, 0.9], [0.3, 0.7]])
    np.testing.assert_allclose(soft[0], 0.25 * X[0] + 0.75 * X[1], atol=1e-6)


def test_prototype_logits_equal_numpy():
    got = functional.prototype_logits(X, C)
    np.testing.assert_allclose(got, -(cdist(X, C) ** 2), rtol=1e-4, atol=1e-5)


def test_split_episode_halves_every_class_of_several_examples():
    label = np.eye(4)[LABEL]  # 0 2 2 0 1 2
    support, query = split_episode(label)
    np.testing.assert_array_equal(support, [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(query, [0, 0, 1, 1, 0, 1])
    support, query = split_episode(label, [0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(support, [0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(query, [0, 0, 1, 0, 0, 1])


def test_prototypical_equals_value_by_hand():
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    centers, scores = unit[[0, 1]], np.full((6, 2), 0.0)  # of the classes 0 and 2
    scores = -cdist(unit, centers, "sqeuclidean") / 0.5
    own = np.array([0, 1, 1, 0, 0, 1])
    expected = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(6), own]
    got = functional.prototypical(X, np.eye(4)[LABEL], 0.5)
    np.testing.assert_allclose(got, np.where([0, 0, 1, 1, 0, 1], expected, 0), atol=1e-5)


def test_cosine_logits_equal_numpy():
    expected = 10 * cosine_similarity(X, C)
    np.testing.assert_allclose(functional.cosine_logits(X, C, 10.0), expected, rtol=1e-4, atol=1e-5)
    scale = tf.Variable(10.0)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(functional.cosine_logits(X, C, scale))
    assert float(tape.gradient(value, scale)) == pytest.approx(expected.sum() / 10, rel=1e-4)
