"""Decoding of images to pixels in TensorFlow operations, the same in training and serving."""

from __future__ import annotations

import tensorflow as tf

from tftransfer.core.typing import Tensor
from tftransfer.preprocessing.image.checks import MAX_PIXELS
from tftransfer.preprocessing.image.orientation import upright

# A JPEG decoder saves work if a half, a quarter or an eighth of the size suffices.
_JPEG_RATIOS = (1, 2, 4, 8)
# Sizes in WebP headers have 14 bits.
_TWO_TO_14 = 1 << 14
# Larger than all WebP, PNG and BMP headers.
_HEADER_BYTES = 32


def decode(data: Tensor, min_side: int = 0) -> Tensor:
    """Decodes JPEG, PNG, GIF (first frame), BMP or WebP.

    Args:
      data: Encoded bytes, a scalar string tensor.
      min_side: A JPEG may be decoded at a half, a quarter or an eighth of its size if both sides
        have at least this many pixels; 0 keeps its size.

    Returns:
      Pixels, uint8 [height, width, 3]. Gray values are repeated, transparency is dropped, 16 bits
      become 8, and images are turned upright by the EXIF orientation in JPEG, PNG or WebP.
    """
    jpeg = tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")
    scaled = jpeg if min_side else tf.constant(False)
    pixels = tf.cond(scaled, lambda: _decode_scaled(data, min_side), lambda: decode_turned(data))
    return tf.ensure_shape(upright(pixels, data), [None, None, 3])


def decode_turned(data: Tensor) -> Tensor:
    """Decodes an image as `decode` does, but without turning it upright."""
    pixels = tf.io.decode_image(data, channels=3, dtype=tf.uint8, expand_animations=False)
    pixels.set_shape([None, None, 3])
    return pixels


def _decode_scaled(data: Tensor, min_side: int) -> Tensor:
    times = tf.reduce_min(tf.image.extract_jpeg_shape(data)[:2]) // min_side
    index = tf.add_n([tf.cast(times >= ratio, tf.int32) for ratio in _JPEG_RATIOS[1:]])
    return tf.switch_case(
        index, [lambda r=r: tf.image.decode_jpeg(data, channels=3, ratio=r) for r in _JPEG_RATIOS]
    )


def resize(pixels: Tensor, size: int) -> Tensor:
    """Resizes an image to a square by bilinear interpolation; the aspect ratio is not kept.

    If a side shrinks to less than half, each new pixel is the mean over its area (antialiasing).
    Otherwise the nearest pixels cover almost that area, and plain interpolation is faster.

    Args:
      pixels: Pixels, uint8 [height, width, 3].
      size: Side of the result in pixels.

    Returns:
      Pixels, uint8 [size, size, 3].
    """
    scaled = tf.cond(
        tf.reduce_max(tf.shape(pixels)[:2]) > 2 * size,
        lambda: tf.image.resize(pixels, (size, size), method="bilinear", antialias=True),
        lambda: tf.image.resize(pixels, (size, size), method="bilinear"),
    )
    # The values are within 0 to 255, and the cast truncates, so adding a half rounds.
    return tf.ensure_shape(tf.cast(scaled + 0.5, tf.uint8), [size, size, 3])


def within_cap(data: Tensor) -> Tensor:
    """Returns the bytes, and fails when run if the header states more than `MAX_PIXELS`."""
    jpeg = tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")
    pixels = tf.cond(
        jpeg,
        lambda: tf.reduce_prod(tf.image.extract_jpeg_shape(data, tf.int64)[:2]),
        lambda: _header_pixels(data),
    )
    with tf.control_dependencies(
        [tf.debugging.assert_less_equal(pixels, tf.constant(MAX_PIXELS, tf.int64))]
    ):
        return tf.identity(data)


def _header_pixels(data: Tensor) -> Tensor:
    """Returns the pixels that the header of any format but JPEG states; 0 for other bytes.

    TensorFlow can read the size of JPEG files only, so the other headers are parsed in the graph.
    An export thus refuses a small file that would decode to gigabytes.
    """
    head = tf.io.decode_raw(tf.strings.substr(data, 0, _HEADER_BYTES), tf.uint8)
    head = tf.cast(tf.pad(head, [[0, _HEADER_BYTES - tf.size(head)]]), tf.int64)

    def number(offset: int, count: int, *, big_endian: bool = False) -> Tensor:
        powers = [count - 1 - k if big_endian else k for k in range(count)]
        return tf.add_n([head[offset + k] * (1 << 8 * power) for k, power in enumerate(powers)])

    def starts(signature: bytes, offset: int = 0) -> Tensor:
        return tf.reduce_all(head[offset : offset + len(signature)] == list(signature))

    def png() -> Tensor:
        return number(16, 4, big_endian=True) * number(20, 4, big_endian=True)

    def bmp() -> Tensor:
        return _magnitude(number(18, 4)) * _magnitude(number(22, 4))

    def webp_lossy() -> Tensor:
        return (number(26, 2) % _TWO_TO_14) * (number(28, 2) % _TWO_TO_14)

    def webp_lossless() -> Tensor:
        bits = number(21, 4)
        return (bits % _TWO_TO_14 + 1) * (bits // _TWO_TO_14 % _TWO_TO_14 + 1)

    def webp_extended() -> Tensor:
        return (number(24, 3) + 1) * (number(27, 3) + 1)

    cases = [
        (starts(b"\x89PNG"), png),
        (starts(b"GIF8"), lambda: _gif_pixels(data)),
        (starts(b"BM"), bmp),
        (starts(b"VP8 ", 12), webp_lossy),
        (starts(b"VP8L", 12), webp_lossless),
        (starts(b"VP8X", 12), webp_extended),
    ]
    return tf.case(cases, default=lambda: tf.constant(0, tf.int64))


def _gif_pixels(data: Tensor) -> Tensor:
    """Returns the pixels of a GIF: the largest frame, or a third of all frames if that is more.

    TensorFlow allocates all frames although only the first one is used, and frames may be larger
    than the screen that the header states. So all blocks are walked in the graph; `checks` has the
    same walk in Python, and explains the format.
    """
    numbers = tf.pad(tf.io.decode_raw(data, tf.uint8), [[0, 16]])
    end = tf.size(numbers) - 16

    def byte(position: Tensor | int) -> Tensor:
        return tf.cast(numbers[tf.minimum(position, end)], tf.int32)

    def size(position: Tensor | int) -> Tensor:
        low, high = (tf.stack([byte(position + k), byte(position + k + 2)]) for k in (0, 1))
        return low + 256 * high

    def color_table(position: Tensor | int) -> Tensor:
        flags = byte(position)
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def after_sub_blocks(position: Tensor) -> Tensor:
        (position,) = tf.while_loop(
            lambda p: byte(p) > 0, lambda p: (p + 1 + byte(p),), (position,)
        )
        return position + 1

    def next_block(
        position: Tensor, screen: Tensor, total: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        is_frame = tf.equal(byte(position), 0x2C)
        frame = tf.where(is_frame, size(position + 5), 0)
        header = tf.where(is_frame, 11 + color_table(position + 9), 2)
        total += tf.reduce_prod(tf.cast(frame, tf.int64))
        return after_sub_blocks(position + header), tf.maximum(screen, frame), total

    def has_block(position: Tensor, screen: Tensor, total: Tensor) -> Tensor:
        marker = byte(position)
        return (position + 9 < end) & (tf.equal(marker, 0x21) | tf.equal(marker, 0x2C))

    start = (13 + color_table(10), size(6), tf.constant(0, tf.int64))
    _, screen, total = tf.while_loop(has_block, next_block, start)
    # The frames of an animation may have three times as many pixels together; see `checks`.
    return tf.maximum(tf.reduce_prod(tf.cast(screen, tf.int64)), (total + 2) // 3)


def _magnitude(number: Tensor) -> Tensor:
    """Returns the magnitude of a signed 32-bit size; the sign of a BMP height is a direction."""
    return tf.minimum(number, (1 << 32) - number)


def decode_resized(data: Tensor, size: int) -> Tensor:
    """Decodes and resizes an image, a scalar string tensor, to uint8 [size, size, 3]."""
    return resize(decode(data, min_side=size), size)
