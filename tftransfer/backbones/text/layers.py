"""Layers around token ids: masks of padding, and ids and segments as transformers need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tftransfer.core.typing import Tensor


@keras.saving.register_keras_serializable("tftransfer")
class PaddingMask(keras.layers.Layer):
    """Returns a mask of ids [n, T], float32 [n, T]: 1 for tokens, 0 for padding.

    Args:
      padding: Id of padding.
    """

    def __init__(self, padding: int = 0, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.padding = padding
        self.autocast = False

    def call(self, tokens: Tensor) -> Tensor:
        """Returns the mask."""
        return ops.cast(ops.not_equal(tokens, self.padding), "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "padding": self.padding}


@keras.saving.register_keras_serializable("tftransfer")
class SegmentIds(keras.layers.Layer):
    """Returns segment 0 for each of the ids [n, T], int32 [n, T]: one text, not a pair."""

    def call(self, tokens: Tensor) -> Tensor:
        """Returns zeros."""
        return ops.zeros_like(tokens)


@keras.saving.register_keras_serializable("tftransfer")
class ApplyMask(keras.layers.Layer):
    """Sets vectors after the end of a text to 0: from [n, T, d] and a mask [n, T] to [n, T, d]."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Returns the masked vectors."""
        x, mask = inputs
        return x * ops.cast(mask, x.dtype)[..., None]


@keras.saving.register_keras_serializable("tftransfer")
class TokenIds(keras.layers.Layer):
    """Replaces the id of padding in ids [n, T], int32 [n, T].

    Args:
      padding: Id of padding in the input.
      becomes: Id of padding for the embedding that follows.
    """

    def __init__(self, padding: int, becomes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.padding, self.becomes = padding, becomes
        self.autocast = False

    def call(self, tokens: Tensor) -> Tensor:
        """Returns the ids."""
        return ops.where(ops.equal(tokens, self.padding), self.becomes, tokens)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "padding": self.padding, "becomes": self.becomes}
