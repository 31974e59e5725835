"""EXIF orientation of JPEG, PNG and WebP in TensorFlow operations, the same in an export.

TensorFlow ignores EXIF, so the segments or chunks of a file are walked in the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from tftransfer.core.typing import Tensor

_EXIF = b"Exif\x00\x00"
# Cameras write EXIF data first, or after the 20 bytes of a JFIF header.
_EXIF_OFFSETS_BYTES = (6, 24)
_MAX_EXIF_BYTES = 4096
_MAX_EXIF_ENTRIES = 200
_EXIF_ENTRY_BYTES = 12
_ORIENTATION_TAG = 0x0112
# Of a segment or chunk, as many first bytes hold its name and size.
_HEAD_BYTES = 12
# Takes the head of a segment, int64 [12], and its offset; returns the offset of the next one, and
# that of its EXIF data, or -1.
_Step: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def upright(pixels: Tensor, data: Tensor) -> Tensor:
    """Mirrors and rotates pixels as the EXIF orientation demands.

    Args:
      pixels: Pixels as they are stored, uint8 [height, width, 3].
      data: The encoded bytes, a scalar string tensor.
    """
    start = _exif_start(data)
    return tf.cond(start >= 0, lambda: _turned(pixels, _orientation(data, start)), lambda: pixels)


def _exif_start(data: Tensor) -> Tensor:
    """Returns the offset in bytes of the TIFF header of EXIF data, an int64 scalar, or -1."""

    def starts(signature: bytes, offset: int = 0) -> Tensor:
        return tf.equal(tf.strings.substr(data, offset, len(signature)), signature)

    def jpeg() -> Tensor:
        first, second = (starts(_EXIF, offset) for offset in _EXIF_OFFSETS_BYTES)
        usual = tf.cast(tf.where(first, *_EXIF_OFFSETS_BYTES), tf.int64)
        return tf.cond(first | second, lambda: usual, lambda: _walk(data, 2, _jpeg_step))

    long_enough = tf.strings.length(data) > _EXIF_OFFSETS_BYTES[1]
    cases = [
        (long_enough & starts(b"\xff\xd8\xff"), jpeg),
        (long_enough & starts(b"\x89PNG"), lambda: _walk(data, 8, _png_step)),
        (long_enough & starts(b"VP8X", 12), lambda: _walk(data, 12, _webp_step)),
    ]
    start = tf.case(cases, default=lambda: tf.constant(-1, tf.int64))
    found = tf.strings.substr(data, tf.maximum(start, 0), len(_EXIF))
    return tf.where((start >= 0) & tf.equal(found, _EXIF), start + len(_EXIF), start)


def _walk(data: Tensor, first: int, step: _Step) -> Tensor:
    """Returns the offset of the EXIF data, which may still have their own signature, or -1.

    Args:
      data: Encoded bytes, a scalar string tensor.
      first: Offset of the first segment or chunk.
      step: Reads the head of one.
    """
    length = tf.cast(tf.strings.length(data), tf.int64)

    def has_next(position: Tensor, found: Tensor) -> Tensor:
        return (found < 0) & (position + _HEAD_BYTES <= length)

    def read_next(position: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        raw = tf.io.decode_raw(tf.strings.substr(data, position, _HEAD_BYTES), tf.uint8)
        following, exif = step(tf.cast(raw, tf.int64), position)
        return tf.where(following < 0, length, following), exif

    start = (tf.constant(first, tf.int64), tf.constant(-1, tf.int64))
    return tf.while_loop(has_next, read_next, start)[1]


def _is(head: Tensor, offset: int, name: bytes) -> Tensor:
    return tf.reduce_all(head[offset : offset + len(name)] == list(name))


def _number(head: Tensor, places: list[int]) -> Tensor:
    """Returns the number whose bytes are at some places, the highest first."""
    return tf.add_n([head[place] * 256**power for power, place in enumerate(reversed(places))])


def _jpeg_step(head: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Walks over comments and the data of applications, which are before the image."""
    marker = head[1]
    is_exif = tf.equal(marker, 0xE1) & _is(head, 4, _EXIF)
    other = (marker >= 0xE0) & (marker <= 0xEF) | tf.equal(marker, 0xFE)
    following = tf.where(other, position + 2 + _number(head, [2, 3]), -1)
    following = tf.where(tf.equal(marker, 0xFF), position + 1, following)  # a fill byte
    following = tf.where(tf.equal(head[0], 0xFF), following, -1)
    return following, tf.where(is_exif, position + 4, -1)


def _png_step(head: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    following = position + 12 + _number(head, [0, 1, 2, 3])  # with the checksum
    return following, tf.where(_is(head, 4, b"eXIf"), position + 8, -1)


def _webp_step(head: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    size = _number(head, [7, 6, 5, 4])
    following = position + 8 + size + size % 2  # padded to even sizes
    return following, tf.where(_is(head, 0, b"EXIF"), position + 8, -1)


def _orientation(data: Tensor, start: Tensor) -> Tensor:
    """Returns the EXIF orientation, 1 to 8, of a TIFF header; 1 (upright) if there is none.

    A TIFF header states its byte order and the offset of a table of entries of 12 bytes: tag,
    type, count, value.

    Args:
      data: Encoded bytes, a scalar string tensor.
      start: Offset of the TIFF header in bytes.
    """
    header = tf.io.decode_raw(tf.strings.substr(data, start, _MAX_EXIF_BYTES), tf.uint8)
    header = tf.pad(tf.cast(header, tf.int32), [[0, 16]])
    little_endian = tf.equal(header[0], ord("I"))

    def number(offset: Tensor | int) -> Tensor:
        """Returns the 16-bit number at an offset; offsets beyond the end are clamped."""
        last = tf.size(header) - 1
        low, high = (tf.gather(header, tf.minimum(offset + k, last)) for k in (0, 1))
        return tf.where(little_endian, low + 256 * high, high + 256 * low)

    table = tf.where(little_endian, number(4), number(6))  # the lower 16 of 32 bits
    count = tf.minimum(number(table), _MAX_EXIF_ENTRIES)
    entries = table + 2 + _EXIF_ENTRY_BYTES * tf.range(count)
    found = tf.boolean_mask(number(entries + 8), tf.equal(number(entries), _ORIENTATION_TAG))
    value = tf.concat([found, [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _turned(pixels: Tensor, orientation: Tensor) -> Tensor:
    """Mirrors and rotates pixels to orientation 1."""

    def transposed() -> Tensor:
        # `tf.transpose` of integers makes oneDNN print errors, so pixels are gathered by index.
        height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
        places = tf.range(width)[:, None] + width * tf.range(height)[None]
        return tf.gather(tf.reshape(pixels, [-1, 3]), places)

    branches = [
        lambda: pixels,
        lambda: pixels[:, ::-1],
        lambda: pixels[::-1, ::-1],
        lambda: pixels[::-1],
        transposed,
        lambda: transposed()[:, ::-1],
        lambda: transposed()[::-1, ::-1],
        lambda: transposed()[::-1],
    ]
    return tf.switch_case(orientation - 1, branches)
