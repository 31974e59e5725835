"""Backbones by name: options, seeds, registered builders, and what is wrong with a name."""

import keras
import numpy as np
import pytest

from tftransfer.backbones.image.load import image_backbone_names
from tftransfer.backbones.image.small_cnn import small_cnn
from tftransfer.backbones.load import load_backbone
from tftransfer.backbones.names import is_module, modality_of_name, split_layer, with_layer
from tftransfer.backbones.registry import register_backbone
from tftransfer.utils.errors import UserError


@pytest.mark.parametrize(
    "name, what, remedy",
    [
        ("mobilenet_v22", "no backbone named 'mobilenet_v22'", "mobilenet_v2"),
        ("smal_cnn", "no backbone named 'smal_cnn'", "small_cnn"),
        ("mobilenet_v2:alfa=0.35", "no option of backbone mobilenet_v2 named 'alfa'", "alpha"),
        ("small_cnn:dept=2", "no option of backbone small_cnn named 'dept'", "depth"),
        ("mobilenet_v2:include_top=true", "no option of backbone", ""),
        ("small_cnn:width", "option 'width' without a value", "NAME:option=value"),
        ("small_cnn:width=wide", "small_cnn", "options"),
        ("vgg16:pooling=avg,name=7", "vgg16", ""),
    ],
)
def test_load_backbone_wrong_name_or_option_is_an_error(name, what, remedy):
    with pytest.raises(UserError) as caught:
        load_backbone(name, weights="none", image_size=32)
    assert what in caught.value.what
    assert remedy in caught.value.remedy


def test_load_backbone_passes_options_to_the_builder():
    shallow = load_backbone("small_cnn:depth=2,width=4", weights="none", image_size=16)
    assert shallow.model.output_shape == (None, 4, 4, 8)
    assert len(shallow.stages) == 2


def test_load_backbone_random_weights_depend_on_the_seed():
    first, same, other = (
        load_backbone("small_cnn", weights="none", image_size=16, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.model.get_weights()[0], same.model.get_weights()[0])
    assert not np.array_equal(first.model.get_weights()[0], other.model.get_weights()[0])
    assert not first.pretrained


def test_load_backbone_without_pretrained_weights_is_an_error():
    with pytest.raises(UserError, match="small_cnn has no pretrained weights"):
        load_backbone("small_cnn", weights="imagenet")


def test_load_backbone_failing_download_is_an_error(monkeypatch):
    def MobileNetV2(input_tensor=None, include_top=True, weights="imagenet"):
        assert weights == "imagenet"
        raise Exception("URL fetch failure on https://storage.example: None -- [Errno -2]")

    MobileNetV2.__module__ = keras.applications.MobileNetV2.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV2", MobileNetV2)
    with pytest.raises(UserError) as caught:
        load_backbone("mobilenet_v2", weights="imagenet")
    assert "ImageNet weights of mobilenet_v2 could not be downloaded" in caught.value.what
    assert "URL fetch failure" in caught.value.what
    assert "--weights=PATH" in caught.value.remedy


def test_load_backbone_too_small_size_is_an_error():
    with pytest.raises(UserError, match="at 2 px cannot be built"):
        load_backbone("small_cnn:depth=5", weights="none", image_size=2)


def test_image_backbone_names_are_applications_and_registered_ones():
    names = image_backbone_names()
    assert {"mobilenet_v2", "small_cnn"} <= set(names)
    assert names == sorted(names)


@pytest.mark.parametrize(
    "name, plain, layer",
    [
        ("mobilenet_v2", "mobilenet_v2", ""),
        ("mobilenet_v2:layer=stage3", "mobilenet_v2", "stage3"),
        ("mobilenet_v2:alpha=0.35,layer=stage3", "mobilenet_v2:alpha=0.35", "stage3"),
        ("mobilenet_v2:layer=stage3,window=5", "mobilenet_v2:window=5", "stage3"),
        ("https://a.b/c:layer=x", "https://a.b/c", "x"),
    ],
)
def test_split_layer_and_with_layer_are_inverse(name, plain, layer):
    assert split_layer(name) == (plain, layer)
    assert not layer or split_layer(with_layer(plain, layer)) == (plain, layer)


@pytest.mark.parametrize(
    "name, modality",
    [
        ("yamnet:hop=96", "audio"),
        ("whisper_tiny_en", "audio"),
        ("word_vectors:pool=sif", "text"),
        ("bert_tiny_en_uncased", "text"),
        ("resnet50", "image"),
    ],
)
def test_modality_of_name(name, modality):
    assert modality_of_name(name) == modality


def test_modality_of_name_of_a_folder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert modality_of_name(str(tmp_path)) == "text"
    (tmp_path / "config.json").write_text('{"experiment": {}}')
    (tmp_path / "result.json").write_text('{"modality": "audio"}')
    assert modality_of_name(f"{tmp_path}:layer=stage2") == "audio"


def test_is_module_missing_path_is_an_error(tmp_path):
    assert is_module("google/yamnet/tensorFlow2/yamnet") and is_module(f"{tmp_path}")
    assert not is_module("mobilenet_v2")
    with pytest.raises(UserError, match="does not exist, nor is it a Kaggle handle"):
        is_module(f"{tmp_path}/absent")


def trained_cnn(size):
    """A builder that always loads its own weights."""
    model = small_cnn(size, width=4, depth=1)
    model.set_weights([np.full(weight.shape, 0.5) + weight * 0 for weight in model.get_weights()])
    model.get_layer("conv1a").kernel.assign(
        np.random.default_rng(0).normal(size=model.get_layer("conv1a").kernel.shape)
    )
    return model


def test_register_backbone_with_its_own_weights_is_known_to_be_pretrained():
    register_backbone("trained", image_size=16)(trained_cnn)
    backbone = load_backbone("trained")
    assert backbone.pretrained and backbone.weights == "those of trained's builder"
    with pytest.raises(UserError, match="no random weights"):
        backbone.random_weights(0)
    with pytest.raises(UserError, match="always loads its weights"):
        load_backbone("trained", weights="none")


def test_register_backbone_parameter_weights_gives_trained_or_random_ones():
    @register_backbone("either", image_size=16)
    def either(size, weights="pretrained"):
        return trained_cnn(size) if weights else small_cnn(size, width=4, depth=1)

    trained, random = (load_backbone("either", weights=w) for w in ("pretrained", "none"))
    assert trained.pretrained and not random.pretrained
    kernel = trained_cnn(16).get_layer("conv1a").kernel
    np.testing.assert_array_equal(trained.model.get_layer("conv1a").kernel, kernel)
    assert not np.array_equal(random.model.get_layer("conv1a").kernel, kernel)
    assert not np.array_equal(trained.random_weights(1)["conv1a"][0], kernel)
    with pytest.raises(UserError, match="no option of backbone either named 'weights'"):
        load_backbone("either:weights=none")


@pytest.mark.parametrize("pretrained", [None, False])
def test_register_backbone_with_random_weights_is_not_pretrained(pretrained):
    register_backbone("plain", image_size=16, pretrained=pretrained)(
        lambda size: small_cnn(size, 4, 1)
    )
    assert not load_backbone("plain", weights="none").pretrained
    with pytest.raises(UserError, match="plain has no pretrained weights"):
        load_backbone("plain")


def test_register_backbone_declared_pretrained_is_not_built_twice():
    calls = []

    @register_backbone("declared", image_size=16, pretrained=True)
    def declared(size):
        calls.append(size)
        return trained_cnn(size)

    assert load_backbone("declared").pretrained and calls == [16]
