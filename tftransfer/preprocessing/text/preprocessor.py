"""Inputs of text networks: strings, or ids of words; in TensorFlow operations."""

from __future__ import annotations

import abc
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tftransfer.core.augmentation import Augment
from tftransfer.core.typing import Array, Tensor
from tftransfer.preprocessing.base import Augmenter, Preprocessor
from tftransfer.preprocessing.text.augmentation import TokenAugmenter, WordAugmenter
from tftransfer.preprocessing.text.checks import MAX_BYTES
from tftransfer.utils.text_encoding import decode_text

# Letters and digits with hyphens and apostrophes between them, or one other character.
_WORD = r"[\pL\pM\pN_]+(?:['’\-][\pL\pM\pN_]+)*|[^\s\pL\pM\pN_]"
# Outer white space, as Python's `strip` defines it.
_OUTER_SPACE = r"^[\s\pZ\x0b\x1c-\x1f\x{85}]+|[\s\pZ\x0b\x1c-\x1f\x{85}]+$"
# A control character that texts do not contain separates words.
_SEPARATOR = "\x1f"
_JOINING = r"['’\-]"
# For the correlation of the order of the words with their frequency. Rarer words have no certain
# frequency, and fewer words no certain correlation.
_MIN_COUNT = 5
_MIN_WORDS = 30
_MIN_CORRELATION = 0.5


def as_utf8(data: Tensor) -> Tensor:
    """Converts strings of any shape to UTF-8 without outer white space.

    As in `tftransfer.utils.text_encoding`: text with a byte order mark is UTF-16 or UTF-8, other
    text UTF-8 if it is valid, else Windows-1252.
    """

    def transcode(encoding: str) -> Tensor:
        return tf.strings.unicode_transcode(data, encoding, "UTF-8", errors="replace")

    utf8 = transcode("UTF-8")
    head = tf.strings.substr(data, 0, 2)
    has_mark = tf.equal(tf.strings.substr(data, 0, 3), b"\xef\xbb\xbf")
    text = tf.where(tf.equal(utf8, data) | has_mark, utf8, transcode("windows-1252"))
    text = tf.where(tf.equal(head, b"\xff\xfe"), transcode("UTF-16LE"), text)
    text = tf.where(tf.equal(head, b"\xfe\xff"), transcode("UTF-16BE"), text)
    text = tf.strings.regex_replace(text, "^\ufeff", "")
    return tf.strings.regex_replace(text, _OUTER_SPACE, "")


def is_text(utf8: Tensor) -> Tensor:
    """Returns whether strings in UTF-8 have more than white space, and no NUL; bool."""
    has_text = tf.strings.regex_full_match(utf8, r"(?s).*[^\s\pZ].*")
    # RE2 matches NUL characters, but its pattern must not contain one.
    return has_text & ~tf.strings.regex_full_match(utf8, r"(?s).*\x00.*")


class TextPreprocessor(Preprocessor):
    """Base of preprocessors for texts, which encode a batch of strings at once."""

    modality: ClassVar[str] = "text"
    batched: ClassVar[bool] = True

    @abc.abstractmethod
    def encode(self, utf8: Tensor) -> Tensor:
        """Converts strings in UTF-8 [n] to arrays [n, *shape]."""

    def decode(self, data: Tensor) -> Tensor:
        """Decodes one text or a batch, in any encoding that `as_utf8` detects.

        Args:
          data: Encoded bytes, string [] or [n].

        Raises:
          tf.errors.InvalidArgumentError: When run, for a text that is empty or has NUL characters.
        """
        utf8 = as_utf8(data)
        valid = tf.reduce_all(is_text(utf8))
        with tf.control_dependencies([tf.debugging.Assert(valid, ["not a text"])]):
            texts = tf.identity(utf8)
        return self.encode(texts) if texts.shape.rank else self.encode(texts[None])[0]

    def within_limits(self, data: Tensor) -> Tensor:
        """Returns the bytes, and fails when run for more than `MAX_BYTES`."""
        small = tf.strings.length(data) <= MAX_BYTES
        with tf.control_dependencies([tf.debugging.Assert(small, ["too long"])]):
            return tf.identity(data)

    def decode_valid(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Decodes a batch in which some texts may be invalid, all at once, which is faster.

        Args:
          items: Encoded bytes, string [n].

        Returns:
          The arrays, [n, *shape], with zeros for invalid texts; and which are valid, bool [n].
        """
        small = tf.strings.length(items) <= MAX_BYTES
        utf8 = as_utf8(tf.where(small, items, ""))
        valid = is_text(utf8)
        arrays = tf.ensure_shape(self.encode(tf.where(valid, utf8, "x")), (None, *self.shape))
        mask = tf.reshape(valid, [-1] + [1] * len(self.shape))
        return tf.where(mask, arrays, tf.zeros_like(arrays)), valid


class StringPreprocessor(TextPreprocessor):
    """Returns the string itself, for networks with a tokenizer inside."""

    shape: tuple[int, ...] = ()
    dtype = "string"

    @property
    def description(self) -> str:
        """Type of the input."""
        return "strings"

    @property
    def cache_key(self) -> str:
        """The encoding."""
        return "strings in UTF-8"

    def encode(self, utf8: Tensor) -> Tensor:
        """Returns the strings unchanged."""
        return utf8

    def augmenter(self, augment: Augment) -> Augmenter:
        """Returns the augmenter of a name, which drops or swaps words."""
        return WordAugmenter(str(augment))


class WordPreprocessor(TextPreprocessor):
    """Converts texts to ids of words, int32 [length], padded with 0.

    A word is a sequence of letters and digits with hyphens and apostrophes inside; any other
    character is a word too. A word that is not in the vocabulary is split at its hyphens and
    apostrophes, and parts that are not in it either are dropped. Hashed words all have an id.

    Args:
      length: Number of words that are used, from the start.
      words: Vocabulary; the first word has the id 1.
      buckets: If above 0, number of ids by hash instead of a vocabulary.
      cased: Whether upper case is kept; otherwise words become lower case.
      ranked: Whether the network assumes that words are sorted by frequency, descending.
    """

    dtype = "int32"

    def __init__(
        self,
        length: int,
        *,
        words: Sequence[str] = (),
        buckets: int = 0,
        cased: bool = False,
        ranked: bool = False,
    ):
        self.shape, self.length = (length,), float(length)
        self.words, self._cased, self._ranked = words, cased, ranked
        self.size = buckets or len(words)
        self._buckets = buckets
        ids = _ids(words)
        self._digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
        self.table: tf.lookup.StaticHashTable | None = None if buckets else _table(ids)

    @property
    def description(self) -> str:
        """Length in words."""
        return f"{self.shape[0]} words"

    @property
    def cache_key(self) -> str:
        """The length, the vocabulary and the definition of a word."""
        return repr((self.shape, self._digest, self._buckets, self._cased, _WORD))

    @property
    def resources(self) -> Sequence[tf.saved_model.experimental.TrackableResource]:
        """The lookup table, which an export must track."""
        return [] if self.table is None else [self.table]

    def files(self) -> dict[str, bytes]:
        """Returns the vocabulary, one word per line, for clients of an export."""
        return {} if self._buckets else {"vocabulary.txt": "\n".join([*self.words, ""]).encode()}

    def split(self, utf8: Tensor) -> tf.RaggedTensor:
        """Splits strings [n] into words, a ragged tensor of strings [n, words]."""
        if not self._cased:
            utf8 = tf.strings.lower(utf8, encoding="utf-8")
        utf8 = tf.strings.regex_replace(utf8, "’", "'")
        separated = tf.strings.regex_replace(utf8, _WORD, rf"{_SEPARATOR}\0{_SEPARATOR}")
        pieces = tf.strings.split(separated, _SEPARATOR)
        blank = tf.strings.regex_full_match(pieces.values, r"[\s\pZ]*")
        return tf.ragged.boolean_mask(pieces, pieces.with_values(~blank))

    def encode(self, utf8: Tensor) -> Tensor:
        """Converts strings in UTF-8 [n] to ids, int32 [n, length]."""
        words = self.split(utf8)
        if self._buckets:
            ids = tf.strings.to_hash_bucket_fast(words.values, self._buckets) + 1
            ids = words.with_values(tf.cast(ids, tf.int32))
        else:
            ids = self._look_up(words)
        return ids.to_tensor(shape=(None, self.shape[0]))

    def _look_up(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """Returns ids of known words, or of their parts, int32 [n, ids]."""
        assert self.table is not None
        known = self.table.lookup(words.values) > 0
        parts = tf.strings.regex_replace(words.values, _JOINING, _SEPARATOR)
        parts = tf.strings.split(tf.where(known, words.values, parts), _SEPARATOR)
        ids = words.with_values(parts.with_values(self.table.lookup(parts.values)))
        ids = tf.cast(ids.merge_dims(1, 2), tf.int32)
        return tf.ragged.boolean_mask(ids, ids > 0)

    def warnings(self, items: Sequence[bytes]) -> tuple[str, ...]:
        """Returns how many training texts are truncated, and how many of their words have a vector.

        Args:
          items: Encoded bytes of the training texts.
        """
        if not items:
            return ()
        words = self.split(tf.constant([decode_text(item).encode() for item in items]))
        longer = float(tf.reduce_mean(tf.cast(words.row_lengths() > self.shape[0], tf.float32)))
        truncated = f"{longer:.1%} of the training texts have more than {self.shape[0]} words and "
        warnings = [f"{truncated}are truncated"] if longer else []
        return (*warnings, *(() if self._buckets else self._coverage(words)))

    def _coverage(self, words: tf.RaggedTensor) -> list[str]:
        assert self.table is not None
        is_word = tf.strings.regex_full_match(words.values, r".*[\pL\pN].*")
        all_words = tf.boolean_mask(words.values, is_word)
        ids = self.table.lookup(all_words).numpy()
        known = ids > 0
        distinct = len(set(all_words.numpy()[known])) / max(1, len(set(all_words.numpy())))
        warnings = [
            f"{known.sum() / max(1, len(known)):.1%} of the words in the training texts have a "
            f"vector, {distinct:.1%} of the distinct words"
        ]
        if self._ranked and (correlation := _rank_correlation(ids[known])) < _MIN_CORRELATION:
            warnings.append(
                "the order of the words differs from that of their frequency in the training texts "
                f"(Spearman {correlation:.2f}), which pool=sif assumes; pool=mean does not"
            )
        return warnings

    def augmenter(self, augment: Augment) -> Augmenter:
        """Returns the augmenter of a name, which drops or replaces words."""
        return TokenAugmenter(str(augment), mask_id=0, kept_ids=(0,), vocabulary_size=self.size + 1)


def _ids(words: Sequence[str]) -> dict[str, int]:
    """Returns ids from 1; words with accents are also found in other Unicode normal forms."""
    ids = {word: number for number, word in enumerate(words, 1)}
    for word in words:
        if not word.isascii():
            for form in ("NFC", "NFD"):
                ids.setdefault(unicodedata.normalize(form, word), ids[word])
    return ids


def _rank_correlation(ids: Array) -> float:
    """Returns Spearman's correlation of rank and frequency; 1 if there are too few words."""
    from scipy.stats import spearmanr

    distinct, counts = np.unique(ids, return_counts=True)
    frequent = counts >= _MIN_COUNT
    if frequent.sum() < _MIN_WORDS or len(set(counts[frequent])) == 1:
        return 1.0
    return float(spearmanr(-distinct[frequent], counts[frequent]).statistic)


def _table(ids: Mapping[str, int]) -> tf.lookup.StaticHashTable:
    values = tf.constant(list(ids.values()), tf.int64)
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(list(ids)), values)
    return tf.lookup.StaticHashTable(initializer, default_value=0)
