"""Near copies of texts: the same words, regardless of case and punctuation."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from tftransfer.core.typing import Array, IntArray
from tftransfer.utils.text_encoding import decode_text

_ASCII_PUNCTUATION = re.compile(r"[^a-z0-9$+<=>^`|~]+")


def word_signature(data: bytes) -> Array | None:
    """Returns a hash of the words of a text, uint64 [2]; None for a text without words.

    Args:
      data: A text, as `decode_text` reads it.
    """
    words = _words(decode_text(data).casefold())
    if not words:
        return None
    return np.frombuffer(hashlib.sha256(words.encode()).digest()[:16], np.uint64)


def _words(text: str) -> str:
    """Letters, marks, numbers and symbols, of which emoji are some, with single blanks between."""
    if text.isascii():  # the same, and faster
        return _ASCII_PUNCTUATION.sub(" ", text).strip()
    kept = (c if unicodedata.category(c)[0] in "LMNS" else " " for c in text)
    return " ".join("".join(kept).split())


def texts_of_same_words(signatures: Sequence[Array], labels: Array) -> IntArray:
    """Returns pairs of texts with the same words: each with the first of them.

    Args:
      signatures: Results of `word_signature`, [n].
      labels: Label of each text, int [n]; not used.

    Returns:
      Indices of the pairs, int64 [m, 2], the lower one first.
    """
    _, first, inverse = np.unique(
        np.stack(signatures), axis=0, return_index=True, return_inverse=True
    )
    first_of_each = first[inverse.reshape(-1)]
    later = np.flatnonzero(first_of_each != np.arange(len(signatures)))
    pairs: IntArray = np.stack([first_of_each[later], later], axis=1).astype(np.int64)
    return pairs
