"""Schedules by name and as Keras objects, and learning rates that are assigned."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.core.recipe import Phase
from tftransfer.optim.optimizers import make_optimizer
from tftransfer.optim.schedules import WarmUp, make_schedule


def phase(**fields):
    plain = {"schedule": "constant", "warmup": 0.0, "weight_decay": 0.0, "clip_norm": 0.0}
    return Phase(
        name="p", train={"head": 1.0}, losses=(), **(plain | {"learning_rate": 0.1} | fields)
    )


def variable(value, name="kernel"):
    return keras.Variable(np.asarray(value, np.float32), name=name)


def rates(optimizer, steps):
    """The learning rate before each step; every step is applied."""
    weight = variable([0.0])
    optimizer.build([weight])
    found = []
    for _ in range(steps):
        found.append(float(optimizer.learning_rate))
        optimizer.apply([tf.zeros(1)], [weight])
    return found


def test_constant_schedule_is_a_number_that_can_be_assigned():
    optimizer = make_optimizer(phase(optimizer="sgd"), lambda v: 1.0, 10)
    assert make_schedule(phase(), 10) == 0.1
    optimizer.learning_rate = 0.0
    weight = variable([1.0])
    optimizer.build([weight])
    optimizer.apply([tf.ones(1)], [weight])
    np.testing.assert_array_equal(weight.numpy(), [1.0])


@pytest.mark.parametrize(
    "shape, warmup, expected",
    [
        # 12 steps, of which 4 rise; the fall has 8.
        ("linear", 1 / 3, {0: 0.25, 1: 0.5, 3: 1.0, 4: 1.0, 6: 0.75, 8: 0.5, 12: 0.0, 20: 0.0}),
        ("cosine", 1 / 3, {0: 0.25, 3: 1.0, 6: 0.5 + 0.5**1.5, 8: 0.5, 12: 0.0, 20: 0.0}),
        ("constant", 1 / 3, {0: 0.25, 2: 0.75, 3: 1.0, 12: 1.0}),
        ("linear", 0.0, {0: 1.0, 1: 1.0, 12: 0.0}),
    ],
)
def test_warm_up_equals_hand_computed_values(shape, warmup, expected):
    schedule = WarmUp(2.0, 12, warmup, shape)
    for step, factor in expected.items():
        assert float(schedule(step)) == pytest.approx(2.0 * factor, abs=1e-6), step


def test_warm_up_of_a_single_step_has_the_peak_rate():
    assert float(WarmUp(1.0, 1, 0.1, "cosine")(0)) == 1.0


def test_warm_up_round_trips_through_its_config():
    schedule = make_schedule(phase(schedule="cosine", warmup=0.25, learning_rate=0.3), 8)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert [float(again(s)) for s in range(8)] == [float(schedule(s)) for s in range(8)]
    assert float(schedule(1)) == pytest.approx(0.3)


def test_schedule_is_the_learning_rate_of_the_optimizer():
    optimizer = make_optimizer(phase(optimizer="sgd", schedule="linear"), lambda v: 1.0, 5)
    weight = variable([0.0])
    optimizer.build([weight])
    rates = []
    for _ in range(5):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([tf.zeros(1)], [weight])
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.075, 0.05, 0.025], rtol=1e-5)


def test_schedule_object_is_the_learning_rate_of_the_optimizer():
    given = keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.4, 0.2, 0.1])
    optimizer = make_optimizer(phase(optimizer="sgd", schedule=given), lambda v: 1.0, 5)
    np.testing.assert_allclose(rates(optimizer, 4), [0.4, 0.4, 0.2, 0.1], rtol=1e-6)


def test_schedule_of_an_optimizer_object_is_used():
    given = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.4, 1, 0.5))
    optimizer = make_optimizer(phase(optimizer=given), lambda v: 1.0, 5)
    np.testing.assert_allclose(rates(optimizer, 3), [0.4, 0.2, 0.1], rtol=1e-6)


def test_schedule_object_replaces_that_of_an_optimizer_object():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.8, 1, 0.5)
    settings = phase(optimizer=keras.optimizers.SGD(0.1), schedule=schedule)
    optimizer = make_optimizer(settings, lambda v: 1.0, 5)
    np.testing.assert_allclose(rates(optimizer, 2), [0.8, 0.4], rtol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_learning_rate_assigned_replaces_the_schedule_and_is_in_the_state(schedule):
    settings = phase(optimizer="sgd", schedule=schedule)
    first, second = (make_optimizer(settings, lambda v: 0.5, 5) for _ in range(2))
    weights = [variable([0.0]), variable([0.0])]
    for optimizer, weight in zip((first, second), weights):
        optimizer.build([weight])
    first.scale.assign(0.25)
    first.learning_rate = 0.02
    assert float(first.learning_rate) == pytest.approx(0.02)
    for ours, theirs in zip(second.variables, first.variables, strict=True):
        ours.assign(theirs)
    second.rate_assigned = first.rate_assigned
    for optimizer, weight in zip((first, second), weights):
        optimizer.apply([tf.ones(1)], [weight])
        assert float(optimizer.learning_rate) == pytest.approx(0.02)
        np.testing.assert_allclose(weight.numpy(), [-0.02 * 0.5 * 1.9], rtol=1e-6)


def test_learning_rate_includes_the_scale():
    optimizer = make_optimizer(phase(optimizer="sgd", schedule="constant"), lambda v: 1.0, 5)
    optimizer.build([variable([0.0])])
    optimizer.scale.assign(0.5)
    assert float(optimizer.learning_rate) == pytest.approx(0.05)
