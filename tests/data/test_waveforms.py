"""Waveforms in memory, and modules that take them."""

import numpy as np
import pytest
import tensorflow as tf

import tftransfer
from tftransfer.backbones.load import load_backbone
from tftransfer.data.sources import read_source, read_unlabelled
from tftransfer.preprocessing.audio.wav import wav_header, wav_samples
from tftransfer.utils.errors import UserError

WAVES = np.random.default_rng(0).uniform(-1, 1, (6, 800)).astype(np.float32)


def test_pairs_of_waveforms_and_labels_are_clips():
    found = read_source((WAVES, ["a", "b"] * 3))
    assert (found.modality, found.classes) == ("audio", ("a", "b"))
    np.testing.assert_array_equal(wav_samples(found.items[2])[:, 0], WAVES[2])
    assert read_unlabelled(WAVES).modality == "audio"


def test_clips_of_other_rates_channels_and_lengths_are_kept_as_they_are():
    stereo = np.stack([WAVES[0], WAVES[1]], axis=1)
    found = tftransfer.from_waveforms([stereo, WAVES[2, :90]], [0, 1], rate=44_100)
    header = wav_header(found.items[0])
    assert (header.channels, header.rate, header.frames) == (2, 44_100, 800)
    assert wav_header(found.items[1]).frames == 90


@pytest.mark.parametrize("wave", [WAVES[0] * 9, np.arange(9), np.zeros(0, np.float32)])
def test_what_is_louder_than_full_scale_or_no_sound_is_refused(wave):
    with pytest.raises(UserError, match="samples in -1 to 1"):
        tftransfer.from_waveforms([wave, WAVES[0]], [0, 1])


class _Module(tf.Module):
    """Of one clip, as TF-Hub's YAMNet: a tuple whose second member is per patch."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(tf.ones((4, 3)), name="kernel")
        self.whole = tf.Variable(tf.ones((2,), tf.int8), name="whole", trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, waveform):
        patches = tf.signal.frame(waveform, 4, 4)
        embeddings = patches @ self.kernel
        return embeddings[:, :1], embeddings, patches


@pytest.fixture
def module(tmp_path):
    tf.saved_model.save(_Module(), str(tmp_path / "module"))
    return tmp_path / "module"


def test_a_module_of_single_clips_gives_the_mean_over_its_patches(module):
    backbone = load_backbone(str(module), modality="audio", length=1.0, trust_code=True)
    batch = (
        np.random.default_rng(1).normal(size=(2, *backbone.preprocessor.shape)).astype(np.float32)
    )
    expected = np.repeat(batch.reshape(2, -1, 4).sum(-1).mean(1)[:, None], 3, axis=1)
    np.testing.assert_allclose(backbone.model(batch), expected, atol=1e-4)
    scores = load_backbone(
        f"{module}:output=scores", modality="audio", length=1.0, trust_code=True
    ).model(batch)
    np.testing.assert_allclose(scores, expected[:, :1], atol=1e-4)
    assert "whole numbers" in backbone.remarks[-1]


def test_a_module_needs_trust_and_names_its_outputs(module):
    with pytest.raises(UserError, match="trust_code"):
        load_backbone(str(module), modality="audio", length=1.0)
    with pytest.raises(UserError, match="log_mel"):
        load_backbone(f"{module}:output=log", modality="audio", length=1.0, trust_code=True)


def test_a_module_may_be_an_address(module, monkeypatch):
    import tensorflow_hub

    monkeypatch.setattr(tensorflow_hub, "resolve", lambda url: str(module))
    for name in ("https://example.org/sounds/1", "https://example.org/sounds/1:output=scores"):
        assert load_backbone(name, modality="audio", length=1.0, trust_code=True).name == name


@pytest.mark.slow
def test_the_published_savedmodel_is_the_same_as_our_own_layers(shared_data, tmp_path):
    path = shared_data / "audio_models" / "yamnet_savedmodel"
    hub = load_backbone(str(path), modality="audio", length=0.975, trust_code=True)
    ours = load_backbone("yamnet", weights=str(path), modality="audio", length=0.975)
    wave = tf.constant(np.random.default_rng(2).normal(size=(2, 15_600)) / 9, tf.float32)
    theirs = hub.model(wave)
    mine = tf.reduce_mean(ours.model(ours.preprocessor.from_raw(wave)), axis=(1, 2))
    np.testing.assert_allclose(mine, theirs, atol=1e-3)
    data = tftransfer.from_waveforms(
        np.tile(WAVES, (6, 1)) * np.linspace(0.1, 1, 36)[:, None], [0, 1] * 18
    )
    experiment = tftransfer.Experiment(
        data=data, backbone=str(path), recipe="feature_extraction:epochs=2", trust_code=True
    )
    run = tftransfer.train(experiment, tmp_path / "run")
    assert (run.export_dir / "saved_model.pb").is_file()


def test_rows_of_numbers_are_no_clips():
    for size in (64, 784):
        with pytest.raises(UserError, match=f"longer than {size}: no pictures") as error:
            read_source((np.zeros((4, size)), [0, 1, 0, 1]))
        assert "from_waveforms" in error.value.remedy


@pytest.mark.parametrize("groups", [["ann"], ["ann", "bob", "cid"]])
def test_there_is_a_group_for_each_clip(groups):
    with pytest.raises(UserError, match=f"{len(groups)} groups for 2 clips"):
        tftransfer.from_waveforms(WAVES[:2], [0, 1], groups=groups)
