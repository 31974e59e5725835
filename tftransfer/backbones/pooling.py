"""Pooling of sequences: of the hidden states of tokens, and of patches of a spectrogram."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

POOLINGS = ("mean", "max", "first", "last")


@keras.saving.register_keras_serializable("tftransfer")
class SequencePooling(keras.layers.Layer):
    """A vector per sequence: [n, T, d], and perhaps a mask [n, T] of 0 and 1, to [n, d].

    Args:
      pooling: `mean` or `max` over the steps whose mask is 1; `first` or `last` of them.
    """

    def __init__(self, pooling: str = "mean", **kwargs: Any):
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(f"pooling is {pooling!r}, not one of {', '.join(POOLINGS)}")
        self.pooling = pooling

    def call(self, inputs: Any) -> Any:
        """Of [hidden] or [hidden, mask]; a sequence that is all mask gives zeros for the mean."""
        hidden, mask = inputs if len(inputs) == 2 else (inputs[0], ops.ones_like(inputs[0][..., 0]))
        mask = ops.cast(mask, hidden.dtype)[..., None]
        if self.pooling == "mean":
            return ops.sum(hidden * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)
        if self.pooling == "max":
            lowest = ops.where(ops.any(mask > 0, axis=1, keepdims=True), -1e30, 0.0)
            return ops.max(ops.where(mask > 0, hidden, lowest), axis=1)
        if self.pooling == "first":
            return hidden[:, 0]
        places = ops.arange(ops.shape(hidden)[1], dtype="int32")[None, :, None]
        last = ops.max(ops.where(mask > 0, places, 0), axis=1, keepdims=True)
        return ops.sum(ops.where(places == last, hidden, 0.0), axis=1)

    def compute_output_shape(self, shapes: Any) -> tuple[Any, ...]:
        """[n, d]."""
        hidden = shapes[0]
        return (hidden[0], hidden[-1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "pooling": self.pooling}


@keras.saving.register_keras_serializable("tftransfer")
class PatchPooling(keras.layers.Layer):
    """The weighted mean over patches that stand in a row on the time axis.

    Of the feature map of a spectrogram [n, time, bands, d] and a weight per patch [n, patches]
    that are 1 on average, to [n, d].
    """

    def call(self, inputs: Any) -> Any:
        """Of [map, weights]."""
        features, weights = inputs
        patches = weights.shape[1]
        _, time, bands, width = features.shape
        apart = ops.reshape(features, (-1, patches, time // patches * bands, width))
        weights = ops.cast(weights, features.dtype)[..., None]
        return ops.mean(ops.mean(apart, axis=2) * weights, axis=1)

    def compute_output_shape(self, shapes: Any) -> tuple[Any, ...]:
        """[n, d]."""
        return (shapes[0][0], shapes[0][-1])


@keras.saving.register_keras_serializable("tftransfer")
class MaskOn(keras.layers.Layer):
    """The mask or weights beside one stage handed on to the next, float32 [n, T].

    Keras cannot cut a model where a tensor passes through.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, mask: Any) -> Any:
        """The same."""
        return ops.copy(mask)
