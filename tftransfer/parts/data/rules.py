"""What a file must satisfy to be an example: one function per rule, in one list.

A rule looks at the encoded bytes and returns a reason to leave the file out, or
None. Content decides, never the extension.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

MAX_PIXELS = 100_000_000
IGNORED_NAMES = {".DS_Store", "Thumbs.db", "desktop.ini"}
IGNORED_FOLDERS = {"__MACOSX", ".ipynb_checkpoints", ".git"}

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
_RAMP = bytes(range(256))
_NEIGHBOURS = (
    (b"II*\x00", "a TIFF file"),
    (b"MM\x00*", "a TIFF file"),
    (b"%PDF", "a PDF file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"<", "HTML, XML or SVG text"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)


def ignored(name: str) -> bool:
    """Whether a file or folder of this name is a system's own and never an example."""
    return name in IGNORED_NAMES or name in IGNORED_FOLDERS or name.startswith("._")


def image_format(data: bytes) -> str | None:
    """JPEG, PNG, GIF, BMP or WebP by the first bytes; None for anything else."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return None


def not_empty(data: bytes) -> str | None:
    """Files of no bytes are left out."""
    return None if data else "the file is empty (0 bytes)"


def known_format(data: bytes) -> str | None:
    """Files that are no picture of a known format are left out, saying what they are."""
    if image_format(data):
        return None
    for signature, what in _NEIGHBOURS:
        if data.lstrip()[:64].startswith(signature):
            return f"not a picture: {what}"
    return "not a picture: no JPEG, PNG, GIF, BMP or WebP signature"


def within_pixel_cap(data: bytes) -> str | None:
    """Pictures whose header promises more than `MAX_PIXELS` are left out before decoding."""
    size = header_size(data)
    if size and size[0] * size[1] > MAX_PIXELS:
        return f"{size[0]} × {size[1]} pixels is more than the cap of {MAX_PIXELS:,}"
    return None


def plain_bmp(data: bytes) -> str | None:
    """BMP files with a table of colours are left out: TensorFlow takes the indices for greys."""
    if image_format(data) != "BMP" or len(data) < 54:
        return None
    pixels, header = struct.unpack("<II", data[10:18])
    bits, compression = struct.unpack("<HI", data[28:34])
    table = data[14 + header : pixels]
    greys = all(table[channel::4] == _RAMP[: len(table) // 4] for channel in range(3))
    if bits == 8 and (compression or not greys):
        return "a BMP with a table of colours or compressed pixels; save it as PNG"
    return None


RULES: tuple[Callable[[bytes], str | None], ...] = (
    not_empty,
    known_format,
    within_pixel_cap,
    plain_bmp,
)


def header_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels as the header says, where it can be read cheaply."""
    kind = image_format(data)
    if kind == "PNG" and len(data) >= 24:
        return struct.unpack(">II", data[16:24])
    if kind == "GIF" and len(data) >= 10:
        return struct.unpack("<HH", data[6:10])
    if kind == "BMP" and len(data) >= 26:
        width, height = struct.unpack("<ii", data[18:26])
        return abs(width), abs(height)
    if kind == "JPEG":
        return _jpeg_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], struct.unpack(">H", data[position + 2 : position + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        position += 2 + length[0]
    return None
