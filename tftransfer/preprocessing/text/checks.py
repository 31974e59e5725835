"""What files of text must satisfy, and what is worth saying of them."""

from __future__ import annotations

import re
from collections.abc import Callable

from tftransfer.utils.text_encoding import decode_text, detect_encoding

# A book has about a million characters; nothing longer is one example.
MAX_BYTES = 4 << 20
# Letters of scripts that put no blanks between words: Thai, Lao, Myanmar, Khmer, kana, ideographs.
_UNPARTED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


def bare(data: bytes) -> str:
    """The text without white space around it: how networks read it, and what copies share."""
    return decode_text(data).strip()


def within_size(data: bytes) -> str | None:
    """Texts of more than `MAX_BYTES` are left out."""
    if len(data) > MAX_BYTES:
        return f"{len(data) / 2**20:.1f} MiB of text, more than the {MAX_BYTES >> 20} MiB of a book"
    return None


def no_nul_characters(data: bytes) -> str | None:
    """What holds characters of number 0 is no text."""
    if "\0" in decode_text(data):
        return "not text: it holds NUL bytes (a binary file, or UTF-16 without a mark)"
    return None


def whole(data: bytes) -> str | None:
    """UTF-8 or UTF-16 by its mark that is not such is left out."""
    encoding = detect_encoding(data)
    try:
        data.decode("cp1252" if encoding == "windows-1252" else encoding, "strict")
    except UnicodeDecodeError as error:
        if encoding != "windows-1252":
            return f"not {encoding.upper()}, though its mark says so: byte {error.start} is wrong"
    return None


def has_text(data: bytes) -> str | None:
    """Texts of white space alone are left out."""
    return None if bare(data) else "the text is empty"


CHECKS: tuple[Callable[[bytes], str | None], ...] = (
    within_size,
    whole,
    no_nul_characters,
    has_text,
)


def other_encoding(data: bytes) -> str | None:
    """What is not UTF-8 is read as what it is or is likely to be."""
    encoding = detect_encoding(data)
    if encoding == "windows-1252":
        return "not in UTF-8, read as Windows-1252 (Latin-1)"
    return None if encoding == "utf-8" else "in UTF-16, read as such"


WARNINGS: tuple[Callable[[bytes], str | None], ...] = (other_encoding,)


def count_words(data: bytes) -> float:
    """Words parted by white space; where a script has none between words, its characters."""
    parted, characters = _UNPARTED.subn(" ", decode_text(data))
    return float(len(parted.split()) + characters)
