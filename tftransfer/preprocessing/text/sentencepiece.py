"""SentencePiece models that last as long as the process."""

from __future__ import annotations

import hashlib
from typing import Any

import tensorflow as tf

from tftransfer.utils.keras_internals import is_sentencepiece, set_sentencepiece_resource


class _Model(tf.saved_model.experimental.TrackableResource):
    """A model under a name of its own, by which it is found again.

    TensorFlow Text gives it no name: then the cache of kernels owns it, and `tf.random.set_seed`,
    which `keras.utils.set_random_seed` calls, empties that cache.
    """

    def __init__(self, model: bytes):
        super().__init__()
        self._model = model
        _ = self.resource_handle  # this makes it

    def _create_resource(self) -> Any:
        from tensorflow_text.python.ops import sentencepiece_tokenizer

        return sentencepiece_tokenizer.gen_sentencepiece_tokenizer.sentencepiece_op(
            model=self._model, shared_name=f"tftransfer_{hashlib.sha256(self._model).hexdigest()}"
        )


def keep_model(tokenizer: Any) -> None:
    """Lets a tokenizer of KerasHub outlive a new seed; one without SentencePiece stays as it is.

    Args:
      tokenizer: changed in place.
    """
    if is_sentencepiece(tokenizer):
        set_sentencepiece_resource(tokenizer, _Model(tokenizer.proto))
