"""Texts as ids of a tokenizer's subwords, in TensorFlow operations."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from tftransfer.core.augmentation import Augment
from tftransfer.core.typing import Tensor
from tftransfer.preprocessing.base import Augmenter
from tftransfer.preprocessing.text.augmentation import TokenAugmenter
from tftransfer.preprocessing.text.preprocessor import TextPreprocessor
from tftransfer.preprocessing.text.sentencepiece import make_persistent
from tftransfer.preprocessing.text.wordpiece import PATTERNS, WordPiece, follows_bert
from tftransfer.utils.text_encoding import decode_text

if TYPE_CHECKING:
    import keras_hub

# No tokenizer has this id, so the mask follows from the ids.
PADDING = -1
# Texts from which the fractions in warnings are estimated.
_MAX_SAMPLE_TEXTS = 2000
_MAX_UNKNOWN_FRACTION = 0.01
_TENSORFLOW_VERSION = tf.__version__.rsplit(".", 1)[0]


class SubwordPreprocessor(TextPreprocessor):
    """Converts texts to ids of subwords, int32 [length], padded with -1.

    The start and end tokens of the tokenizer are added. In place of a WordPiece tokenizer,
    `WordPiece` runs with its settings.

    Args:
      length: Number of tokens that are used, from the start, with the start and end tokens.
      tokenizer: Tokenizer of KerasHub, which runs in TensorFlow and TensorFlow Text operations.
      files: Files from which the same tokenizer can be built, by name.
      ignores_padding: Whether the output of the network does not depend on padding.
    """

    dtype = "int32"
    client_notes = (
        f"clients need: pip install 'tensorflow-text=={_TENSORFLOW_VERSION}.*'; "
        "import tensorflow_text before loading"
    )

    def __init__(
        self,
        length: int,
        tokenizer: keras_hub.tokenizers.Tokenizer,
        *,
        files: Mapping[str, bytes],
        ignores_padding: bool = False,
    ):
        self.shape, self.length = (length,), float(length)
        self.padding = PADDING if ignores_padding else None
        make_persistent(tokenizer)
        self._tokenizer, self._files = tokenizer, dict(files)
        self._wordpiece = WordPiece(tokenizer) if follows_bert(tokenizer) else None
        self._start, self._end = _start_and_end(tokenizer)
        config = {
            k: v for k, v in tokenizer.get_config().items() if k not in ("name", "vocabulary")
        }
        content = hashlib.sha256(PATTERNS.encode() if self._wordpiece else b"")
        for name in sorted(files):
            content.update(name.encode() + b"\0" + files[name])
        self._digest = hashlib.sha256(f"{config} {content.hexdigest()}".encode()).hexdigest()
        self._ids = tf.function(self._tokenize, autograph=False)

    @property
    def description(self) -> str:
        """Length in tokens."""
        return f"{self.shape[0]} tokens"

    @property
    def cache_key(self) -> str:
        """The length, and the settings and files of the tokenizer."""
        return repr((self.shape, type(self._tokenizer).__name__, self._digest))

    @property
    def resources(self) -> Sequence[tf.saved_model.experimental.TrackableResource]:
        """The tokenizer, which an export must track."""
        return [] if self._wordpiece else [self._tokenizer]

    def files(self) -> dict[str, bytes]:
        """Returns the files of the tokenizer, for clients of an export."""
        return dict(self._files)

    def _tokenize(self, utf8: Tensor) -> tf.RaggedTensor:
        ids = (self._wordpiece or self._tokenizer)(utf8)
        if not isinstance(ids, tf.RaggedTensor):  # some tokenizers return a dense row for a string
            ids = tf.RaggedTensor.from_tensor(ids)
        return tf.cast(ids, tf.int32)

    def encode(self, utf8: Tensor) -> Tensor:
        """Converts strings in UTF-8 [n] to ids, int32 [n, length]."""
        length, ends = (
            self.shape[0],
            [each for each in (self._start, self._end) if each is not None],
        )

        def column(token: int | None) -> list[tf.RaggedTensor]:
            if token is None:
                return []
            return [tf.RaggedTensor.from_tensor(tf.fill([tf.shape(utf8)[0], 1], token))]

        ids = self._ids(utf8)[:, : length - len(ends)]
        columns = [*column(self._start), ids, *column(self._end)]
        return tf.concat(columns, axis=1).to_tensor(PADDING, shape=(None, length))

    def warnings(self, items: Sequence[bytes]) -> tuple[str, ...]:
        """Returns how many training texts are truncated, and how many tokens are unknown.

        Args:
          items: Encoded bytes of the training texts.
        """
        sample = items[:: max(1, len(items) // _MAX_SAMPLE_TEXTS)]
        if not sample:
            return ()
        ids = self._ids(tf.constant([decode_text(item).encode() for item in sample]))
        ends = (self._start is not None) + (self._end is not None)
        longer = ids.row_lengths() + ends > self.shape[0]
        fraction = float(tf.reduce_mean(tf.cast(longer, tf.float32)))
        warnings = []
        if fraction:
            warnings.append(
                f"{fraction:.1%} of the training texts have more than {self.description} and are "
                "truncated"
            )
        unknown = _unknown_id(self._tokenizer)
        if unknown is not None:
            fraction = float(tf.reduce_mean(tf.cast(ids.values == unknown, tf.float32)))
            if fraction > _MAX_UNKNOWN_FRACTION:
                warnings.append(f"{fraction:.1%} of the tokens are unknown to the tokenizer")
        return tuple(warnings)

    def augmenter(self, augment: Augment) -> Augmenter:
        """Returns the augmenter of a name, which masks or replaces tokens."""
        mask_id = getattr(self._tokenizer, "mask_token_id", None)
        ends = [token for token in (self._start, self._end) if token is not None]
        return TokenAugmenter(
            str(augment),
            mask_id=PADDING if mask_id is None else mask_id,
            kept_ids=[PADDING, *ends],
            vocabulary_size=self._tokenizer.vocabulary_size(),
        )


def _unknown_id(tokenizer: keras_hub.tokenizers.Tokenizer) -> int | None:
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is None and getattr(tokenizer, "oov_token", None):
        unknown = tokenizer.token_to_id(tokenizer.oov_token)
    return unknown


def _start_and_end(
    tokenizer: keras_hub.tokenizers.Tokenizer,
) -> tuple[int | None, int | None]:
    """Returns the ids of the start and end tokens, whose names differ among tokenizers."""
    find = functools.partial(getattr, tokenizer)
    start, end = find("start_token_id", None), find("end_token_id", None)
    start = find("cls_token_id", None) if start is None else start
    end = find("sep_token_id", None) if end is None else end
    return start, end
