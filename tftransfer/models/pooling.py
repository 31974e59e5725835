"""Pooling of sequences: of the hidden states of tokens, and of patches of a spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tftransfer.core.typing import Shape, Tensor

POOLINGS = ("mean", "max", "first", "last")
# Below any hidden state, and finite in float32 and bfloat16.
_LOWEST = -1e30


@keras.saving.register_keras_serializable("tftransfer")
class SequencePooling(keras.layers.Layer):
    """Pools a sequence to one vector: from [n, T, d], and a mask [n, T] of 0 and 1, to [n, d].

    Args:
      pooling: `mean` or `max` over the positions whose mask is 1; `first` or `last` of these.
    """

    def __init__(self, pooling: str = "mean", **kwargs: Any):
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(f"pooling is {pooling!r}, not one of {', '.join(POOLINGS)}")
        self.pooling = pooling

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Pools [hidden] or [hidden, mask]; the mean of a sequence without tokens is zero."""
        hidden, mask = inputs if len(inputs) == 2 else (inputs[0], ops.ones_like(inputs[0][..., 0]))
        mask = ops.cast(mask, hidden.dtype)[..., None]
        if self.pooling == "mean":
            return ops.sum(hidden * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)
        if self.pooling == "max":
            floor = ops.where(ops.any(mask > 0, axis=1, keepdims=True), _LOWEST, 0.0)
            return ops.max(ops.where(mask > 0, hidden, floor), axis=1)
        if self.pooling == "first":
            return hidden[:, 0]
        positions = ops.arange(ops.shape(hidden)[1], dtype="int32")[None, :, None]
        last = ops.max(ops.where(mask > 0, positions, 0), axis=1, keepdims=True)
        return ops.sum(ops.where(positions == last, hidden, 0.0), axis=1)

    def compute_output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """Returns [n, d]."""
        hidden = input_shapes[0]
        return (hidden[0], hidden[-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "pooling": self.pooling}


@keras.saving.register_keras_serializable("tftransfer")
class PatchPooling(keras.layers.Layer):
    """Computes the weighted mean over patches that follow one another on the time axis.

    From the feature map of a spectrogram, [n, time, bands, d], and a weight per patch,
    [n, patches], that is 1 on average, to [n, d].
    """

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Pools [feature map, weights]."""
        features, weights = inputs
        patches = weights.shape[1]
        _, time, bands, width = features.shape
        by_patch = ops.reshape(features, (-1, patches, time // patches * bands, width))
        weights = ops.cast(weights, features.dtype)[..., None]
        return ops.mean(ops.mean(by_patch, axis=2) * weights, axis=1)

    def compute_output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """Returns [n, d]."""
        return (input_shapes[0][0], input_shapes[0][-1])
