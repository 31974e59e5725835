"""Every Keras optimizer by name and as an object; rates per block, decay and clipping by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.core.recipe import Phase
from tftransfer.optim.optimizers import (
    check_optimizer,
    make_optimizer,
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


def test_optimizer_names_are_those_of_keras():
    names = optimizer_names()
    assert {"sgd", "adam", "adamw", "rmsprop", "lion", "adafactor", "nadam"} <= set(names)
    assert not {"optimizer", "lossscaleoptimizer", "multioptimizer"} & set(names)
    assert names["adamw"] is keras.optimizers.AdamW


@pytest.mark.parametrize("name", sorted(optimizer_names()))
@pytest.mark.parametrize("decay", [0.0, 1e-3])
def test_make_optimizer_by_any_name_decreases_a_square(name, decay):
    weight = variable(np.full((4, 3), 2.0))
    optimizer = make_optimizer(phase(optimizer=name, weight_decay=decay), lambda v: 1.0, 10)
    optimizer.build([weight])
    assert type(optimizer).__name__.lower() == name
    before = weight.numpy()
    for _ in range(3):
        optimizer.apply([tf.constant(weight.numpy())], [weight])
    assert np.isfinite(weight.numpy()).all()
    assert (weight.numpy() < before).all()


def test_make_optimizer_ignores_case_and_suggests_the_nearest_name():
    assert isinstance(
        make_optimizer(phase(optimizer="AdamW"), lambda v: 1.0, 1), keras.optimizers.AdamW
    )
    with pytest.raises(UserError, match="no optimizer named 'adamm'") as caught:
        make_optimizer(phase(optimizer="adamm"), lambda v: 1.0, 1)
    assert "adam" in caught.value.remedy


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_multiplier_scales_the_update_exactly(name, jit):
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


def test_sgd_has_nesterov_momentum():
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
def test_clip_norm_bounds_the_norm_over_all_variables(clip_norm, replicas, factor):
    weights = [variable([0.0]), variable([0.0])]
    settings = phase(optimizer="sgd", clip_norm=clip_norm)
    optimizer = make_optimizer(settings, lambda v: 1.0, 10, replicas=replicas)
    optimizer.build(weights)
    optimizer.apply([tf.constant([3.0]), tf.constant([-4.0])], weights)
    got = [float(weight.numpy()[0]) for weight in weights]
    np.testing.assert_allclose(got, [-0.19 * 0.6 * factor, 0.19 * 0.8 * factor], rtol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_follows_the_rate_and_excludes_biases_and_norms(name):
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


def test_weight_decay_of_0_changes_nothing():
    weight = variable([2.0])
    optimizer = make_optimizer(phase(optimizer="adamw", weight_decay=0.0), lambda v: 1.0, 10)
    optimizer.build([weight])
    optimizer.apply([tf.zeros(1)], [weight])
    np.testing.assert_array_equal(weight.numpy(), [2.0])


def test_multipliers_of_other_variables_are_an_error():
    inside, outside = variable([0.0]), variable([0.0])
    rate = multipliers({"head": 0.5}, {"head": [inside]}.get)
    assert rate(inside) == 0.5
    with pytest.raises(KeyError):
        rate(outside)


def test_optimizer_object_is_used_as_configured():
    optimizer = make_optimizer(
        phase(optimizer=keras.optimizers.SGD(0.5, momentum=0.5)), lambda v: 1.0, 10
    )
    weight = variable([0.0])
    optimizer.build([weight])
    momentum = expected = 0.0
    for gradient in (1.0, 2.0):
        optimizer.apply([tf.constant([gradient])], [weight])
        momentum = 0.5 * momentum - 0.5 * gradient
        expected += momentum  # without Nesterov's correction
        np.testing.assert_allclose(weight.numpy(), [expected], rtol=1e-6)


def test_optimizer_object_has_multipliers_and_its_own_decay():
    given = keras.optimizers.AdamW(0.5, weight_decay=0.25)
    weights = [variable([2.0]), variable([2.0], name="bias")]
    rates = {id(weights[0]): 1.0, id(weights[1]): 0.5}
    optimizer = make_optimizer(phase(optimizer=given), lambda v: rates[id(v)], 10)
    optimizer.build(weights)
    optimizer.apply([tf.zeros(1)] * 2, weights)
    expected = [2 * (1 - 0.5 * 0.25), 2 * (1 - 0.25 * 0.25)]
    np.testing.assert_allclose([w.numpy()[0] for w in weights], expected, rtol=1e-6)


@pytest.mark.parametrize("clipping", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_optimizer_object_clips_the_share_of_a_replica(clipping):
    given = keras.optimizers.SGD(1.0, **{clipping: 1.0})
    weight = variable([0.0])
    optimizer = make_optimizer(phase(optimizer=given), lambda v: 1.0, 10, replicas=2)
    optimizer.build([weight])
    optimizer.apply([tf.constant([4.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), [-0.5], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(optimizer_names()))
def test_optimizer_object_of_any_class_decreases_a_square(name):
    weight = variable(np.full((4, 3), 2.0))
    given = optimizer_names()[name](0.1)
    optimizer = make_optimizer(phase(optimizer=given), lambda v: 1.0, 10)
    optimizer.build([weight])
    before = weight.numpy()
    for _ in range(3):
        optimizer.apply([tf.constant(weight.numpy())], [weight])
    assert np.isfinite(weight.numpy()).all()
    assert (weight.numpy() < before).all()


def test_check_optimizer_of_an_unregistered_class_is_an_error():
    class Own(keras.optimizers.SGD):
        pass

    with pytest.raises(UserError, match=r"class Own of .* is not registered with Keras"):
        check_optimizer(phase(optimizer=Own(0.1)))
