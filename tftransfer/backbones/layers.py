"""A layer that backbones of sequences and of patches share."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tftransfer.core.typing import Tensor


@keras.saving.register_keras_serializable("tftransfer")
class PassMask(keras.layers.Layer):
    """Passes the mask or weights, [n, T], of one stage on to the next, as float32.

    Keras cannot cut a model where a tensor passes through without a layer.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, mask: Tensor) -> Tensor:
        """Returns a copy of the mask."""
        return ops.copy(mask)
