"""Backbones that end at a stage or a layer."""

import numpy as np
import pytest

from tftransfer.ground.errors import UserError
from tftransfer.parts.backbones.load import load_backbone


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
