"""The option `layer`: backbones that end at a stage or a layer."""

import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.utils.errors import UserError


def test_layer_option_ends_the_backbone_at_the_stage():
    whole = load_backbone("small_cnn:depth=3", weights="none")
    ended_early = load_backbone("small_cnn:depth=3,layer=stage2", weights="none")
    assert [stage.name for stage in ended_early.stages] == ["stage1", "stage2"]
    assert ended_early.model.output.shape == whole.stages[1].outputs[0].shape
    assert ended_early.architecture == "small_cnn:depth=3,layer=stage2"


def test_layer_option_ends_the_backbone_at_a_layer():
    ended_early = load_backbone("small_cnn:layer=conv2a_relu", weights="none")
    assert ended_early.model.output.shape[1:] == (16, 16, 32)


def test_random_weights_of_a_truncated_backbone_are_those_of_its_layers():
    ended_early = load_backbone("small_cnn:layer=stage2", weights="none", seed=1)
    again = ended_early.random_weights(1)
    np.testing.assert_array_equal(again["conv2b"][0], ended_early.model.get_layer("conv2b").kernel)


def test_layer_option_unknown_stage_is_an_error():
    with pytest.raises(UserError, match="stage9"):
        load_backbone("small_cnn:layer=stage9", weights="none")


@pytest.mark.parametrize(
    "layer", ["stage7", pytest.param("layer7_pointwise_conv_relu", marks=pytest.mark.slow)]
)
def test_truncated_yamnet_keeps_patch_weights_and_draws_random_weights(layer):
    """Keras orders the layers of a truncated model differently."""
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


def test_truncated_word_vectors_draw_random_weights():
    ended_early = load_backbone(
        "word_vectors:body=cnn,layer=stage1", weights="none", modality="text", length=8
    )
    random = ended_early.random_weights(3)
    for layer in ended_early.model.layers:
        assert [w.shape for w in random[layer.name]] == [w.shape for w in layer.get_weights()]
