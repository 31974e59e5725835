"""What a file must satisfy to be an example, and what is worth saying: a function each, in lists.

A rule looks at the encoded bytes and returns a reason to leave the file out, or
None. Content decides, never the extension. A note does not leave anything out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

MAX_PIXELS = 100_000_000

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


def image_format(data: bytes) -> str | None:
    """JPEG, PNG, GIF, BMP or WebP by the first bytes; None for anything else."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return None


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


def frames_within_cap(data: bytes) -> str | None:
    """Animations are left out that take more memory than a picture of `MAX_PIXELS` in colour."""
    frames = _gif_frames(data) if image_format(data) == "GIF" else []
    if sum(width * height for width, height in frames) > 3 * MAX_PIXELS:
        return f"an animation of {len(frames):,} frames, too many to decode"
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


CHECKS: tuple[Callable[[bytes], str | None], ...] = (
    known_format,
    within_pixel_cap,
    frames_within_cap,
    plain_bmp,
)


def header_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels as the header says, where it can be read cheaply."""
    kind = image_format(data)
    if kind == "PNG" and len(data) >= 24:
        return struct.unpack(">II", data[16:24])
    if kind == "GIF" and len(data) >= 10:
        widths, heights = zip(struct.unpack("<HH", data[6:10]), *_gif_frames(data))
        return max(widths), max(heights)  # what the decoder makes room for
    if kind == "BMP" and len(data) >= 26:
        width, height = struct.unpack("<ii", data[18:26])
        return abs(width), abs(height)
    if kind == "WebP" and len(data) >= 30:
        return _webp_size(data)
    if kind == "JPEG":
        frame = _jpeg_frame(data)
        return frame[:2] if frame else None
    return None


def animated(data: bytes) -> str | None:
    """Only the first frame becomes pixels."""
    gif = image_format(data) == "GIF" and len(_gif_frames(data)) > 1
    webp = data[8:16] == b"WEBPVP8X" and data[20:21] and data[20] & 2
    return "animated, only the first frame is used" if gif or webp else None


def transparent(data: bytes) -> str | None:
    """Colours stay as they are below the transparency."""
    png = image_format(data) == "PNG" and (data[25:26] in (b"\x04", b"\x06") or b"tRNS" in data)
    webp = data[8:16] == b"WEBPVP8X" and data[20:21] and data[20] & 16
    return "with transparency, which is dropped" if png or webp else None


def deep(data: bytes) -> str | None:
    """The lower half of 16 bits is lost."""
    png = image_format(data) == "PNG" and data[24:25] == b"\x10"
    return "of 16 bits, cut to 8" if png else None


def for_print(data: bytes) -> str | None:
    """CMYK becomes RGB without a colour profile."""
    frame = _jpeg_frame(data) if image_format(data) == "JPEG" else None
    return "in CMYK, converted without a profile" if frame and frame[2] == 4 else None


def odd_shape(data: bytes) -> str | None:
    """Little is left of these when they become a square."""
    width, height = header_size(data) or (16, 16)
    if min(width, height) < 8:
        return "smaller than 8 px on a side"
    long = max(width, height) > 8 * min(width, height)
    return "over eight times as long as wide" if long else None


WARNINGS: tuple[Callable[[bytes], str | None], ...] = (
    animated,
    transparent,
    deep,
    for_print,
    odd_shape,
)


def _gif_frames(data: bytes) -> list[tuple[int, int]]:
    """Width and height of the frames, which need not fit on the screen of the header."""
    frames: list[tuple[int, int]] = []
    position = 13 + _gif_table(data, 10)
    while position + 9 < len(data) and data[position] in (0x21, 0x2C):
        if data[position] == 0x2C:
            frames.append(struct.unpack("<HH", data[position + 5 : position + 9]))
            position += 11 + _gif_table(data, position + 9)
        else:
            position += 2
        while data[position : position + 1] not in (b"", b"\0"):
            position += 1 + data[position]
        position += 1
    return frames


def _gif_table(data: bytes, at: int) -> int:
    """Bytes of the table of colours that the flags at a place promise."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return width + 1, height + 1
    return None


def _jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """Width, height and number of channels."""
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], struct.unpack(">H", data[position + 2 : position + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height, data[position + 9]
        position += 2 + length[0]
        while data[position : position + 2] == b"\xff\xff":  # fill bytes
            position += 1
    return None
