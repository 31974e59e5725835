"""Long spectrograms as patches, for networks that were trained on patches of one length.

The patches follow one another on the time axis, so that every tensor still has one row per clip.
Where a convolution would reach beyond the end of a patch it reads zeros, as in training.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tftransfer.core.typing import IntArray, Shape, Tensor

# Added to magnitudes, so that the patches of a silent clip have equal weights.
_SILENCE_MAGNITUDE = 1e-5


def patch_starts(frames: int, length: int, hop: int) -> IntArray:
    """Returns the first frame of each patch: evenly spaced from the first frame to the last.

    Args:
      frames: Frames of the spectrogram.
      length: Frames of a patch.
      hop: Frames from one patch to the next, at most.
    """
    count = 1 + max(0, -(-(frames - length) // hop))
    return np.round(np.linspace(0, max(0, frames - length), count)).astype(int)


@keras.saving.register_keras_serializable("tftransfer")
class Patches(layers.Layer):
    """Cuts spectrograms, [n, frames, bands, 1], into patches, [n, patches × length, bands, 1].

    Args:
      length: Frames of a patch; a shorter spectrogram is one patch, padded with its last frame.
      hop: Frames from one patch to the next, at most.
    """

    def __init__(self, length: int, hop: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.length, self.hop = length, hop

    def call(self, spectrograms: Tensor) -> Tensor:
        """Returns the patches in a row."""
        frames = spectrograms.shape[1]
        starts = patch_starts(frames, self.length, self.hop)
        indices = np.minimum(starts[:, None] + np.arange(self.length), frames - 1)
        return ops.take(spectrograms, indices.ravel(), axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns [n, patches × length, bands, 1]."""
        batch, frames, *rest = input_shape
        patches = len(patch_starts(frames or 0, self.length, self.hop))
        return (batch, patches * self.length, *rest)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "length": self.length, "hop": self.hop}


@keras.saving.register_keras_serializable("tftransfer")
class PatchLoudness(layers.Layer):
    """Computes the loudness of log-mel patches: [n, patches × length, bands, 1] to [n, patches].

    The mean magnitude of each patch divided by that of its clip, float32: 1 on average, and 1 for
    every patch of a silent clip.

    Args:
      patches: Number of patches in a row.
      offset: What was added to the magnitudes before the logarithm.
    """

    def __init__(self, patches: int, offset: float, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.patches, self.offset = patches, offset

    def call(self, spectrograms: Tensor) -> Tensor:
        """Returns the loudness."""
        by_patch = ops.reshape(spectrograms, (-1, self.patches, self._patch_size))
        magnitude = ops.mean(ops.exp(ops.cast(by_patch, "float32")), axis=-1) - self.offset
        magnitude = ops.maximum(magnitude, 0.0) + _SILENCE_MAGNITUDE
        return magnitude / ops.mean(magnitude, axis=1, keepdims=True)

    def build(self, input_shape: Any) -> None:
        """Computes the number of entries of a patch."""
        self._patch_size = int(np.prod((input_shape[1] // self.patches, *input_shape[2:])))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns [n, patches]."""
        return (input_shape[0], self.patches)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "patches": self.patches, "offset": self.offset}


class _PatchWise:
    """Makes a convolution treat the patches in a row as separate inputs.

    Args:
      patches: Number of patches in a row on the time axis.
    """

    def __init__(self, *args: Any, patches: int, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.patches = patches

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the convolution of each patch, in a row again."""
        if self.patches == 1:
            return super().call(inputs)  # type: ignore[misc]
        _, time, *rest = inputs.shape
        separate = ops.reshape(inputs, (-1, time // self.patches, *rest))
        outputs = super().call(separate)  # type: ignore[misc]
        _, time, *rest = outputs.shape
        return ops.reshape(outputs, (-1, time * self.patches, *rest))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the convolutions in a row."""
        batch, time, *rest = input_shape
        one = super().compute_output_shape(  # type: ignore[misc]
            (batch, (time or 0) // self.patches, *rest)
        )
        return (one[0], one[1] * self.patches, *one[2:])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "patches": self.patches}  # type: ignore[misc]


@keras.saving.register_keras_serializable("tftransfer")
class PatchConv2D(_PatchWise, layers.Conv2D):
    """`keras.layers.Conv2D` on patches in a row."""


@keras.saving.register_keras_serializable("tftransfer")
class PatchDepthwiseConv2D(_PatchWise, layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` on patches in a row."""
