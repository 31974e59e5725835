"""Encoded bytes to pixels, in TensorFlow operations: the same in training and serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# JPEG decoders can leave out work where a half, a quarter or an eighth of the size is enough.
_RATIOS = (1, 2, 4, 8)


def decode(data: Any, at_least: int = 0) -> Any:
    """Decodes JPEG, PNG, GIF (first frame), BMP or WebP.

    Args:
      data: a scalar string tensor.
      at_least: a JPEG may come out smaller by 2, 4 or 8, both its sides being at least so many
        pixels; 0 keeps its size.

    Returns:
      uint8 [height, width, 3]; grey is repeated, transparency dropped, 16 bits cut to 8.
    """
    if not at_least:
        return _decode_any(data)
    jpeg = tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")
    pixels = tf.cond(jpeg, lambda: _decode_scaled(data, at_least), lambda: _decode_any(data))
    pixels.set_shape([None, None, 3])
    return pixels


def _decode_any(data: Any) -> Any:
    pixels = tf.io.decode_image(data, channels=3, dtype=tf.uint8, expand_animations=False)
    pixels.set_shape([None, None, 3])
    return pixels


def _decode_scaled(data: Any, at_least: int) -> Any:
    times = tf.reduce_min(tf.image.extract_jpeg_shape(data)[:2]) // at_least
    which = tf.add_n([tf.cast(times >= ratio, tf.int32) for ratio in _RATIOS[1:]])
    return tf.switch_case(
        which, [lambda r=r: tf.image.decode_jpeg(data, channels=3, ratio=r) for r in _RATIOS]
    )


def resize(pixels: Any, size: int) -> Any:
    """Scales to a square, both sides on their own, by bilinear interpolation.

    A side that shrinks to less than half is averaged over the area that each new pixel covers;
    above that the two nearest pixels are nearly all of that area, and are found faster.

    Args:
      pixels: uint8 [height, width, 3].
      size: side of the result in pixels.

    Returns:
      uint8 [size, size, 3].
    """
    scaled = tf.cond(
        tf.reduce_max(tf.shape(pixels)[:2]) > 2 * size,
        lambda: tf.image.resize(pixels, (size, size), method="bilinear", antialias=True),
        lambda: tf.image.resize(pixels, (size, size), method="bilinear"),
    )
    # Interpolation stays within 0 to 255; the half makes the cast round.
    return tf.ensure_shape(tf.cast(scaled + 0.5, tf.uint8), [size, size, 3])


def decode_resized(data: Any, size: int) -> Any:
    """Decoded and scaled to uint8 [size, size, 3] from a scalar string tensor."""
    return resize(decode(data, at_least=size), size)
