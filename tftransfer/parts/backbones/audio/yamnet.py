"""YAMNet (Plakal & Ellis, 2020): MobileNet v1 on log-mel spectrograms, trained on AudioSet."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

FRAMES, BANDS, CLASSES = 96, 64, 521
# Stride and channels of the separable convolutions, layer2 to layer14.
_SEPARABLE = (
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512),
    (1, 512), (1, 512), (2, 1024), (1, 1024),
)  # fmt: skip
_EPSILON = 1e-4


def build_yamnet(frames: int) -> keras.Model:
    """Log-mel spectrograms [n, frames, 64, 1] to the last feature map, [n, frames / 32, 2, 1024].

    The layers are named as in the published model, so that its weight files fit by name.
    """
    x = spectrogram = keras.Input((frames, BANDS, 1), name="log_mel")
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="layer1_conv")(x)
    x = _normalised(x, "layer1_conv")
    for number, (stride, channels) in enumerate(_SEPARABLE, 2):
        x = _separable(x, f"layer{number}", stride, channels)
    return keras.Model(spectrogram, x, name="yamnet")


def with_scores(backbone: keras.Model) -> keras.Model:
    """The published network whole: the mean of the feature map, and 521 independent scores."""
    x = layers.GlobalAveragePooling2D(name="embeddings")(backbone.output)
    scores = layers.Dense(CLASSES, activation="sigmoid", name="logits")(x)
    return keras.Model(backbone.input, [scores, x], name="yamnet_scores")


def _separable(x: Any, name: str, stride: int, channels: int) -> Any:
    depthwise, pointwise = f"{name}_depthwise_conv", f"{name}_pointwise_conv"
    x = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, name=depthwise
    )(x)  # fmt: skip
    x = _normalised(x, depthwise)
    x = layers.Conv2D(channels, 1, padding="same", use_bias=False, name=pointwise)(x)
    return _normalised(x, pointwise)


def _normalised(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(scale=False, epsilon=_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
