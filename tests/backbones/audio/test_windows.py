"""Long clips for image networks: each window is processed as if it were alone."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tftransfer.backbones.audio.windows import in_windows
from tftransfer.backbones.load import load_backbone
from tftransfer.core.recipe import Head
from tftransfer.features import autotune
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.preprocessing.audio.preprocessors import SpectrogramPreprocessor
from tftransfer.utils.errors import UserError

NAME = "mobilenet_v2:alpha=0.35"


def loaded(name, length, seed=0):
    return load_backbone(
        name, weights="none", image_size=32, seed=seed, modality="audio", length=length
    )


@pytest.fixture(scope="module")
def long():
    return loaded(f"{NAME},window=1", 3.0)


def test_spectrograms_are_as_many_as_the_clip_has_windows(long):
    assert (
        long.preprocessor.shape == (32, 96, 3)
        and long.preprocessor.description == "3 s as 3 spectrograms of 32 px"
    )
    assert "3 in a row" in long.remarks[-1]
    assert loaded(NAME, 10.0).preprocessor.shape == (32, 32, 3)
    assert loaded(NAME, 25.0).preprocessor.shape == (
        32,
        96,
        3,
    )  # one spectrogram shows 10 s at most


def test_features_are_the_mean_over_the_windows(long):
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 96, 3)).astype(np.float32)
    plain = Network(loaded(NAME, 1.0), [Head()], units=2)
    each = [plain.predict(pixels[:, :, at : at + 32])[FEATURES] for at in (0, 32, 64)]
    network = Network(long, [Head()], units=2)
    np.testing.assert_allclose(
        network.predict(pixels)[FEATURES], np.mean(each, axis=0), rtol=1e-4, atol=1e-5
    )
    tensors = [pixels]
    for start, end in zip(network.boundaries, network.boundaries[1:]):
        tensors = network.submodel(start, end)(tensors)
        tensors = tensors if isinstance(tensors, list) else [tensors]
    np.testing.assert_allclose(tensors[0], np.mean(each, axis=0), rtol=1e-4, atol=1e-5)
    assert (
        network.boundaries[0] == INPUT
        and network.architecture_digest() == Network(long, [Head()], units=2).architecture_digest()
    )


def test_reset_draws_weights_of_the_inner_layers(long):
    network = Network(long, [Head()], units=2)
    before = network.digest(["stage2"])
    network.reset(["stage2"], 5)
    after = network.digest(["stage2"])
    network.reset(["stage2"], 5)
    assert before != after == network.digest(["stage2"])


def test_spectrogram_windows_show_their_part_of_the_clip():
    rng = np.random.default_rng(0)
    clip = np.concatenate([np.zeros(16_000), rng.normal(0, 0.3, 16_000)]).astype(np.float32)
    preprocessor = SpectrogramPreprocessor(length=2.0, image_size=24, windows=2)
    image = preprocessor.from_samples(clip).numpy()
    assert image.shape == (24, 48, 3)
    assert image[:, :22].mean() < 20 < 60 < image[:, 26:].mean()


def pixels_of(count, windows=3):
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (count, 32, 32 * windows, 3)).astype(np.float32)


def test_fastest_forward_of_windows_equals_the_model(long, monkeypatch, log_lines):
    monkeypatch.setattr(autotune, "_MIN_MULTIPLICATIONS", 0)
    found = autotune.fastest_forward(long.model, 9, cache_file=None)
    expected = np.asarray(long.model([pixels_of(2)], training=False))
    np.testing.assert_allclose(found(pixels_of(2))[0], expected, rtol=1e-3, atol=1e-4)
    assert log_lines


def test_in_windows_averages_vectors():
    plain = loaded(NAME, 1.0)
    vectors = keras.layers.GlobalAveragePooling2D()(plain.stages[-1].outputs[0])
    last = replace(plain.stages[-1], outputs=(vectors,))
    model = keras.Model(plain.model.inputs, vectors)
    plain = replace(plain, model=model, stages=(*plain.stages[:-1], last))
    each = [model(pixels_of(2)[:, :, at : at + 32]).numpy() for at in (0, 32, 64)]
    found = in_windows(plain, 3).model(pixels_of(2)).numpy()
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["window=1,layer={}", "layer={},window=1"])
@pytest.mark.parametrize("layer", ["stage2", "block_3_expand"])
def test_layer_option_truncates_windows_at_stages_and_layers(name, layer):
    options = {"weights": "none", "modality": "audio", "image_size": 32, "length": 3.0}
    name = f"{NAME},{name.format(layer)}"
    backbone = load_backbone(name, **options)
    whole = loaded(f"{NAME},window=1", 3.0)
    assert len(backbone.stages) < len(whole.stages) and backbone.model.input_shape[2] == 96
    again = load_backbone(backbone.architecture, **options)
    assert again.model.output_shape == backbone.model.output_shape and backbone.name == name
    assert set(backbone.random_weights(1)) >= {
        layer.name for stage in backbone.stages for layer in stage.layers
    }


@pytest.mark.parametrize("window", ["0", "-1", "long"])
def test_window_option_must_be_a_number_of_seconds(window):
    with pytest.raises(UserError, match="not a number of seconds"):
        loaded(f"{NAME},window={window}", 3.0)
