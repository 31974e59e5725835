"""TF-Hub modules of waveforms as backbones."""

import numpy as np
import pytest
import tensorflow as tf

import tftransfer
from tftransfer.backbones.load import load_backbone
from tftransfer.utils.errors import UserError

WAVES = np.random.default_rng(0).uniform(-1, 1, (6, 800)).astype(np.float32)


class _Module(tf.Module):
    """Takes one clip, like YAMNet on TF-Hub: a tuple whose second member is per patch."""

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


def test_module_of_single_clips_gives_the_mean_over_its_patches(module):
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
    assert "are integers, which cannot train" in backbone.remarks[-1]


def test_module_needs_trust_and_an_existing_output(module):
    with pytest.raises(UserError, match="trust_code"):
        load_backbone(str(module), modality="audio", length=1.0)
    with pytest.raises(UserError, match="log_mel"):
        load_backbone(f"{module}:output=log", modality="audio", length=1.0, trust_code=True)


def test_module_may_be_given_by_url(module, monkeypatch):
    import tensorflow_hub

    monkeypatch.setattr(tensorflow_hub, "resolve", lambda url: str(module))
    for name in ("https://example.org/sounds/1", "https://example.org/sounds/1:output=scores"):
        assert load_backbone(name, modality="audio", length=1.0, trust_code=True).name == name


@pytest.mark.slow
def test_published_savedmodel_equals_our_own_layers(shared_data, tmp_path):
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
