"""A small network on log-mel spectrograms, for quick trials and for training from scratch."""

from __future__ import annotations

import keras
from keras import layers

from tftransfer.parts.backbones.audio.yamnet import BANDS


def small_cnn(frames: int, width: int = 32, depth: int = 4) -> keras.Model:
    """Log-mel spectrograms [n, frames, 64, 1] to a feature map: `depth` stages of convolutions.

    Args:
      frames: of a spectrogram.
      width: channels of the first stage; they double from stage to stage.
      depth: number of stages, each halving the resolution.
    """
    x = spectrogram = keras.Input((frames, BANDS, 1), name="log_mel")
    x = layers.Rescaling(1 / 4, offset=0.5, name="rescale")(x)
    for stage in range(1, depth + 1):
        for part in "ab":
            name = f"conv{stage}{part}"
            filters = width * 2 ** (stage - 1)
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(name=f"pool{stage}")(x)
    return keras.Model(spectrogram, x, name="small_cnn")
