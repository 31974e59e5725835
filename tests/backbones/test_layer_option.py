"""Backbones that end at a stage or a layer."""

import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.utils.errors import UserError


def test_a_tapped_backbone_ends_where_the_whole_one_passes_by():
    whole = load_backbone("small_cnn:depth=3", weights="none")
    tapped = load_backbone("small_cnn:depth=3,tap=stage2", weights="none")
    assert [stage.name for stage in tapped.stages] == ["stage1", "stage2"]
    assert tapped.model.output.shape == whole.stages[1].outputs[0].shape
    assert tapped.architecture == "small_cnn:depth=3,tap=stage2"


def test_a_layer_may_be_tapped_too():
    tapped = load_backbone("small_cnn:tap=conv2a_relu", weights="none")
    assert tapped.model.output.shape[1:] == (16, 16, 32)


def test_random_weights_of_a_tapped_backbone_are_those_of_its_layers():
    tapped = load_backbone("small_cnn:tap=stage2", weights="none", seed=1)
    again = tapped.random_weights(1)
    np.testing.assert_array_equal(again["conv2b"][0], tapped.model.get_layer("conv2b").kernel)


def test_a_stage_that_is_not_there_names_those_that_are():
    with pytest.raises(UserError, match="stage9"):
        load_backbone("small_cnn:tap=stage9", weights="none")


@pytest.mark.parametrize(
    "tap", ["stage7", pytest.param("layer7_pointwise_conv_relu", marks=pytest.mark.slow)]
)
def test_what_stands_beside_a_tap_stays_and_its_weights_can_be_made_anew(tap):
    """YAMNet's patches have weights; Keras orders the layers of a cut model anew."""
    whole = load_backbone("yamnet", weights="none", kind="audio", length=2.0)
    tapped = load_backbone(f"yamnet:tap={tap}", weights="none", kind="audio", length=2.0)
    shapes = [tuple(tensor.shape) for tensor in tapped.stages[-1].outputs]
    assert shapes == [tuple(tensor.shape) for tensor in whole.stages[6].outputs]
    random = tapped.random_weights(3)
    for layer in tapped.model.layers:
        assert [w.shape for w in random[layer.name]] == [w.shape for w in layer.get_weights()]
    kernel = next(layer for layer in whole.model.layers if layer.name == "layer3_pointwise_conv")
    assert random["layer3_pointwise_conv"][0].shape == tuple(kernel.kernel.shape)


def test_weights_of_a_tapped_network_of_words_can_be_made_anew():
    tapped = load_backbone(
        "word_vectors:body=cnn,tap=stage1", weights="none", kind="text", length=8
    )
    random = tapped.random_weights(3)
    for layer in tapped.model.layers:
        assert [w.shape for w in random[layer.name]] == [w.shape for w in layer.get_weights()]
