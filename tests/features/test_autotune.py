"""Every variant of the forward pass equals the model, and the selection is kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones.image.applications import application_names, build_application
from tftransfer.backbones.stages import cut_into_stages
from tftransfer.core.serialization import read_json
from tftransfer.features import autotune, forward_variants
from tftransfer.features.autotune import fastest_forward
from tftransfer.features.forward_variants import Candidate


def images(count, size=64):
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


def selections(lines):
    """Log lines that name a selected variant, without those of progress."""
    return [line for line in lines if "frozen layers run by" in line]


FOR_IMAGES = sorted({*autotune.VARIANTS} - {forward_variants.BY_LENGTH})


@pytest.mark.parametrize("name", FOR_IMAGES)
@pytest.mark.parametrize("count", [1, 8, 21])
def test_variant_equals_the_model(model, name, count):
    batch = images(count)
    expected = np.asarray(model([batch], training=False))
    (got,) = autotune.VARIANTS[name](Candidate(model))(batch)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", FOR_IMAGES)
def test_variant_with_several_tensors_keeps_their_order(two_tensors, name):
    lower, upper = two_tensors
    batch = images(9)
    between = [np.asarray(x) for x in lower([batch], training=False)]
    got = autotune.VARIANTS[name](Candidate(lower))(batch)
    for a, b in zip(got, between, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())
    expected = np.asarray(tf.nest.flatten(upper(between, training=False))[0])
    (got,) = autotune.VARIANTS[name](Candidate(upper))(*between)
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


def test_autotune_selects_the_fastest_variant_and_keeps_the_selection(
    model, tmp_path, monkeypatch, log_lines
):
    cache_file, lines = tmp_path / "new" / "autotune.json", log_lines
    rates = iter([200.0, 300.0])
    monkeypatch.setattr(autotune, "_rate", lambda *_: next(rates))
    first = fastest_forward(model, 10**7, cache_file=cache_file)
    assert (
        "frozen layers run by constants" in selections(lines)[0]
        and "litert 200" in selections(lines)[0]
    )
    (kept,) = read_json(cache_file).values()
    assert kept["variant"] == "constants"
    again = fastest_forward(model, 10**7, cache_file=cache_file)
    assert len(selections(lines)) == 1
    np.testing.assert_array_equal(first(images(3))[0], again(images(3))[0])


def test_autotune_measures_after_other_work_has_ended(model, monkeypatch):
    done = []
    monkeypatch.setattr(autotune, "_rate", lambda *_: done.append("measured") or 1.0)
    fastest_forward(model, 10**7, cache_file=None, ready=lambda: done.append("ready"))
    assert done[:3] == ["ready", "measured", "measured"]


def test_autotune_with_little_work_measures_only_the_first_variant(model, tmp_path, log_lines):
    cache_file, lines = tmp_path / "autotune.json", log_lines
    few = int(2 * autotune._MIN_MULTIPLICATIONS / autotune._multiplications(model))
    found = fastest_forward(model, few, cache_file=cache_file)
    assert "frozen layers run by litert: the only variant measured" in selections(lines)[0]
    (kept,) = read_json(cache_file).values()
    assert list(kept["examples_per_second"]) == ["litert"]
    expected = np.asarray(model([images(2)], training=False))
    np.testing.assert_allclose(found(images(2))[0], expected, rtol=1e-4, atol=1e-5)


def test_autotune_with_few_images_measures_nothing(model, tmp_path, log_lines):
    fastest_forward(model, 5, cache_file=tmp_path / "autotune.json")
    assert not list(tmp_path.iterdir()) and not selections(log_lines)


def test_autotune_skips_variants_that_fail_or_differ(model, tmp_path, monkeypatch):
    def fails(candidate):
        raise ValueError("no such operation")

    plain = autotune.VARIANTS["graph"]

    def differs(candidate):
        return lambda *inputs: [x + 1 for x in plain(candidate)(*inputs)]

    variants = {"constants": autotune.VARIANTS["constants"], "fails": fails, "differs": differs}
    monkeypatch.setattr(autotune, "VARIANTS", variants)
    _, rates = autotune._measured(Candidate(model), lambda: None, several=True)
    assert list(rates) == ["constants"]


class IncompleteBeta(keras.layers.Layer):
    """An operation that LiteRT does not have."""

    def call(self, x):
        return tf.math.betainc(tf.abs(x) + 1.0, tf.abs(x) + 1.0, tf.sigmoid(x))


def test_autotune_operation_unknown_to_litert_selects_constants(log_lines):
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, IncompleteBeta()(keras.layers.Conv2D(4, 3)(pixels)))
    lines = log_lines
    fastest_forward(model, 10**12, cache_file=None)
    assert "frozen layers run by constants: the only variant measured" in selections(lines)[0]


def test_autotune_selects_the_graph_where_every_variant_fails(model, monkeypatch):
    def fails(candidate):
        raise ValueError("no such operation")

    monkeypatch.setattr(autotune, "VARIANTS", {"constants": fails, "litert": fails})
    found = fastest_forward(model, 10**6, cache_file=None)
    expected = np.asarray(model([images(2)], training=False))
    np.testing.assert_allclose(found(images(2))[0], expected, rtol=1e-4, atol=1e-5)


def test_multiplications_of_mobilenet_equal_the_papers():
    """MobileNetV2 at 224 px: 300 million (Sandler et al., 2018), the classifier's 1.3 included."""
    whole = build_application(application_names()["mobilenet_v2"], 224, None)
    assert autotune._multiplications(whole) == pytest.approx(300e6, rel=0.01)


def test_multiplications_include_a_sequential_model_inside():
    inner = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.Conv2D(2, 1)])
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, keras.layers.Conv2D(4, 1)(inner(pixels)))
    assert autotune._multiplications(model) == 36 * (9 * 3 * 4 + 4 * 2 + 2 * 4)
    empty = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    assert autotune._multiplications(keras.Model(pixels, empty(pixels))) == 8 * 8 * 3 * 3


def test_fastest_forward_prefers_the_selection_of_the_run(tmp_path, monkeypatch, log_lines):
    pixels = keras.Input((32, 32, 3))
    model = keras.Model([pixels], [keras.layers.Conv2D(8, 3)(pixels)])
    rates = iter([1.0, 2.0, 2.0, 1.0])
    monkeypatch.setattr(autotune, "_rate", lambda *_: next(rates))
    cache_file, run_file = tmp_path / "autotune.json", tmp_path / "run" / "autotune.json"

    def selections():
        return [line for line in log_lines if "frozen layers run by" in line]

    autotune.fastest_forward(model, 10**8, cache_file=cache_file, run_file=run_file)
    cache_file.unlink()
    autotune.fastest_forward(model, 10**8, cache_file=cache_file, run_file=run_file)
    assert len(selections()) == 1 and not cache_file.exists()
    autotune.fastest_forward(model, 10**8, cache_file=cache_file, run_file=None)
    assert "by constants" in selections()[0] and "by litert" in selections()[1]
    autotune.fastest_forward(model, 10**8, cache_file=cache_file, run_file=run_file)
    assert len(selections()) == 2
