"""Texts as networks take them: strings, or ids of words; in TensorFlow operations."""

from __future__ import annotations

import abc
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tftransfer.preprocessing.base import Augmenter, Preprocessor
from tftransfer.preprocessing.text.augmentation import TokenAugmenter, WordAugmenter
from tftransfer.preprocessing.text.checks import MAX_BYTES
from tftransfer.utils.text_encoding import decode_text

# Letters and digits with what joins them inside a word, or one mark of another kind.
_WORD = r"[\pL\pM\pN_]+(?:['’\-][\pL\pM\pN_]+)*|[^\s\pL\pM\pN_]"
# As Python's `strip` has it, at the beginning and at the end.
_AROUND = r"^[\s\pZ\x0b\x1c-\x1f\x{85}]+|[\s\pZ\x0b\x1c-\x1f\x{85}]+$"
_BREAK, _JOINS = "\x1f", r"['’\-]"
# Words seen less often say little of how frequent they are; fewer words say little of an order.
_SEEN, _ENOUGH, _AGREES = 5, 30, 0.5


def as_utf8(data: Any) -> Any:
    """Strings of any shape in UTF-8, from UTF-8, UTF-16 with its mark, or else Windows-1252.

    White space around them is left out.
    """

    def transcoded(encoding: str) -> Any:
        return tf.strings.unicode_transcode(data, encoding, "UTF-8", errors="replace")

    utf8 = transcoded("UTF-8")
    head = tf.strings.substr(data, 0, 2)
    marked = tf.equal(tf.strings.substr(data, 0, 3), b"\xef\xbb\xbf")
    text = tf.where(tf.equal(utf8, data) | marked, utf8, transcoded("windows-1252"))
    text = tf.where(tf.equal(head, b"\xff\xfe"), transcoded("UTF-16LE"), text)
    text = tf.where(tf.equal(head, b"\xfe\xff"), transcoded("UTF-16BE"), text)
    text = tf.strings.regex_replace(text, "^\ufeff", "")
    return tf.strings.regex_replace(text, _AROUND, "")


def is_text(utf8: Any) -> Any:
    """Whether strings in UTF-8 say something and hold no NUL, bool of their shape."""
    # RE2 stops at no NUL, but its pattern must not hold one.
    said = tf.strings.regex_full_match(utf8, r"(?s).*[^\s\pZ].*")
    return said & ~tf.strings.regex_full_match(utf8, r"(?s).*\x00.*")


class TextPreprocessor(Preprocessor):
    """What all forms of text have in common: `encoded` makes arrays of a batch of strings."""

    modality: ClassVar[str] = "text"
    batched: ClassVar[bool] = True

    @abc.abstractmethod
    def encoded(self, utf8: Any) -> Any:
        """Arrays [n, *shape] of strings in UTF-8 [n]."""

    def decode(self, data: Any) -> Any:
        """The array of one text, or of a batch; not in UTF-8, they are read as `decode_text` does.

        Raises:
          tf.errors.InvalidArgumentError: when run, for an empty text or one with NUL.
        """
        utf8 = as_utf8(data)
        with tf.control_dependencies(
            [tf.debugging.Assert(tf.reduce_all(is_text(utf8)), ["no text"])]
        ):
            texts = tf.identity(utf8)
        return self.encoded(texts) if texts.shape.rank else self.encoded(texts[None])[0]

    def within_limits(self, data: Any) -> Any:
        """The bytes again, failing for more than `MAX_BYTES`."""
        small = tf.strings.length(data) <= MAX_BYTES
        with tf.control_dependencies([tf.debugging.Assert(small, ["too long"])]):
            return tf.identity(data)

    def decode_valid(self, items: Any) -> tuple[Any, Any]:
        """As the base's; all at once, which is faster."""
        small = tf.strings.length(items) <= MAX_BYTES
        utf8 = as_utf8(tf.where(small, items, ""))
        good = is_text(utf8)
        arrays = tf.ensure_shape(self.encoded(tf.where(good, utf8, "x")), (None, *self.shape))
        keep = tf.reshape(good, [-1] + [1] * len(self.shape))
        return tf.where(keep, arrays, tf.zeros_like(arrays)), good


class StringPreprocessor(TextPreprocessor):
    """The string itself, for networks that part it into words on their own."""

    shape: tuple[int, ...] = ()
    dtype = "string"

    @property
    def description(self) -> str:
        """In words."""
        return "strings"

    @property
    def cache_key(self) -> str:
        """Of caches."""
        return "strings in UTF-8"

    def encoded(self, utf8: Any) -> Any:
        """The strings."""
        return utf8

    def augmenter(self, augment: str) -> Augmenter:
        """Leaves words out, or lets them change places."""
        return WordAugmenter(augment)


class WordPreprocessor(TextPreprocessor):
    """Ids of words in lower case: int32 [length], 0 where there are no more.

    A word is letters and digits, with the hyphens and apostrophes inside it; any other mark stands
    alone. A word without an id is taken by its parts, and passed over if they have none; where
    words are hashed, all have one.

    Args:
      length: most words that count, from the beginning.
      words: the vocabulary; the first has the id 1.
      buckets: instead, each word has an id by its hash, from 1 to this number.
      cased: capitals stay.
      ranked: the network takes the words for ordered, the most frequent first.
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
        self.table: Any = None if buckets else _table(ids)

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.shape[0]} words"

    @property
    def cache_key(self) -> str:
        """Of caches: length, vocabulary and the rule by which text is parted."""
        return repr((self.shape, self._digest, self._buckets, self._cased, _WORD))

    @property
    def resources(self) -> Sequence[Any]:
        """The lookup table, for exports."""
        return [] if self.table is None else [self.table]

    def files(self) -> dict[str, bytes]:
        """The vocabulary, a word a line, for clients of an export."""
        return {} if self._buckets else {"vocabulary.txt": "\n".join([*self.words, ""]).encode()}

    def split(self, utf8: Any) -> Any:
        """Words of strings [n] as a ragged tensor of strings [n, words]."""
        if not self._cased:
            utf8 = tf.strings.lower(utf8, encoding="utf-8")
        utf8 = tf.strings.regex_replace(utf8, "’", "'")
        broken = tf.strings.regex_replace(utf8, _WORD, rf"{_BREAK}\0{_BREAK}")
        parts = tf.strings.split(broken, _BREAK)
        blank = tf.strings.regex_full_match(parts.values, r"[\s\pZ]*")
        return tf.ragged.boolean_mask(parts, parts.with_values(~blank))

    def encoded(self, utf8: Any) -> Any:
        """Ids, int32 [n, length]."""
        words = self.split(utf8)
        if self._buckets:
            ids = tf.strings.to_hash_bucket_fast(words.values, self._buckets) + 1
            ids = words.with_values(tf.cast(ids, tf.int32))
        else:
            ids = self._looked_up(words)
        return ids.to_tensor(shape=(None, self.shape[0]))

    def _looked_up(self, words: Any) -> Any:
        """Ids of words that are known, or of their parts, as a ragged tensor."""
        known = self.table.lookup(words.values) > 0
        parts = tf.strings.regex_replace(words.values, _JOINS, _BREAK)
        parts = tf.strings.split(tf.where(known, words.values, parts), _BREAK)
        ids = words.with_values(parts.with_values(self.table.lookup(parts.values)))
        ids = tf.cast(ids.merge_dims(1, 2), tf.int32)
        return tf.ragged.boolean_mask(ids, ids > 0)

    def warnings(self, items: Sequence[bytes]) -> tuple[str, ...]:
        """How many of the words of some texts have an id, and how many texts are cut."""
        if not items:
            return ()
        words = self.split(tf.constant([decode_text(item).encode() for item in items]))
        cut = float(tf.reduce_mean(tf.cast(words.row_lengths() > self.shape[0], tf.float32)))
        said = [f"{cut:.1%} of the training texts are longer than {self.shape[0]} words and cut"]
        if not self._buckets:
            is_word = tf.strings.regex_full_match(words.values, r".*[\pL\pN].*")
            every = tf.boolean_mask(words.values, is_word)
            ids = self.table.lookup(every).numpy()
            known = ids > 0
            modalities = len(set(every.numpy()[known])) / max(1, len(set(every.numpy())))
            said.append(
                f"{known.sum() / max(1, len(known)):.1%} of the words in the training texts have "
                f"a vector, {modalities:.1%} of the different ones"
            )
            if self._ranked and (agreed := _agreement(ids[known])) < _AGREES:
                said.append(
                    f"the words' order is hardly that of their frequency in the training texts "
                    f"(Spearman {agreed:.2f}), which sif takes for granted; pool=mean does without"
                )
        return tuple(said[not cut :])

    def augmenter(self, augment: str) -> Augmenter:
        """Hides words, or exchanges them."""
        return TokenAugmenter(augment, hidden=0, kept=(0,), size=self.size + 1)


def _ids(words: Sequence[str]) -> dict[str, int]:
    """Of words, and of those whose accents are written apart, or not, where words have any."""
    ids = {word: number for number, word in enumerate(words, 1)}
    for word in words:
        if not word.isascii():
            for form in ("NFC", "NFD"):
                ids.setdefault(unicodedata.normalize(form, word), ids[word])
    return ids


def _agreement(ids: np.ndarray) -> float:
    """Spearman's correlation of the words' order and how often each is seen, 1 for too few."""
    from scipy.stats import spearmanr

    seen, counts = np.unique(ids, return_counts=True)
    often = counts >= _SEEN
    if often.sum() < _ENOUGH or len(set(counts[often])) == 1:
        return 1.0
    return float(spearmanr(-seen[often], counts[often]).statistic)


def _table(ids: Mapping[str, int]) -> Any:
    values = tf.constant(list(ids.values()), tf.int64)
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(list(ids)), values)
    return tf.lookup.StaticHashTable(initializer, default_value=0)
