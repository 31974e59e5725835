"""Detection of text encodings."""

from __future__ import annotations

import codecs

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Python's cp1252 leaves five bytes undefined; browsers and ICU map them to their own number.
_WINDOWS_1252 = {
    byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(128, 160)
}


def detect_encoding(data: bytes) -> str:
    """Returns the encoding of a text.

    A byte order mark decides. Without one, bytes that are valid UTF-8 are UTF-8, and all others
    Windows-1252, which web browsers also use for Latin-1.

    Args:
      data: The whole text.

    Returns:
      `utf-8`, `utf-16-le`, `utf-16-be` or `windows-1252`.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    try:
        data.decode()
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def decode_text(data: bytes) -> str:
    """Decodes a text in the encoding of `detect_encoding`, without its byte order mark.

    Bytes that are invalid in the encoding become U+FFFD.
    """
    encoding = detect_encoding(data)
    if encoding == "windows-1252":
        return data.decode("latin-1").translate(_WINDOWS_1252)
    return data.decode(encoding, "replace").removeprefix("\ufeff")
