"""Distillation against SciPy's relative entropy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import cosine
from scipy.special import expit, rel_entr, softmax

from tftransfer.losses import functional

RNG = np.random.default_rng(4)
STUDENT, TEACHER = 3 * RNG.normal(size=(2, 5, 4))


@pytest.mark.parametrize("t", [0.5, 1.0, 4.0])
def test_distillation_equals_scipy(t):
    p, q = softmax(TEACHER / t, axis=1), softmax(STUDENT / t, axis=1)
    got = functional.distillation(STUDENT, TEACHER, t)
    np.testing.assert_allclose(got, t**2 * rel_entr(p, q).sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("t", [0.5, 1.0, 4.0])
def test_binary_distillation_equals_numpy(t):
    p, q = expit(TEACHER / t), expit(STUDENT / t)
    expected = t**2 * (rel_entr(p, q) + rel_entr(1 - p, 1 - q)).sum(axis=1)
    got = functional.binary_distillation(STUDENT, TEACHER, t)
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_distillation_of_two_classes_equals_binary_distillation():
    two = [np.stack([x[:, 0], np.zeros(5)], axis=1) for x in (STUDENT, TEACHER)]
    one = functional.binary_distillation(STUDENT[:, :1], TEACHER[:, :1])
    np.testing.assert_allclose(functional.distillation(*two), one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("function", [functional.distillation, functional.binary_distillation])
def test_distillation_of_equal_logits_is_zero_and_the_teacher_gets_no_gradient(function):
    np.testing.assert_allclose(function(TEACHER, TEACHER), 0, atol=1e-6)
    teacher = tf.Variable(TEACHER)
    with tf.GradientTape() as tape:
        value = function(STUDENT, teacher)
    assert tape.gradient(value, teacher) is None


def test_distillation_gradient_hardly_depends_on_a_high_temperature():
    student = tf.constant(STUDENT, tf.float32)
    sizes = []
    for t in (50.0, 100.0):
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = functional.distillation(student, TEACHER, t)
        sizes.append(np.linalg.norm(tape.gradient(value, student)))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_cosine_distance_equals_numpy():
    got = functional.cosine_distance(STUDENT, TEACHER)
    np.testing.assert_allclose(got, [cosine(a, b) for a, b in zip(STUDENT, TEACHER)], rtol=1e-4)
    maps = RNG.normal(size=(2, 3, 2, 2, 5))
    expected = [
        np.mean([cosine(a, b) for a, b in zip(x.reshape(4, 5), y.reshape(4, 5))])
        for x, y in zip(*maps)
    ]
    np.testing.assert_allclose(functional.cosine_distance(*maps), expected, rtol=1e-4)


def test_cosine_distance_equals_values_by_hand():
    a = np.float32([[1, 0], [1, 0], [1, 0], [0, 0]])
    b = np.float32([[5, 0], [0, 2], [-3, 0], [1, 1]])
    np.testing.assert_allclose(functional.cosine_distance(a, b), [0, 1, 2, 1], atol=1e-6)
