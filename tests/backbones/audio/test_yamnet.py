"""YAMNet of our layers against the published network."""

import csv
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones.audio.patch_layers import PatchLoudness
from tftransfer.backbones.audio.yamnet import build_yamnet, with_scores
from tftransfer.backbones.audio.yamnet_weights import load_yamnet, our_name
from tftransfer.backbones.load import load_backbone
from tftransfer.core.recipe import Head
from tftransfer.models.network import FEATURES, Network
from tftransfer.preprocessing.audio.decode import decode_waveform
from tftransfer.preprocessing.audio.preprocessors import LogMelPreprocessor
from tftransfer.utils.errors import UserError


@pytest.fixture(scope="module")
def models(shared_data):
    return shared_data / "audio_models"


@pytest.fixture(scope="module")
def bark(shared_data):
    with zipfile.ZipFile(shared_data / "esc10" / "esc10_16k.zip") as clips:
        return clips.read("dog_bark/1-100032-A.wav")


def test_yamnet_scores_equal_the_published_networks(models, bark):
    published = tf.saved_model.load(str(models / "yamnet_savedmodel"))
    ours = with_scores(build_yamnet(96))
    load_yamnet(ours, models / "yamnet_savedmodel")
    samples = decode_waveform(tf.constant(bark), 15_600)
    patch = LogMelPreprocessor(length=0.975).from_samples(samples)[None]
    scores, embeddings = ours(patch)
    theirs, their_embeddings, log_mel = published(samples)
    np.testing.assert_allclose(patch[0, :, :, 0], log_mel[:96], atol=1e-3)
    np.testing.assert_allclose(scores[0], theirs[0], atol=1e-4)
    np.testing.assert_allclose(embeddings[0], their_embeddings[0], atol=1e-3)
    with (models / "yamnet_class_map.csv").open() as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    assert names[int(np.argmax(scores[0]))] in ("Dog", "Animal", "Bark", "Domestic animals, pets")


def test_yamnet_embeddings_are_the_mean_over_patches(models, bark):
    published = tf.saved_model.load(str(models / "yamnet_savedmodel"))
    preprocessor = LogMelPreprocessor(length=0.975 + 4 * 0.48)  # patches as published: 0.48 s apart
    ours = with_scores(build_yamnet(preprocessor.shape[0]))
    load_yamnet(ours, models / "yamnet_savedmodel")
    spectrogram = preprocessor.decode(tf.constant(bark))
    patches = tf.stack([spectrogram[start : start + 96, :, 0] for start in range(0, 193, 48)])
    theirs = published.patches(patches)[1]
    np.testing.assert_allclose(ours(spectrogram[None])[1][0], np.mean(theirs, 0), atol=1e-3)


def test_our_name_translates_every_published_name():
    assert our_name("layer1/conv/kernel") == "layer1_conv/kernel"
    assert our_name("m/layer9/depthwise_conv/depthwise_kernel") == "layer9_depthwise_conv/kernel"
    long = "layer2/pointwise_conv/bn/layer2/pointwise_conv/bn/moving_mean"
    assert our_name(long) == "layer2_pointwise_conv_bn/moving_mean"
    assert our_name("logits/logits/bias") == "logits/bias"
    assert our_name("optimizer/iterations") == ""


def _published(layer):
    """The name of a layer in the published files."""
    return layer.replace("_conv_bn", "_conv/bn").replace("_", "/", 1)


def test_load_yamnet_reads_the_published_file_by_name(tmp_path):
    model, other = build_yamnet(96), build_yamnet(96)
    with h5py.File(tmp_path / "yamnet.h5", "w") as file:
        for layer in model.layers:
            for variable in layer.weights:
                place = _published(layer.name)
                file[f"{place}/{place}/{variable.name}:0"] = variable.numpy()
    digest, remarks = load_yamnet(other, tmp_path / "yamnet.h5")
    assert len(digest) == 64 and not remarks
    for ours, theirs in zip(other.weights, model.weights):
        np.testing.assert_array_equal(ours, theirs)


def test_load_yamnet_reads_a_savedmodel_by_name(tmp_path):
    model, other = build_yamnet(96), build_yamnet(96)
    module = tf.Module()
    module.all = [
        tf.Variable(variable.value, name=f"{_published(layer.name)}/{variable.name}")
        for layer in model.layers
        for variable in layer.weights
    ]
    tf.saved_model.save(module, str(tmp_path / "module"))
    assert not load_yamnet(other, tmp_path / "module")[1]
    np.testing.assert_array_equal(other.weights[-1], model.weights[-1])


def test_load_yamnet_of_the_first_layers_reports_random_ones(models):
    model = build_yamnet(96)
    _, remarks = load_yamnet(model, models / "yamnet_256_f32.h5")
    assert "random from layer7_depthwise_conv on" in remarks[0]
    with h5py.File(models / "yamnet_256_f32.h5") as file:
        stored = file["model_weights/model_2/layer6/pointwise_conv/kernel:0"][:]
    np.testing.assert_array_equal(model.get_layer("layer6_pointwise_conv").kernel, stored)


def test_load_yamnet_of_another_network_is_an_error(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense/kernel:0"] = np.zeros((3, 3))
    with pytest.raises(UserError, match="holds no weights of YAMNet"):
        load_yamnet(build_yamnet(96), tmp_path / "other.h5")
    with pytest.raises(UserError, match="cannot be read"):
        load_yamnet(build_yamnet(96), tmp_path / "absent.h5")


def _network(name, layer="stage14"):
    backbone = load_backbone(name, weights="none", modality="audio", length=3.0)
    return Network(backbone.truncated(layer), [Head()], units=2)


def _quiet_after(frames, total=298):
    spectrogram = np.random.default_rng(0).normal(-2.0, 1.0, (1, total, 64, 1)).astype("float32")
    spectrogram[:, frames:] = np.log(0.001)  # of silence
    return spectrogram


def test_loudness_pooling_ignores_patches_of_silence():
    # With random weights the features shrink from layer to layer.
    loud, plain = _network("yamnet", "stage2"), _network("yamnet:pool=mean", "stage2")
    for ours, theirs in zip(plain.backbone.model.weights, loud.backbone.model.weights):
        ours.assign(theirs)
    clip = _quiet_after(40)
    by_patch = plain.backbone.model([clip])
    first = np.mean(by_patch[:, :48], axis=(1, 2))  # 48 steps of time are a patch
    np.testing.assert_allclose(loud.predict(clip)[FEATURES], first, rtol=1e-3, atol=1e-5)
    mean_of_all = np.mean(by_patch, axis=(1, 2))
    np.testing.assert_allclose(plain.predict(clip)[FEATURES], mean_of_all, rtol=1e-3, atol=1e-5)
    assert np.abs(first - mean_of_all).max() > 1e-3


def test_patch_loudness_of_a_silent_clip_is_one():
    weights = PatchLoudness(4, 0.001)(np.full((2, 4 * 96, 64, 1), np.log(0.001), "float32"))
    np.testing.assert_allclose(weights, np.ones((2, 4)), rtol=1e-3)


@pytest.mark.slow
def test_weights_by_patch_pass_every_cut():
    network, clip = _network("yamnet"), _quiet_after(150)
    whole = network.predict(clip)[FEATURES]
    for boundary in ("stage1", "stage7", "stage14"):
        frozen, trainable = (
            network.submodel("input", boundary),
            network.submodel(boundary, FEATURES),
        )
        np.testing.assert_allclose(trainable(frozen([clip])), whole, rtol=1e-4, atol=1e-6)
    assert sum(len(stage.layers) for stage in network.backbone.stages) == (
        len(network.backbone.model.layers) - 1  # the input layer
    )


def test_build_yamnet_unknown_pool_is_an_error():
    with pytest.raises(UserError, match="pool"):
        build_yamnet(96, pool="loud")
