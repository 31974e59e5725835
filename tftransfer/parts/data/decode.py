"""Encoded bytes to pixels, in TensorFlow operations: the same in training and serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def decode(data: Any) -> Any:
    """Decodes JPEG, PNG, GIF (first frame), BMP or WebP.

    Args:
      data: a scalar string tensor.

    Returns:
      uint8 [height, width, 3]; grey is repeated, transparency dropped, 16 bits cut to 8.
    """
    pixels = tf.io.decode_image(data, channels=3, dtype=tf.uint8, expand_animations=False)
    pixels.set_shape([None, None, 3])
    return pixels


def resize(pixels: Any, size: int) -> Any:
    """Scales to a square, both sides on their own, by area-aware bilinear interpolation.

    Args:
      pixels: uint8 [height, width, 3].
      size: side of the result in pixels.

    Returns:
      uint8 [size, size, 3].
    """
    scaled = tf.image.resize(pixels, (size, size), method="bilinear", antialias=True)
    scaled = tf.cast(tf.clip_by_value(tf.round(scaled), 0.0, 255.0), tf.uint8)
    return tf.ensure_shape(scaled, [size, size, 3])


def decode_resized(data: Any, size: int) -> Any:
    """`resize(decode(data), size)`: uint8 [size, size, 3] from a scalar string tensor."""
    return resize(decode(data), size)
