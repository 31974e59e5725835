"""Options of audio backbones."""

import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.utils.errors import UserError

REFUSED = {
    "yamnet:frames=96": "named 'frames'.\nAvailable: hop, pool",
    "yamnet:hop=0": "yamnet:hop=0: 0 is not a positive whole number",
    "yamnet:hop=-3": "-3 is not a positive whole number",
    "yamnet:hop=2.5": "2.5 is not a positive whole number",
    "yamnet:hop=far": "far is not a positive whole number",
    "small_cnn:width=0": "width=0: 0 is not a positive whole number",
    "small_cnn:depth=0": "depth=0: 0 is not a positive whole number",
    "small_cnn:depth=9": "cannot be built for 1 s",
    "small_cnn:depht=2": "Did you mean depth",
    "whisper:layers=0": "layers=0: 0 is not a positive whole number",
    "whisper:heads=5": "not a multiple of its 5 heads",
    "whisper:lyers=2": "Did you mean layers",
    "whisper:preset=whisper_tiny_en,layers=2": "has its own sizes",
}


@pytest.mark.parametrize("name", REFUSED)
def test_load_backbone_wrong_audio_option_is_an_error_of_two_lines(name):
    with pytest.raises(UserError) as error:
        load_backbone(name, modality="audio", weights="none", length=1.0)
    assert REFUSED[name] in str(error.value) and str(error.value).count("\n") == 1


@pytest.mark.parametrize("depth, strides", ((4, 2), (6, 1)))
def test_small_cnn_first_stride_depends_on_depth(depth, strides):
    name = f"small_cnn:depth={depth},width=2"
    model = load_backbone(name, modality="audio", weights="none", length=1.0).model
    assert model.get_layer("conv1a").strides == (strides, strides)
