"""Checks and warnings of texts, one function each; see `tftransfer.preprocessing.image`."""

from __future__ import annotations

import re

from tftransfer.preprocessing.base import FileCheck, FileWarning
from tftransfer.utils.text_encoding import decode_text, detect_encoding

# A book has about a million characters; nothing longer is one example.
MAX_BYTES = 4 << 20
# Scripts without spaces between words: Thai, Lao, Myanmar, Khmer, kana, ideographs.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


def strip_text(data: bytes) -> str:
    """Returns the text without outer white space, which networks ignore."""
    return decode_text(data).strip()


def within_size(data: bytes) -> str | None:
    """Checks that there are at most `MAX_BYTES`."""
    if len(data) > MAX_BYTES:
        return (
            f"{len(data) / 2**20:.1f} MiB of text are more than the limit of {MAX_BYTES >> 20} MiB"
        )
    return None


def valid_encoding(data: bytes) -> str | None:
    """Checks that text with a byte order mark has the encoding that it announces."""
    encoding = detect_encoding(data)
    try:
        data.decode("cp1252" if encoding == "windows-1252" else encoding, "strict")
    except UnicodeDecodeError as error:
        if encoding != "windows-1252":
            name = encoding.upper()
            return f"not {name}, although its byte order mark is: byte {error.start} is invalid"
    return None


def no_nul_characters(data: bytes) -> str | None:
    """Checks that there are no NUL characters, which only binary files have."""
    if "\0" in decode_text(data):
        return "not text: it has NUL bytes (a binary file, or UTF-16 without a byte order mark)"
    return None


def has_text(data: bytes) -> str | None:
    """Checks that there is more than white space."""
    return None if strip_text(data) else "the text is empty"


CHECKS: tuple[FileCheck, ...] = (within_size, valid_encoding, no_nul_characters, has_text)


def other_encoding(data: bytes) -> str | None:
    """Warns of other encodings than UTF-8."""
    encoding = detect_encoding(data)
    if encoding == "windows-1252":
        return "not in UTF-8, read as Windows-1252 (Latin-1)"
    return None if encoding == "utf-8" else "in UTF-16"


WARNINGS: tuple[FileWarning, ...] = (other_encoding,)


def count_words(data: bytes) -> float:
    """Returns the number of words; in scripts without spaces, each character is one."""
    rest, characters = _WITHOUT_SPACES.subn(" ", decode_text(data))
    return float(len(rest.split()) + characters)
