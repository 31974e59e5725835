"""What backbones exist, without building them."""

import dataclasses

import pytest

import tftransfer
from tftransfer.backbones import listing
from tftransfer.backbones.audio.yamnet import build_yamnet
from tftransfer.backbones.image.applications import application_names, build_application
from tftransfer.backbones.image.parameter_counts import PARAMETER_COUNTS
from tftransfer.backbones.load import check_backbone
from tftransfer.backbones.registry import register_backbone
from tftransfer.utils.errors import UserError


def test_list_backbones_of_images_are_the_applications_and_the_registered_ones():

    @register_backbone("mine", image_size=48)
    def mine(size, weights=None, blocks=2):
        """Builds a network of blocks.

        It is mine.
        """

    found = {each.name: each for each in tftransfer.list_backbones(modality="image")}
    assert set(found) == {*application_names(), "small_cnn", "mine"}
    assert found["mine"] == listing.BackboneInfo(
        name="mine",
        modality="image",
        summary="Builds a network of blocks",
        options={"blocks": 2},
        input_size="48 px",
        weights="its builder's",
    )
    assert found["small_cnn"].weights == "" and found["mobilenet_v2"].weights == "ImageNet"
    for name in found:
        check_backbone(name, "image")


def test_list_backbones_prints_one_line_each():
    for each in tftransfer.list_backbones("mobilenet*", modality="image"):
        assert str(each).startswith(each.name) and "\n" not in str(each)
    line = str(tftransfer.list_backbones("mobilenet_v2", modality="image")[0])
    assert all(text in line for text in ("2.3 M", "224 px", "weights: ImageNet", "alpha=1.0"))


def test_list_backbones_options_are_accepted_by_name():
    for each in tftransfer.list_backbones("[mn]*", modality="image"):
        for option, value in each.options.items():
            check_backbone(f"{each.name}:{option}={value}", "image")


@pytest.mark.parametrize("modality, own", [("text", "word_vectors"), ("audio", "yamnet")])
def test_list_backbones_works_without_keras_hub(monkeypatch, modality, own):
    monkeypatch.setattr(listing, "_keras_hub", lambda: None)
    names = [each.name for each in tftransfer.list_backbones(modality=modality)]
    assert own in names and len(names) <= 2


def test_list_backbones_includes_presets_of_keras_hub():
    pytest.importorskip("keras_hub")
    bert = tftransfer.list_backbones("bert_tiny_en_uncased")[0]
    assert bert.modality == "text" and bert.parameters == 4_385_920
    assert bert.options == {"pool": "", "unit": 0} and "2-layer BERT" in bert.summary
    assert tftransfer.list_backbones("whisper_tiny_en")[0].input_size == "30 s"


def test_list_backbones_unknown_modality_is_an_error():
    with pytest.raises(UserError, match="modality"):
        tftransfer.list_backbones(modality="video")


def test_backbone_info_cannot_be_changed():
    info = tftransfer.list_backbones("vgg16", modality="image")[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.name = "other"


def test_parameter_counts_name_every_application():
    assert set(PARAMETER_COUNTS) == set(application_names())


@pytest.mark.parametrize(
    "name",
    [
        name if name == "mobilenet_v2" else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(PARAMETER_COUNTS)
    ],
)
def test_parameter_counts_are_those_of_the_models(name):
    model = build_application(application_names()[name], 96, None)
    assert model.count_params() == PARAMETER_COUNTS[name]


def test_list_backbones_parameters_of_yamnet_are_those_of_the_model():
    info = tftransfer.list_backbones("yamnet", modality="audio")[0]
    assert info.parameters == build_yamnet(96).count_params()
