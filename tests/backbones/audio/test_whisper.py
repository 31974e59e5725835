"""Whisper's encoder, with random weights of a small size."""

import numpy as np
import pytest
import tensorflow as tf

import tftransfer
from tftransfer.backbones.load import load_backbone
from tftransfer.preprocessing.audio.whisper_mel import WhisperPreprocessor
from tftransfer.utils.errors import UserError

keras_hub = pytest.importorskip("keras_hub")
SMALL = "whisper:layers=2,heads=2,width=16"


def test_whisper_preprocessor_equals_that_of_kerashub():
    samples = np.random.default_rng(0).normal(size=32_000).astype(np.float32) / 9
    theirs = keras_hub.layers.WhisperAudioConverter(max_audio_length=2)(tf.constant(samples))
    ours = WhisperPreprocessor(length=2.0).from_samples(tf.constant(samples))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_whisper_stages_are_blocks_and_compute_what_kerashub_does():
    backbone = load_backbone(SMALL, weights="none", modality="audio", length=1.0)
    assert [stage.name for stage in backbone.stages] == ["stage1", "stage2", "stage3"]
    assert backbone.stages[-1].outputs[0].shape == (None, 50, 16)
    whole = keras_hub.models.WhisperBackbone(8, 2, 2, 16, 64, max_decoder_sequence_length=8)
    mine = {layer.name: layer for layer in backbone.model.layers}
    for layer in whole.layers:
        if layer.name in mine and layer.weights:
            layer.set_weights(mine[layer.name].get_weights())
    batch = np.random.default_rng(1).normal(size=(2, 100, 80)).astype(np.float32)
    tokens = np.ones((2, 3), np.int32)
    theirs = whole(
        {"encoder_features": batch, "decoder_token_ids": tokens, "decoder_padding_mask": tokens}
    )
    np.testing.assert_allclose(backbone.model(batch), theirs["encoder_sequence_output"], atol=1e-4)


def test_load_backbone_unknown_preset_or_long_clip_is_an_error():
    with pytest.raises(UserError, match="whisper_tiny_en"):
        load_backbone("whisper_tiny_em", modality="audio", length=1.0)
    with pytest.raises(UserError, match="at most 30 s of audio, got 31 s"):
        load_backbone(SMALL, weights="none", modality="audio", length=31.0)


@pytest.mark.slow
def test_whisper_is_trained_and_exported(tmp_path):
    waves = np.random.default_rng(2).normal(size=(24, 16_000)) / 9
    waves[::2] *= 0.01
    experiment = tftransfer.Experiment(
        data=(waves, np.arange(24) % 2),
        backbone=SMALL,
        weights="none",
        recipe="fine_tune:unfreeze=1,epochs=1,head_epochs=1,augment=shift",
        batch_size=8,
    )
    run = tftransfer.train(experiment, tmp_path / "run")
    assert tftransfer.predict(run.workdir, [waves[0]])[0]["label"] in ("0", "1")
