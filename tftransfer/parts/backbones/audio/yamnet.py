"""YAMNet (Plakal & Ellis, 2020): MobileNet v1 on log-mel spectrograms, trained on AudioSet."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tftransfer.parts.backbones.audio.patches import (
    PatchConv2D,
    PatchDepthwiseConv2D,
    Patches,
)
from tftransfer.parts.backbones.stages import Stage, cut_after

FRAMES, BANDS, CLASSES = 96, 64, 521
# Stride and channels of the separable convolutions, layer2 to layer14.
_SEPARABLE = (
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512),
    (1, 512), (1, 512), (2, 1024), (1, 1024),
)  # fmt: skip
_EPSILON = 1e-4


def build_yamnet(frames: int, hop: int = 48) -> keras.Model:
    """Log-mel spectrograms [n, frames, 64, 1] to feature maps, [n, 3 × patches, 2, 1024].

    The layers are named as in the published model, so that its weight files fit by name. As there,
    patches of 96 frames are heard on their own; the mean of a feature map is that over the patches.

    Args:
      frames: of a spectrogram.
      hop: frames from one patch to the next, at most; 48 as published, 96 for half the work.
    """
    spectrogram = keras.Input((frames, BANDS, 1), name="log_mel")
    x = Patches(FRAMES, hop, name="patches")(spectrogram)
    patches = x.shape[1] // FRAMES
    first = {"padding": "same", "use_bias": False, "name": "layer1_conv"}
    x = PatchConv2D(32, 3, strides=2, patches=patches, **first)(x)
    x = _normalised(x, "layer1_conv")
    for number, (stride, channels) in enumerate(_SEPARABLE, 2):
        x = _separable(x, f"layer{number}", stride, channels, patches)
    return keras.Model(spectrogram, x, name="yamnet")


def yamnet_stages(model: keras.Model) -> tuple[Stage, ...]:
    """Its fourteen layers: which of them transfers best depends much on the task."""
    ends = ["layer1_conv_relu", *(f"layer{n}_pointwise_conv_relu" for n in range(2, 15))]
    return cut_after(model, ends)


def with_scores(backbone: keras.Model) -> keras.Model:
    """The published network whole: the mean of the feature map, and 521 independent scores."""
    x = layers.GlobalAveragePooling2D(name="embeddings")(backbone.output)
    scores = layers.Dense(CLASSES, activation="sigmoid", name="logits")(x)
    return keras.Model(backbone.input, [scores, x], name="yamnet_scores")


def _separable(x: Any, name: str, stride: int, channels: int, patches: int) -> Any:
    depthwise, pointwise = f"{name}_depthwise_conv", f"{name}_pointwise_conv"
    same = {"padding": "same", "use_bias": False}
    x = PatchDepthwiseConv2D(3, strides=stride, patches=patches, name=depthwise, **same)(x)
    x = _normalised(x, depthwise)
    x = layers.Conv2D(channels, 1, name=pointwise, **same)(x)
    return _normalised(x, pointwise)


def _normalised(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(scale=False, epsilon=_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
