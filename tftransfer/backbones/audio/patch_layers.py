"""Long spectrograms as patches: networks that learnt on patches hear nothing longer.

The patches stand one after the other on the time axis, so that every tensor still has a row per
clip; where a convolution would look beyond the end of a patch it meets zeros, as in training.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

# Of a magnitude: so little is as good as nothing.
_SILENT = 1e-5


def patch_starts(frames: int, length: int, hop: int) -> np.ndarray:
    """Where patches begin: at most `hop` apart, evenly, from the first frame to the last."""
    count = 1 + max(0, -(-(frames - length) // hop))
    return np.round(np.linspace(0, max(0, frames - length), count)).astype(int)


@keras.saving.register_keras_serializable("tftransfer")
class Patches(layers.Layer):
    """Spectrograms [n, frames, bands, 1] to patches in a row, [n, patches × length, bands, 1].

    Args:
      length: of a patch, in frames; fewer frames are one patch that ends in its last frame.
      hop: from one patch to the next, at most.
    """

    def __init__(self, length: int, hop: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.length, self.hop = length, hop

    def call(self, spectrograms: Any) -> Any:
        """The patches."""
        frames = spectrograms.shape[1]
        starts = patch_starts(frames, self.length, self.hop)
        places = np.minimum(starts[:, None] + np.arange(self.length), frames - 1)
        return ops.take(spectrograms, places.ravel(), axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """[n, patches × length, bands, 1]."""
        batch, frames, *rest = input_shape
        return (batch, len(patch_starts(frames, self.length, self.hop)) * self.length, *rest)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "length": self.length, "hop": self.hop}


@keras.saving.register_keras_serializable("tftransfer")
class PatchLoudness(layers.Layer):
    """Log-mel patches in a row [n, patches × length, bands, 1] to float32 [n, patches].

    The mean magnitude of each patch over that of its clip: 1 on average, and everywhere for
    a clip of silence.

    Args:
      patches: that stand in a row.
      offset: that was added to the magnitudes before the logarithm.
    """

    def __init__(self, patches: int, offset: float, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.patches, self.offset = patches, offset

    def call(self, spectrograms: Any) -> Any:
        """The loudness."""
        apart = ops.reshape(spectrograms, (-1, self.patches, int(np.prod(self._each))))
        magnitude = ops.mean(ops.exp(ops.cast(apart, "float32")), axis=-1) - self.offset
        magnitude = ops.maximum(magnitude, 0.0) + _SILENT
        return magnitude / ops.mean(magnitude, axis=1, keepdims=True)

    def build(self, shape: Any) -> None:
        """Takes in the size of a patch."""
        self._each = (shape[1] // self.patches, *shape[2:])

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """[n, patches]."""
        return (input_shape[0], self.patches)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "patches": self.patches, "offset": self.offset}


class _OfPatches:
    """A convolution that does not look from one patch into the next.

    Args:
      patches: that stand in a row on the time axis.
    """

    def __init__(self, *args: Any, patches: int, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.patches = patches

    def call(self, inputs: Any) -> Any:
        """The convolution of each patch, again in a row."""
        if self.patches == 1:
            return super().call(inputs)  # type: ignore[misc]
        _, time, *rest = inputs.shape
        apart = ops.reshape(inputs, (-1, time // self.patches, *rest))
        outputs = super().call(apart)  # type: ignore[misc]
        _, time, *rest = outputs.shape
        return ops.reshape(outputs, (-1, time * self.patches, *rest))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """That of the convolution."""
        batch, time, *rest = input_shape
        one = super().compute_output_shape(  # type: ignore[misc]
            (batch, time // self.patches, *rest)
        )
        return (one[0], one[1] * self.patches, *one[2:])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "patches": self.patches}  # type: ignore[misc]


@keras.saving.register_keras_serializable("tftransfer")
class PatchConv2D(_OfPatches, layers.Conv2D):
    """`keras.layers.Conv2D` of patches in a row."""


@keras.saving.register_keras_serializable("tftransfer")
class PatchDepthwiseConv2D(_OfPatches, layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` of patches in a row."""
