"""A small network for small images, for quick trials and for training from scratch."""

from __future__ import annotations

import keras

from tftransfer.backbones.convolutions import convolution_stages
from tftransfer.backbones.registry import register_backbone
from tftransfer.core.typing import KerasModel


@register_backbone("small_cnn", image_size=32, pretrained=False)
def small_cnn(image_size: int, width: int = 16, depth: int = 3) -> KerasModel:
    """Builds a small network for small images and quick trials, without pretrained weights.

    Args:
      image_size: Side of the input, in pixels.
      width: Channels of the first stage; they double from stage to stage.
      depth: Number of stages, each of which halves the resolution.
    """
    x = pixels = keras.Input((image_size, image_size, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(x)
    return keras.Model(pixels, convolution_stages(x, width, depth), name="small_cnn")
