"""YAMNet (Plakal & Ellis, 2020): MobileNet v1 on log-mel spectrograms, trained on AudioSet."""

from __future__ import annotations

import keras
from keras import layers

from tftransfer.backbones.audio.patch_layers import (
    PatchConv2D,
    PatchDepthwiseConv2D,
    Patches,
    PatchLoudness,
)
from tftransfer.backbones.layers import PassMask
from tftransfer.backbones.stages import Stage
from tftransfer.core.typing import KerasModel, Tensor
from tftransfer.preprocessing.audio.log_mel import MelBands
from tftransfer.utils.errors import check_known

PATCH_FRAMES = 96
BANDS = 64
CLASSES = 521
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
_FIRST_CHANNELS = 32
_FIRST_STRIDE = 2
_EPSILON = 1e-4


def build_yamnet(frames: int, hop: int = 48, pool: str = "loudness") -> KerasModel:
    """Builds YAMNet from log-mel spectrograms, [n, frames, 64, 1], to [n, 3 × patches, 2, 1024].

    The layers have the names of the published model, so that its weight files fit by name. As
    there, patches of 96 frames are processed separately. With `loudness`, each layer also passes on
    the weights of the patches in a clip's mean, float32 [n, patches].

    Args:
      frames: Frames of a spectrogram.
      hop: Frames from one patch to the next, at most; 48 as published, 96 for half the work.
      pool: `loudness` weights patches by their magnitude, since silence around a sound carries no
        information about it; `mean`, as published, gives all patches the same weight.

    Raises:
      UserError: There is no such pooling.
    """
    check_known("pool", pool, POOLS, "yamnet")
    spectrogram = keras.Input((frames, BANDS, 1), name="log_mel")
    x = Patches(PATCH_FRAMES, hop, name="layer1_patches")(spectrogram)
    patches = x.shape[1] // PATCH_FRAMES
    loudness: list[Tensor] = []
    if pool == "loudness" and patches > 1:
        loudness = [PatchLoudness(patches, MelBands().offset, name="layer1_loudness")(x)]
    convolution = PatchConv2D(
        _FIRST_CHANNELS,
        3,
        strides=_FIRST_STRIDE,
        patches=patches,
        padding="same",
        use_bias=False,
        name="layer1_conv",
    )
    x = _normalized(convolution(x), "layer1_conv")
    for number, (stride, channels) in enumerate(_SEPARABLE, 2):
        x = _separable(x, f"layer{number}", stride, channels, patches)
        loudness = [PassMask(name=f"layer{number}_loudness")(weights) for weights in loudness]
    return keras.Model(spectrogram, [x, *loudness] if loudness else x, name="yamnet")


def yamnet_stages(model: KerasModel) -> tuple[Stage, ...]:
    """Returns YAMNet's fourteen layers as stages; which transfers best depends on the task."""
    stages, stride = [], 1.0
    for number, (down, _) in enumerate(((_FIRST_STRIDE, _FIRST_CHANNELS), *_SEPARABLE), 1):
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


def with_scores(backbone: KerasModel) -> KerasModel:
    """Returns the whole published network, with 521 independent scores and the mean features."""
    x = layers.GlobalAveragePooling2D(name="embeddings")(backbone.outputs[0])
    scores = layers.Dense(CLASSES, activation="sigmoid", name="logits")(x)
    return keras.Model(backbone.input, [scores, x], name="yamnet_scores")


def _separable(x: Tensor, name: str, stride: int, channels: int, patches: int) -> Tensor:
    depthwise, pointwise = f"{name}_depthwise_conv", f"{name}_pointwise_conv"
    same = {"padding": "same", "use_bias": False}
    x = PatchDepthwiseConv2D(3, strides=stride, patches=patches, name=depthwise, **same)(x)
    x = _normalized(x, depthwise)
    x = layers.Conv2D(channels, 1, name=pointwise, **same)(x)
    return _normalized(x, pointwise)


def _normalized(x: Tensor, name: str) -> Tensor:
    x = layers.BatchNormalization(scale=False, epsilon=_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
