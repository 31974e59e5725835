"""Checks and warnings of image files, one function each.

A check takes encoded bytes and returns a reason why they cannot be used, or None. A warning
returns an irregularity of usable bytes, or None. The content decides, never the extension.
"""

from __future__ import annotations

import struct

from tftransfer.preprocessing.base import FileCheck, FileWarning
from tftransfer.preprocessing.formats import unread_format

MAX_PIXELS = 100_000_000
# Of all frames of an animation together.
_MAX_ANIMATION_PIXELS = 3 * MAX_PIXELS
_MIN_SIDE_PIXELS = 8
_MAX_ASPECT_RATIO = 8

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
_GRAY_RAMP = bytes(range(256))


def image_format(data: bytes) -> str | None:
    """Returns JPEG, PNG, GIF, BMP or WebP by the first bytes; None for anything else."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return None


def known_format(data: bytes) -> str | None:
    """Checks that the format is known."""
    if image_format(data):
        return None
    found = unread_format(data)
    if found and found.modality == "image":
        return f"not JPEG, PNG, GIF, BMP or WebP but {found.name}: {found.remedy}"
    if found:
        return f"not an image: {found.name}"
    return "not an image: no JPEG, PNG, GIF, BMP or WebP signature"


def within_pixel_cap(data: bytes) -> str | None:
    """Checks that the header states at most `MAX_PIXELS`, before anything is decoded."""
    size = header_size(data)
    if size and size[0] * size[1] > MAX_PIXELS:
        return f"{size[0]} × {size[1]} pixels are more than the limit of {MAX_PIXELS:,}"
    return None


def frames_within_cap(data: bytes) -> str | None:
    """Checks the pixels of all frames of a GIF: TensorFlow decodes them all to return the first."""
    frames = _gif_frames(data) if image_format(data) == "GIF" else []
    if sum(width * height for width, height in frames) > _MAX_ANIMATION_PIXELS:
        return f"an animation of {len(frames):,} frames, too many to decode"
    return None


def plain_bmp(data: bytes) -> str | None:
    """Checks that a BMP has no color table: TensorFlow reads the indices as gray values."""
    if image_format(data) != "BMP" or len(data) < 54:
        return None
    pixels, header = struct.unpack("<II", data[10:18])
    bits, compression = struct.unpack("<HI", data[28:34])
    table = data[14 + header : pixels]
    is_gray = all(table[channel::4] == _GRAY_RAMP[: len(table) // 4] for channel in range(3))
    if bits == 8 and (compression or not is_gray):
        return "a BMP with a color table or compressed pixels; save it as PNG"
    return None


CHECKS: tuple[FileCheck, ...] = (
    known_format,
    within_pixel_cap,
    frames_within_cap,
    plain_bmp,
)


def header_size(data: bytes) -> tuple[int, int] | None:
    """Returns the width and height in pixels that the header states, or None."""
    name = image_format(data)
    if name == "PNG" and len(data) >= 24:
        return struct.unpack(">II", data[16:24])
    if name == "GIF" and len(data) >= 10:
        widths, heights = zip(struct.unpack("<HH", data[6:10]), *_gif_frames(data))
        return max(widths), max(heights)  # the decoder allocates this size
    if name == "BMP" and len(data) >= 26:
        width, height = struct.unpack("<ii", data[18:26])
        return abs(width), abs(height)
    if name == "WebP" and len(data) >= 30:
        return _webp_size(data)
    if name == "JPEG":
        frame = _jpeg_frame(data)
        return frame[:2] if frame else None
    return None


def animated(data: bytes) -> str | None:
    """Warns of animations."""
    gif = image_format(data) == "GIF" and len(_gif_frames(data)) > 1
    webp = data[8:16] == b"WEBPVP8X" and data[20:21] and data[20] & 2
    return "animated: only the first frame is used" if gif or webp else None


def transparent(data: bytes) -> str | None:
    """Warns of transparency; the colors below it are kept."""
    png = image_format(data) == "PNG" and (data[25:26] in (b"\x04", b"\x06") or b"tRNS" in data)
    webp = data[8:16] == b"WEBPVP8X" and data[20:21] and data[20] & 16
    return "with transparency, which is dropped" if png or webp else None


def sixteen_bits(data: bytes) -> str | None:
    """Warns of 16 bits per channel, of which the lower 8 are lost."""
    png = image_format(data) == "PNG" and data[24:25] == b"\x10"
    return "with 16 bits per channel, of which 8 are used" if png else None


def cmyk(data: bytes) -> str | None:
    """Warns of CMYK, which becomes RGB without a color profile."""
    frame = _jpeg_frame(data) if image_format(data) == "JPEG" else None
    return "in CMYK, converted to RGB without a color profile" if frame and frame[2] == 4 else None


def unusual_shape(data: bytes) -> str | None:
    """Warns of small or narrow images, which lose most detail when resized to a square."""
    width, height = header_size(data) or (_MIN_SIDE_PIXELS, _MIN_SIDE_PIXELS)
    if min(width, height) < _MIN_SIDE_PIXELS:
        return f"smaller than {_MIN_SIDE_PIXELS} px on a side"
    narrow = max(width, height) > _MAX_ASPECT_RATIO * min(width, height)
    return f"more than {_MAX_ASPECT_RATIO} times as long as wide" if narrow else None


WARNINGS: tuple[FileWarning, ...] = (
    animated,
    transparent,
    sixteen_bits,
    cmyk,
    unusual_shape,
)


def _gif_frames(data: bytes) -> list[tuple[int, int]]:
    """Returns width and height of the frames, which may be larger than the screen of the header.

    A GIF is a header, then blocks: an image (0x2C) or an extension (0x21), each followed by
    sub-blocks with their length in the first byte, up to one of length 0.
    """
    frames: list[tuple[int, int]] = []
    position = 13 + _color_table_bytes(data, 10)
    while position + 9 < len(data) and data[position] in (0x21, 0x2C):
        if data[position] == 0x2C:
            frames.append(struct.unpack("<HH", data[position + 5 : position + 9]))
            position += 11 + _color_table_bytes(data, position + 9)
        else:
            position += 2
        while data[position : position + 1] not in (b"", b"\0"):
            position += 1 + data[position]
        position += 1
    return frames


def _color_table_bytes(data: bytes, position: int) -> int:
    """Returns the size of the GIF color table that the flags at a position announce."""
    flags = data[position] if position < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp_size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        (bits,) = struct.unpack("<I", data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return width + 1, height + 1
    return None


def _jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """Returns width, height and number of channels of the frame header, or None.

    A JPEG is a list of segments: 0xFF, a marker, and a length that includes its own two bytes.
    """
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], struct.unpack(">H", data[position + 2 : position + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height, data[position + 9]
        position += 2 + length[0]
        while data[position : position + 2] == b"\xff\xff":  # fill bytes between segments
            position += 1
    return None
