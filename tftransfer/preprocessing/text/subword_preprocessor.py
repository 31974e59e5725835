"""Texts as ids of a tokenizer's subwords, in TensorFlow operations."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tftransfer.preprocessing.base import Augmenter
from tftransfer.preprocessing.text.augmentation import TokenAugmenter
from tftransfer.preprocessing.text.preprocessor import TextPreprocessor
from tftransfer.preprocessing.text.sentencepiece import keep_model
from tftransfer.preprocessing.text.wordpiece import PATTERNS, WordPiece, follows_bert
from tftransfer.utils.text_encoding import decode_text

# No tokenizer has this id, so that a mask can be told from the ids alone.
PADDING = -1
_SAMPLE = 2000
_VERSION = tf.__version__.rsplit(".", 1)[0]


class SubwordPreprocessor(TextPreprocessor):
    """Ids of subwords, int32 [length], begun and ended as the tokenizer has it; -1 after the end.

    Args:
      length: tokens that are read, from the beginning; marks of beginning and end count.
      tokenizer: of KerasHub, whose operations are those of TensorFlow and TensorFlow Text; instead
        of one of WordPiece, `WordPiece` runs with its settings.
      files: that make the same tokenizer again, by name.
      passed_over: whether the network gives the same without the padding.
    """

    dtype = "int32"
    client_notes = (
        f"clients need: pip install 'tensorflow-text=={_VERSION}.*'; import tensorflow_text before "
        "loading"
    )

    def __init__(
        self, length: int, tokenizer: Any, *, files: Mapping[str, bytes], passed_over: bool = False
    ):
        self.shape, self.length = (length,), float(length)
        self.padding = PADDING if passed_over else None
        keep_model(tokenizer)
        self._tokenizer, self._files = tokenizer, dict(files)
        self._pieces = WordPiece(tokenizer) if follows_bert(tokenizer) else None
        self._start, self._end = _marks(tokenizer)
        config = {
            k: v for k, v in tokenizer.get_config().items() if k not in ("name", "vocabulary")
        }
        content = hashlib.sha256(PATTERNS.encode() if self._pieces else b"")
        for name in sorted(files):
            content.update(name.encode() + b"\0" + files[name])
        self._digest = hashlib.sha256(f"{config} {content.hexdigest()}".encode()).hexdigest()
        self._ids = tf.function(self._tokenized, autograph=False)

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.shape[0]} tokens"

    @property
    def cache_key(self) -> str:
        """Of caches: length, and the tokenizer by its settings and files."""
        return repr((self.shape, type(self._tokenizer).__name__, self._digest))

    @property
    def resources(self) -> Sequence[Any]:
        """What an export must hold."""
        return [] if self._pieces else [self._tokenizer]

    def files(self) -> dict[str, bytes]:
        """Of the tokenizer, for clients of an export."""
        return dict(self._files)

    def _tokenized(self, utf8: Any) -> Any:
        ids = (self._pieces or self._tokenizer)(utf8)
        if not isinstance(ids, tf.RaggedTensor):  # some return dense rows of one string
            ids = tf.RaggedTensor.from_tensor(ids)
        return tf.cast(ids, tf.int32)

    def encoded(self, utf8: Any) -> Any:
        """Ids, int32 [n, length]."""
        length, marks = self.shape[0], [(self._start, 0), (self._end, 1)]
        room = length - sum(mark is not None for mark, _ in marks)
        parts = [self._ids(utf8)[:, :room]]
        for mark, place in marks:
            if mark is not None:
                column = tf.RaggedTensor.from_tensor(tf.fill([tf.shape(utf8)[0], 1], mark))
                parts.insert(place * len(parts), column)
        return tf.concat(parts, axis=1).to_tensor(PADDING, shape=(None, length))

    def warnings(self, items: Sequence[bytes]) -> tuple[str, ...]:
        """How many of some texts are cut, and how often the tokenizer knows no token."""
        some = items[:: max(1, len(items) // _SAMPLE)]
        if not some:
            return ()
        ids = self._ids(tf.constant([decode_text(item).encode() for item in some]))
        marks = (self._start is not None) + (self._end is not None)
        cut = float(tf.reduce_mean(tf.cast(ids.row_lengths() + marks > self.shape[0], tf.float32)))
        said = []
        if cut:
            said.append(
                f"{cut:.1%} of the training texts are longer than {self.description} and cut"
            )
        unknown = getattr(self._tokenizer, "unk_token_id", None)
        if unknown is None and getattr(self._tokenizer, "oov_token", None):
            unknown = self._tokenizer.token_to_id(self._tokenizer.oov_token)
        if unknown is not None:
            share = float(tf.reduce_mean(tf.cast(ids.values == unknown, tf.float32)))
            said += [f"{share:.1%} of the tokens are unknown to the tokenizer"] * (share > 0.01)
        return tuple(said)

    def augmenter(self, augment: str) -> Augmenter:
        """Hides tokens behind the tokenizer's mask, or exchanges them."""
        hidden = getattr(self._tokenizer, "mask_token_id", None)
        hidden = PADDING if hidden is None else hidden
        kept = [PADDING, *(mark for mark in (self._start, self._end) if mark is not None)]
        size = self._tokenizer.vocabulary_size()
        return TokenAugmenter(augment, hidden=hidden, kept=kept, size=size)


def _marks(tokenizer: Any) -> tuple[int | None, int | None]:
    """Ids that a text begins and ends with."""
    found = functools.partial(getattr, tokenizer)
    start = found("start_token_id", None)
    end = found("end_token_id", None)
    start = found("cls_token_id", None) if start is None else start
    end = found("sep_token_id", None) if end is None else end
    return start, end
