"""SentencePiece models that survive a new random seed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import tensorflow as tf

from tftransfer.core.typing import Tensor
from tftransfer.utils.keras_internals import is_sentencepiece, set_sentencepiece_resource

if TYPE_CHECKING:
    import keras_hub


class _Model(tf.saved_model.experimental.TrackableResource):
    """A SentencePiece model with a name in the resource manager.

    TensorFlow Text gives it no name. Then the kernel cache owns the model, and
    `tf.random.set_seed`, which `keras.utils.set_random_seed` calls, empties that cache.

    Args:
      model: Serialized SentencePiece model.
    """

    def __init__(self, model: bytes):
        super().__init__()
        self._model = model
        _ = self.resource_handle  # creates the resource

    def _create_resource(self) -> Tensor:
        from tensorflow_text.python.ops import sentencepiece_tokenizer

        return sentencepiece_tokenizer.gen_sentencepiece_tokenizer.sentencepiece_op(
            model=self._model, shared_name=f"tftransfer_{hashlib.sha256(self._model).hexdigest()}"
        )


def make_persistent(tokenizer: keras_hub.tokenizers.Tokenizer) -> None:
    """Makes the SentencePiece model of a tokenizer survive a new random seed.

    Args:
      tokenizer: Tokenizer of KerasHub, changed in place; others than SentencePiece stay unchanged.
    """
    if is_sentencepiece(tokenizer):
        set_sentencepiece_resource(tokenizer, _Model(tokenizer.proto))
