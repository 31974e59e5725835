"""Inputs of audio networks, and their augmentation."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.preprocessing.audio.log_mel import LogMel, MelBands
from tftransfer.preprocessing.audio.preprocessors import (
    LogMelPreprocessor,
    SpectrogramPreprocessor,
    WaveformPreprocessor,
)
from tftransfer.preprocessing.audio.wav import encode_wav

PREPROCESSORS = {
    "waveform": WaveformPreprocessor(length=1.0),
    "log-mel": LogMelPreprocessor(length=1.0),
    "spectrogram": SpectrogramPreprocessor(length=1.0, image_size=48),
}
NOISE = np.random.default_rng(0).normal(size=16_000) / 5


def tone(hertz, seconds=1.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(16_000 * seconds)) / 16_000)


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_decode_valid_accepts_clips_of_any_length_and_invalid_bytes(name):
    preprocessor = PREPROCESSORS[name]
    clips = [encode_wav(tone(440, seconds)) for seconds in (0.2, 1.0, 3.0)]
    arrays, good = preprocessor.decode_valid(tf.constant([*clips, b"RIFFnothing"]))
    assert arrays.shape == (4, *preprocessor.shape) and good.numpy().tolist() == [True] * 3 + [
        False
    ]
    assert np.isfinite(arrays).all() and not np.any(arrays[3])


def test_log_mel_of_a_tone_is_largest_in_its_band():
    preprocessor = LogMelPreprocessor(length=1.0)
    mel = 1127 * np.log1p(np.array([125, 7500, 1000]) / 700)
    band = (mel[2] - mel[0]) / (mel[1] - mel[0]) * 65 - 1
    loudest = np.argmax(
        preprocessor.from_samples(tf.constant(tone(1000), tf.float32))[:, :, 0], axis=1
    )
    assert (abs(loudest - band) <= 1).all()


def test_spectrogram_has_low_tones_at_the_bottom():
    preprocessor = PREPROCESSORS["spectrogram"]
    low = np.asarray(preprocessor.from_samples(tf.constant(tone(150), tf.float32)))
    high = np.asarray(preprocessor.from_samples(tf.constant(tone(5000), tf.float32)))
    assert low[36:].mean() > low[:12].mean() + 20 and high[:12].mean() > high[36:].mean() + 20
    assert low.min() >= 0 and low.max() <= 255


def test_log_mel_layer_from_its_config_equals_the_preprocessor():
    bands = MelBands(bands=32, low=50.0)
    layer = LogMel.from_config(LogMel(bands).get_config())
    waveform = tf.constant(NOISE[None], tf.float32)
    model = keras.Sequential([keras.Input((16_000,)), layer])
    preprocessor = LogMelPreprocessor(length=1.0, bands=bands)
    assert model.output_shape == (None, *preprocessor.shape[:2])
    np.testing.assert_allclose(
        model(waveform)[0], preprocessor.from_samples(waveform[0])[..., 0], atol=1e-5
    )


def test_decode_of_flac_and_wav_of_one_clip_is_equal():
    soundfile = pytest.importorskip("soundfile")
    file = io.BytesIO()
    soundfile.write(file, NOISE, 16_000, format="FLAC", subtype="PCM_24")
    preprocessor = PREPROCESSORS["log-mel"]
    ours, theirs = (
        preprocessor.decode(preprocessor.convert(d)) for d in (file.getvalue(), encode_wav(NOISE))
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("augment", ["shift", "mask", "full", "strong", "noise"])
@pytest.mark.parametrize("name", PREPROCESSORS)
def test_per_example_depends_only_on_the_seed_of_each_row(name, augment):
    preprocessor = PREPROCESSORS[name]
    batch = np.stack([preprocessor.from_samples(tf.constant(NOISE, tf.float32))] * 4)
    augmenter = preprocessor.augmenter(augment)
    one = np.asarray(augmenter.per_example(batch, np.array([1, 2, 3, 1])))
    again = np.asarray(preprocessor.augmenter(augment).per_example(batch[:2], np.array([3, 2])))
    assert one.shape == batch.shape and augmenter.random
    np.testing.assert_allclose(one[2], again[0], atol=1e-4)
    np.testing.assert_allclose(one[0], one[3], atol=1e-4)
    assert np.abs(one[0] - one[1]).max() > 1e-3 and np.abs(one[0] - batch[0]).max() > 1e-3
    np.testing.assert_array_equal(augmenter(batch, 7, 1), augmenter(batch, 7, 1))


def test_shift_moves_in_time_and_loses_nothing():
    preprocessor = PREPROCESSORS["log-mel"]
    array = np.asarray(preprocessor.from_samples(tf.constant(NOISE, tf.float32)))
    moved = np.asarray(preprocessor.augmenter("shift").per_example(array[None], np.array([5])))[0]
    assert any(np.array_equal(np.roll(array, by, axis=0), moved) for by in range(-25, 26))


def test_mask_blanks_stretches_of_time_and_of_frequency():
    array = np.random.default_rng(1).normal(size=(8, 98, 64, 1)).astype(np.float32)
    masked = np.asarray(PREPROCESSORS["log-mel"].augmenter("mask").per_example(array, np.arange(8)))
    changed = (masked != array)[..., 0]
    times, bands = changed.all(axis=2), changed.all(axis=1)
    assert times.any() and bands.any() and not times.all(axis=1).any()
    np.testing.assert_array_equal(changed, times[:, :, None] | bands[:, None, :])
