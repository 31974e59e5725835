"""A small network on log-mel spectrograms, for quick trials and for training from scratch."""

from __future__ import annotations

import keras
from keras import layers

from tftransfer.backbones.audio.yamnet import BANDS
from tftransfer.backbones.convolutions import convolution_stages
from tftransfer.core.typing import KerasModel


def small_cnn(frames: int, width: int = 32, depth: int = 4) -> KerasModel:
    """Builds a small network from log-mel spectrograms, [n, frames, 64, 1], to a feature map.

    The first convolution has strides of 2, like YAMNet's, unless the stages need the full
    resolution: at full resolution it would be half of the computation.

    Args:
      frames: Frames of a spectrogram.
      width: Channels of the first stage; they double from stage to stage.
      depth: Number of stages, each of which halves the resolution.
    """
    x = spectrogram = keras.Input((frames, BANDS, 1), name="log_mel")
    x = layers.Rescaling(1 / 4, offset=0.5, name="rescale")(x)
    strides = 2 if 2 ** (depth + 1) <= BANDS else 1
    return keras.Model(spectrogram, convolution_stages(x, width, depth, strides), name="small_cnn")
