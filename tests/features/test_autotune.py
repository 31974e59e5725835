"""The fastest forward: every variant gives the model's own numbers, and the choice is kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones.image.applications import application_names, build_application
from tftransfer.backbones.stages import cut_into_stages
from tftransfer.core.serialization import read_json
from tftransfer.features import autotune


def pictures(count, size=64):
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build_application(application_names()["mobilenet_v2"], 64, None)


@pytest.fixture(scope="module")
def two_tensors():
    """The upper part of a NASNet, whose cells read the two before them."""
    whole = build_application(application_names()["nasnet_mobile"], 64, None)
    crossing = list(cut_into_stages(whole)[2].outputs)
    assert len(crossing) == 2
    return keras.Model(whole.inputs, crossing), keras.Model(crossing, whole.outputs)


OF_PICTURES = sorted({*autotune.VARIANTS} - {"alike lengths"})


@pytest.mark.parametrize("name", OF_PICTURES)
@pytest.mark.parametrize("count", [1, 8, 21])
def test_a_variant_equals_the_model(model, name, count):
    batch = pictures(count)
    expected = np.asarray(model([batch], training=False))
    (got,) = autotune.VARIANTS[name](autotune.Candidate(model))(batch)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", OF_PICTURES)
def test_several_tensors_keep_their_order(two_tensors, name):
    lower, upper = two_tensors
    batch = pictures(9)
    between = [np.asarray(x) for x in lower([batch], training=False)]
    got = autotune.VARIANTS[name](autotune.Candidate(lower))(batch)
    for a, b in zip(got, between, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())
    expected = np.asarray(tf.nest.flatten(upper(between, training=False))[0])
    (got,) = autotune.VARIANTS[name](autotune.Candidate(upper))(*between)
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


def test_the_fastest_is_taken_and_remembered(model, tmp_path, monkeypatch, log_lines):
    memory, said = tmp_path / "new" / "autotune.json", log_lines
    rates = iter([200.0, 300.0])
    monkeypatch.setattr(autotune, "_rate", lambda *_: next(rates))
    first = autotune.fastest(model, 10**7, cache_file=memory)
    assert "forward by constants" in said[0] and "xnnpack 200" in said[0]
    (kept,) = read_json(memory).values()
    assert kept["choice"] == "constants"
    again = autotune.fastest(model, 10**7, cache_file=memory)
    assert len(said) == 1
    np.testing.assert_array_equal(first(pictures(3))[0], again(pictures(3))[0])


def test_nothing_is_measured_before_other_work_has_ended(model, monkeypatch):
    done = []
    monkeypatch.setattr(autotune, "_rate", lambda *_: done.append("measured") or 1.0)
    autotune.fastest(model, 10**7, cache_file=None, ready=lambda: done.append("ready"))
    assert done[:3] == ["ready", "measured", "measured"]


def test_a_second_variant_is_not_tried_where_the_first_is_soon_done(model, tmp_path, log_lines):
    memory, said = tmp_path / "autotune.json", log_lines
    few = int(2 * autotune._WORTH_A_TRIAL / autotune._multiplications(model))
    found = autotune.fastest(model, few, cache_file=memory)
    assert "forward by xnnpack: the only one tried" in said[0]
    (kept,) = read_json(memory).values()
    assert list(kept["rates"]) == ["xnnpack"]
    expected = np.asarray(model([pictures(2)], training=False))
    np.testing.assert_allclose(found(pictures(2))[0], expected, rtol=1e-4, atol=1e-5)


def test_few_pictures_are_not_worth_a_trial(model, tmp_path, log_lines):
    autotune.fastest(model, 5, cache_file=tmp_path / "autotune.json")
    assert not list(tmp_path.iterdir()) and not log_lines


def test_a_variant_that_fails_or_differs_is_left_out(model, tmp_path, monkeypatch):
    def fails(candidate):
        raise ValueError("no such operation")

    plain = autotune.VARIANTS["graph"]

    def differs(candidate):
        return lambda *inputs: [x + 1 for x in plain(candidate)(*inputs)]

    variants = {"constants": autotune.VARIANTS["constants"], "fails": fails, "differs": differs}
    monkeypatch.setattr(autotune, "VARIANTS", variants)
    _, rates = autotune._trial(autotune.Candidate(model), lambda: None, thorough=True)
    assert list(rates) == ["constants"]


class IncompleteBeta(keras.layers.Layer):
    """An operation that LiteRT does not have."""

    def call(self, x):
        return tf.math.betainc(tf.abs(x) + 1.0, tf.abs(x) + 1.0, tf.sigmoid(x))


def test_an_operation_that_litert_lacks_leaves_the_other_variant(log_lines):
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, IncompleteBeta()(keras.layers.Conv2D(4, 3)(pixels)))
    said = log_lines
    autotune.fastest(model, 10**12, cache_file=None)
    assert "forward by constants: the only one tried" in said[0]


def test_where_every_variant_fails_the_graph_remains(model, monkeypatch):
    def fails(candidate):
        raise ValueError("no such operation")

    monkeypatch.setattr(autotune, "VARIANTS", {"constants": fails, "xnnpack": fails})
    found = autotune.fastest(model, 10**6, cache_file=None)
    expected = np.asarray(model([pictures(2)], training=False))
    np.testing.assert_allclose(found(pictures(2))[0], expected, rtol=1e-4, atol=1e-5)


def test_multiplications_are_those_of_the_paper():
    """MobileNetV2 at 224 px: 300 million (Sandler et al., 2018), the classifier's 1.3 included."""
    whole = build_application(application_names()["mobilenet_v2"], 224, None)
    assert autotune._multiplications(whole) == pytest.approx(300e6, rel=0.01)


def test_a_sequential_inside_is_counted():
    inner = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.Conv2D(2, 1)])
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, keras.layers.Conv2D(4, 1)(inner(pixels)))
    assert autotune._multiplications(model) == 36 * (9 * 3 * 4 + 4 * 2 + 2 * 4)
    empty = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    assert autotune._multiplications(keras.Model(pixels, empty(pixels))) == 8 * 8 * 3 * 3
