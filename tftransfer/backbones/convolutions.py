"""Stages of plain convolutions, of which the small networks for images and audio are made."""

from __future__ import annotations

from keras import layers

from tftransfer.core.typing import Tensor


def convolution_stages(x: Tensor, width: int, depth: int, strides: int = 1) -> Tensor:
    """Applies stages of two convolutions, with BatchNorm and ReLU, and a pooling of 2 by 2.

    Args:
      x: Keras tensor, float [n, height, width, channels].
      width: Channels of the first stage; they double from stage to stage.
      depth: Number of stages, each of which halves the resolution.
      strides: Strides of the first convolution.

    Returns:
      Keras tensor of the last stage's output.
    """
    for stage in range(1, depth + 1):
        for convolution in "ab":
            name = f"conv{stage}{convolution}"
            filters = width * 2 ** (stage - 1)
            x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False, name=name)(x)
            strides = 1
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(name=f"pool{stage}")(x)
    return x
