"""Bytes to text: which encoding they are in."""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Five bytes have no character there and keep their number, as browsers and ICU have it.
_WINDOWS_1252 = {
    byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(128, 160)
}


def encoding_of(data: bytes) -> str:
    """`utf-8`, `utf-16-le`, `utf-16-be` (by their marks), else `windows-1252`, as Latin-1 is read.

    What begins with a mark is in its encoding, whatever follows.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    try:
        data.decode()
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def text_of(data: bytes) -> str:
    """The text, without a mark at its beginning; what no character stands for becomes U+FFFD."""
    encoding = encoding_of(data)
    if encoding == "windows-1252":
        return data.decode("latin-1").translate(_WINDOWS_1252)
    return data.decode(encoding, "replace").removeprefix("\ufeff")
