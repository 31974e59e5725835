"""Backbones that end at a stage or a layer."""

import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.utils.errors import UserError


def test_a_tapped_backbone_ends_where_the_whole_one_passes_by():
    whole = load_backbone("small_cnn:depth=3", weights="none")
    ended_early = load_backbone("small_cnn:depth=3,layer=stage2", weights="none")
    assert [stage.name for stage in ended_early.stages] == ["stage1", "stage2"]
    assert ended_early.model.output.shape == whole.stages[1].outputs[0].shape
    assert ended_early.architecture == "small_cnn:depth=3,layer=stage2"


def test_a_layer_may_be_tapped_too():
    ended_early = load_backbone("small_cnn:layer=conv2a_relu", weights="none")
    assert ended_early.model.output.shape[1:] == (16, 16, 32)


def test_random_weights_of_a_tapped_backbone_are_those_of_its_layers():
    ended_early = load_backbone("small_cnn:layer=stage2", weights="none", seed=1)
    again = ended_early.random_weights(1)
    np.testing.assert_array_equal(again["conv2b"][0], ended_early.model.get_layer("conv2b").kernel)


def test_a_stage_that_is_not_there_names_those_that_are():
    with pytest.raises(UserError, match="stage9"):
        load_backbone("small_cnn:layer=stage9", weights="none")


@pytest.mark.parametrize(
    "layer", ["stage7", pytest.param("layer7_pointwise_conv_relu", marks=pytest.mark.slow)]
)
def test_what_stands_beside_a_tap_stays_and_its_weights_can_be_made_anew(layer):
    """YAMNet's patches have weights; Keras orders the layers of a cut model anew."""
    whole = load_backbone("yamnet", weights="none", modality="audio", length=2.0)
    ended_early = load_backbone(
        f"yamnet:layer={layer}", weights="none", modality="audio", length=2.0
    )
    shapes = [tuple(tensor.shape) for tensor in ended_early.stages[-1].outputs]
    assert shapes == [tuple(tensor.shape) for tensor in whole.stages[6].outputs]
    random = ended_early.random_weights(3)
    for layer in ended_early.model.layers:
        assert [w.shape for w in random[layer.name]] == [w.shape for w in layer.get_weights()]
    kernel = next(layer for layer in whole.model.layers if layer.name == "layer3_pointwise_conv")
    assert random["layer3_pointwise_conv"][0].shape == tuple(kernel.kernel.shape)


def test_weights_of_a_tapped_network_of_words_can_be_made_anew():
    ended_early = load_backbone(
        "word_vectors:body=cnn,layer=stage1", weights="none", modality="text", length=8
    )
    random = ended_early.random_weights(3)
    for layer in ended_early.model.layers:
        assert [w.shape for w in random[layer.name]] == [w.shape for w in layer.get_weights()]
