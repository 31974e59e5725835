"""Layers around token ids: which places hold one, and what follows from it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tftransfer")
class PaddingMask(keras.layers.Layer):
    """Ids [n, T] to float32 [n, T]: 1 where there is a token, 0 where there is padding.

    Args:
      padding: the id of padding.
    """

    def __init__(self, padding: int = 0, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.padding = padding
        self.autocast = False

    def call(self, tokens: Any) -> Any:
        """The mask."""
        return ops.cast(ops.not_equal(tokens, self.padding), "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "padding": self.padding}


@keras.saving.register_keras_serializable("tftransfer")
class Segments(keras.layers.Layer):
    """Ids [n, T] to the segment 0 of each, int32 [n, T]: one text, not a pair."""

    def call(self, tokens: Any) -> Any:
        """Zeros."""
        return ops.zeros_like(tokens)


@keras.saving.register_keras_serializable("tftransfer")
class Masked(keras.layers.Layer):
    """What stands beside a text's end, set to 0: a pair of [n, T, d] and mask [n, T]."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """[n, T, d]."""
        x, mask = inputs
        return x * ops.cast(mask, x.dtype)[..., None]


@keras.saving.register_keras_serializable("tftransfer")
class TokenIds(keras.layers.Layer):
    """Ids [n, T] with another id in the places of padding, int32 [n, T].

    Args:
      padding: the id of padding as it comes.
      becomes: the one that the embedding knows.
    """

    def __init__(self, padding: int, becomes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.padding, self.becomes = padding, becomes
        self.autocast = False

    def call(self, tokens: Any) -> Any:
        """The ids."""
        return ops.where(ops.equal(tokens, self.padding), self.becomes, tokens)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "padding": self.padding, "becomes": self.becomes}
