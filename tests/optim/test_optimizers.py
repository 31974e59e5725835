"""Every Keras optimizer by name, rates per block, decay and schedules by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.core.recipe import Phase
from tftransfer.optim.optimizers import (
    WarmUp,
    make_optimizer,
    make_schedule,
    multipliers,
    optimizer_names,
)
from tftransfer.utils.errors import UserError


def phase(**fields):
    plain = {"schedule": "constant", "warmup": 0.0, "weight_decay": 0.0, "clip_norm": 0.0}
    return Phase(
        name="p", train={"head": 1.0}, losses=(), **(plain | {"learning_rate": 0.1} | fields)
    )


def variable(value, name="kernel"):
    return keras.Variable(np.asarray(value, np.float32), name=name)


def test_names_are_keras_own():
    names = optimizer_names()
    assert {"sgd", "adam", "adamw", "rmsprop", "lion", "adafactor", "nadam"} <= set(names)
    assert not {"optimizer", "lossscaleoptimizer", "multioptimizer"} & set(names)
    assert names["adamw"] is keras.optimizers.AdamW


@pytest.mark.parametrize("name", sorted(optimizer_names()))
@pytest.mark.parametrize("decay", [0.0, 1e-3])
def test_every_optimizer_descends(name, decay):
    weight = variable(np.full((4, 3), 2.0))
    optimizer = make_optimizer(phase(optimizer=name, weight_decay=decay), lambda v: 1.0, 10)
    optimizer.build([weight])
    assert type(optimizer).__name__.lower() == name
    before = weight.numpy()
    for _ in range(3):
        optimizer.apply([tf.constant(weight.numpy())], [weight])
    assert np.isfinite(weight.numpy()).all()
    assert (weight.numpy() < before).all()


def test_the_name_may_be_in_any_case_and_a_wrong_one_gives_the_nearest():
    assert isinstance(
        make_optimizer(phase(optimizer="AdamW"), lambda v: 1.0, 1), keras.optimizers.AdamW
    )
    with pytest.raises(UserError, match="no optimizer named 'adamm'") as caught:
        make_optimizer(phase(optimizer="adamm"), lambda v: 1.0, 1)
    assert "adam" in caught.value.remedy


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_multiplier_scales_the_update_exactly(name, jit):
    rates = {"whole": 1.0, "half": 0.5, "frozen": 0.0}
    blocks = {block: [variable([0.0, 0.0])] for block in rates}
    optimizer = make_optimizer(phase(optimizer=name), multipliers(rates, blocks.get), 10)
    weights = [blocks[block][0] for block in rates]
    optimizer.build(weights)
    gradient = tf.constant([1.0, -3.0])

    @tf.function(jit_compile=jit)
    def step():
        optimizer.apply([gradient] * 3, weights)

    step()
    whole, half, frozen = (weight.numpy() for weight in weights)
    assert (whole * [-1, 1] > 0).all()
    np.testing.assert_array_equal(half, 0.5 * whole)
    np.testing.assert_array_equal(frozen, [0, 0])
    step()
    whole, half, frozen = (weight.numpy() for weight in weights)
    np.testing.assert_allclose(half, 0.5 * whole, rtol=1e-6)
    np.testing.assert_array_equal(frozen, [0, 0])


def test_sgd_is_nesterov_momentum_by_hand():
    weight = variable([0.0])
    optimizer = make_optimizer(phase(optimizer="sgd", learning_rate=0.1), lambda v: 1.0, 10)
    optimizer.build([weight])
    momentum, expected = 0.0, 0.0
    for gradient in (1.0, 2.0, -1.0):
        optimizer.apply([tf.constant([gradient])], [weight])
        momentum = 0.9 * momentum - 0.1 * gradient
        expected += 0.9 * momentum - 0.1 * gradient
        np.testing.assert_allclose(weight.numpy(), [expected], rtol=1e-5)


@pytest.mark.parametrize(
    "clip_norm, replicas, factor", [(0.0, 1, 5), (1.0, 1, 1), (1.0, 2, 0.5), (20.0, 1, 5)]
)
def test_gradients_are_clipped_by_their_norm_over_all_variables(clip_norm, replicas, factor):
    weights = [variable([0.0]), variable([0.0])]
    settings = phase(optimizer="sgd", clip_norm=clip_norm)
    optimizer = make_optimizer(settings, lambda v: 1.0, 10, replicas=replicas)
    optimizer.build(weights)
    optimizer.apply([tf.constant([3.0]), tf.constant([-4.0])], weights)
    got = [float(weight.numpy()[0]) for weight in weights]
    np.testing.assert_allclose(got, [-0.19 * 0.6 * factor, 0.19 * 0.8 * factor], rtol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_follows_the_rate_and_spares_biases_and_norms(name):
    names = ["kernel", "bias", "gamma", "beta"]
    weights = [variable([2.0], name=each) for each in names] + [variable([2.0])]
    rates = {id(weight): 1.0 for weight in weights[:4]} | {id(weights[4]): 0.5}
    settings = phase(optimizer=name, weight_decay=0.1, learning_rate=0.5)
    optimizer = make_optimizer(settings, lambda v: rates[id(v)], 10)
    optimizer.build(weights)
    optimizer.apply([tf.zeros(1)] * 5, weights)
    got = [float(weight.numpy()[0]) for weight in weights]
    full, half = 2 - 2 * 0.5 * 0.1, 2 - 2 * 0.25 * 0.1
    np.testing.assert_allclose(got, [full, 2, 2, 2, half], rtol=1e-6)


def test_no_weight_decay_where_the_phase_has_none():
    weight = variable([2.0])
    optimizer = make_optimizer(phase(optimizer="adamw", weight_decay=0.0), lambda v: 1.0, 10)
    optimizer.build([weight])
    optimizer.apply([tf.zeros(1)], [weight])
    np.testing.assert_array_equal(weight.numpy(), [2.0])


def test_a_constant_rate_is_a_number_that_callbacks_can_change():
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
def test_warm_up_by_hand(shape, warmup, expected):
    schedule = WarmUp(2.0, 12, warmup, shape)
    for step, factor in expected.items():
        assert float(schedule(step)) == pytest.approx(2.0 * factor, abs=1e-6), step


def test_warm_up_of_a_single_step_does_not_stop_learning():
    assert float(WarmUp(1.0, 1, 0.1, "cosine")(0)) == 1.0


def test_warm_up_comes_back_from_its_config():
    schedule = make_schedule(phase(schedule="cosine", warmup=0.25, learning_rate=0.3), 8)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert [float(again(s)) for s in range(8)] == [float(schedule(s)) for s in range(8)]
    assert float(schedule(1)) == pytest.approx(0.3)


def test_the_schedule_reaches_the_optimizer():
    optimizer = make_optimizer(phase(optimizer="sgd", schedule="linear"), lambda v: 1.0, 5)
    weight = variable([0.0])
    optimizer.build([weight])
    rates = []
    for _ in range(5):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([tf.zeros(1)], [weight])
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.075, 0.05, 0.025], rtol=1e-5)


def test_multipliers_know_only_the_variables_of_their_blocks():
    inside, outside = variable([0.0]), variable([0.0])
    rate = multipliers({"head": 0.5}, {"head": [inside]}.get)
    assert rate(inside) == 0.5
    with pytest.raises(KeyError):
        rate(outside)
