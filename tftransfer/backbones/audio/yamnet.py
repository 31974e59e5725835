"""YAMNet (Plakal & Ellis, 2020): MobileNet v1 on log-mel spectrograms, trained on AudioSet."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tftransfer.backbones.audio.patch_layers import (
    PatchConv2D,
    PatchDepthwiseConv2D,
    Patches,
    PatchLoudness,
)
from tftransfer.backbones.pooling import MaskOn
from tftransfer.backbones.stages import Stage
from tftransfer.preprocessing.audio.log_mel import MelBands
from tftransfer.utils.errors import check_known

FRAMES, BANDS, CLASSES = 96, 64, 521
POOLS = ("loudness", "mean")
# Stride and channels of the separable convolutions, layer2 to layer14.
_SEPARABLE = (
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
)
_EPSILON = 1e-4


def build_yamnet(frames: int, hop: int = 48, pool: str = "loudness") -> keras.Model:
    """Log-mel spectrograms [n, frames, 64, 1] to feature maps, [n, 3 × patches, 2, 1024].

    The layers are named as in the published model, so that its weight files fit by name. As there,
    patches of 96 frames are heard on their own. Beside each layer's feature map stand the patches'
    weights in a clip's mean, float32 [n, patches].

    Args:
      frames: of a spectrogram.
      hop: frames from one patch to the next, at most; 48 as published, 96 for half the work.
      pool: `loudness` weighs patches by their magnitude, as silence around a sound tells nothing of
        it; `mean`, as published, counts all alike, and nothing stands beside.

    Raises:
      UserError: another pool.
    """
    check_known("pool", pool, POOLS, "yamnet")
    spectrogram = keras.Input((frames, BANDS, 1), name="log_mel")
    x = Patches(FRAMES, hop, name="layer1_patches")(spectrogram)
    patches = x.shape[1] // FRAMES
    beside: list[Any] = []
    if pool == "loudness" and patches > 1:
        beside = [PatchLoudness(patches, MelBands().offset, name="layer1_loudness")(x)]
    first = {"padding": "same", "use_bias": False, "name": "layer1_conv"}
    x = PatchConv2D(32, 3, strides=2, patches=patches, **first)(x)
    x = _normalised(x, "layer1_conv")
    for number, (stride, channels) in enumerate(_SEPARABLE, 2):
        x = _separable(x, f"layer{number}", stride, channels, patches)
        beside = [MaskOn(name=f"layer{number}_loudness")(weights) for weights in beside]
    return keras.Model(spectrogram, [x, *beside] if beside else x, name="yamnet")


def yamnet_stages(model: keras.Model) -> tuple[Stage, ...]:
    """Its fourteen layers: which of them transfers best depends much on the task."""
    stages, stride = [], 2.0
    for number, down in enumerate((1, *(down for down, _ in _SEPARABLE)), 1):
        own = [layer for layer in model.layers if layer.name.startswith(f"layer{number}_")]
        ends = ("_conv_relu" if number == 1 else "_pointwise_conv_relu", "_loudness")
        found = {layer.name.removeprefix(f"layer{number}"): layer.output for layer in own}
        stride *= down
        stages.append(
            Stage(
                name=f"stage{number}",
                layers=tuple(own),
                stride=stride,
                outputs=tuple(found[end] for end in ends if end in found),
            )
        )
    return tuple(stages)


def with_scores(backbone: keras.Model) -> keras.Model:
    """The published network whole: the mean of the feature map, and 521 independent scores."""
    x = layers.GlobalAveragePooling2D(name="embeddings")(backbone.outputs[0])
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
