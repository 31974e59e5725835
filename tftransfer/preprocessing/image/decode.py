"""Encoded bytes to pixels, in TensorFlow operations: the same in training and serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tftransfer.preprocessing.image.checks import MAX_PIXELS

# JPEG decoders can leave out work where a half, a quarter or an eighth of the size is enough.
_RATIOS = (1, 2, 4, 8)
_2_14 = 1 << 14
_EXIF, _EXIF_AT = b"Exif\x00\x00", (6, 24)


def decode(data: Any, at_least: int = 0) -> Any:
    """Decodes JPEG, PNG, GIF (first frame), BMP or WebP.

    Args:
      data: a scalar string tensor.
      at_least: a JPEG may come out smaller by 2, 4 or 8, both its sides being at least so many
        pixels; 0 keeps its size.

    Returns:
      uint8 [height, width, 3]; grey is repeated, transparency dropped, 16 bits cut to 8, and what a
      camera held turned is turned upright.
    """
    jpeg = tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")
    pixels = tf.cond(jpeg, lambda: _decode_jpeg(data, at_least), lambda: _decode_any(data))
    pixels.set_shape([None, None, 3])
    return pixels


def _decode_jpeg(data: Any, at_least: int) -> Any:
    pixels = _decode_scaled(data, at_least) if at_least else _decode_any(data)
    # Cameras write their notes first, or after the 20 bytes of a JFIF header.
    first, second = (tf.equal(tf.strings.substr(data, at, 6), _EXIF) for at in _EXIF_AT)
    at = tf.where(first, _EXIF_AT[0], _EXIF_AT[1]) + len(_EXIF)
    return tf.cond(first | second, lambda: _upright(pixels, _orientation(data, at)), lambda: pixels)


def _orientation(data: Any, at: Any) -> Any:
    """The tag of that name, 1 to 8, of the TIFF header at a place; 1 where there is none."""
    notes = tf.cast(tf.io.decode_raw(tf.strings.substr(data, at, 4096), tf.uint8), tf.int32)
    notes = tf.pad(notes, [[0, 16]])
    little = tf.equal(notes[0], ord("I"))

    def number(place: Any) -> Any:
        low, high = (tf.gather(notes, tf.minimum(place + k, tf.size(notes) - 1)) for k in (0, 1))
        return tf.where(little, low + 256 * high, high + 256 * low)

    table = tf.where(little, number(4), number(6))  # the low half of 32 bits
    entries = table + 2 + 12 * tf.range(tf.minimum(number(table), 200))
    found = tf.boolean_mask(number(entries + 8), tf.equal(number(entries), 0x0112))
    value = tf.concat([found, [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _upright(pixels: Any, orientation: Any) -> Any:
    def turned() -> Any:
        # Of whole numbers, oneDNN writes to stderr that it cannot transpose them.
        height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
        places = tf.range(width)[:, None] + width * tf.range(height)[None]
        return tf.gather(tf.reshape(pixels, [-1, 3]), places)

    ways = [
        lambda: pixels,
        lambda: pixels[:, ::-1],
        lambda: pixels[::-1, ::-1],
        lambda: pixels[::-1],
        turned,
        lambda: turned()[:, ::-1],
        lambda: turned()[::-1, ::-1],
        lambda: turned()[::-1],
    ]
    return tf.switch_case(orientation - 1, ways)


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


def within_cap(data: Any) -> Any:
    """The bytes, failing where a picture's header promises more pixels than `MAX_PIXELS`."""
    jpeg = tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")
    pixels = tf.cond(
        jpeg,
        lambda: tf.reduce_prod(tf.image.extract_jpeg_shape(data, tf.int64)[:2]),
        lambda: _promised(data),
    )
    with tf.control_dependencies(
        [tf.debugging.assert_less_equal(pixels, tf.constant(MAX_PIXELS, tf.int64))]
    ):
        return tf.identity(data)


def _promised(data: Any) -> Any:
    """Pixels by the header of anything but a JPEG; 0 where it tells nothing."""
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 32), tf.uint8)
    head = tf.cast(tf.pad(head, [[0, 32 - tf.size(head)]]), tf.int64)

    def number(at: int, count: int, *, big: bool = False) -> Any:
        places = [count - 1 - k if big else k for k in range(count)]
        return tf.add_n([head[at + k] * (1 << 8 * place) for k, place in enumerate(places)])

    def starts(signature: bytes, at: int = 0) -> Any:
        return tf.reduce_all(head[at : at + len(signature)] == list(signature))

    return tf.case(
        [
            (starts(b"\x89PNG"), lambda: number(16, 4, big=True) * number(20, 4, big=True)),
            (starts(b"GIF8"), lambda: _gif_pixels(data)),
            (starts(b"BM"), lambda: _signed(number(18, 4)) * _signed(number(22, 4))),
            (starts(b"VP8 ", 12), lambda: (number(26, 2) % _2_14) * (number(28, 2) % _2_14)),
            (
                starts(b"VP8L", 12),
                lambda: (number(21, 4) % _2_14 + 1) * (number(21, 4) // _2_14 % _2_14 + 1),
            ),
            (starts(b"VP8X", 12), lambda: (number(24, 3) + 1) * (number(27, 3) + 1)),
        ],
        default=lambda: tf.constant(0, tf.int64),
    )


def _gif_pixels(data: Any) -> Any:
    """The screen that holds the header's and every frame, or a third of all frames: see `rules`."""
    numbers = tf.pad(tf.io.decode_raw(data, tf.uint8), [[0, 16]])
    end = tf.size(numbers) - 16

    def byte(at: Any) -> Any:
        return tf.cast(numbers[tf.minimum(at, end)], tf.int32)

    def size(at: Any) -> Any:
        return tf.stack([byte(at) + 256 * byte(at + 1), byte(at + 2) + 256 * byte(at + 3)])

    def table(at: Any) -> Any:
        return tf.where(byte(at) >= 128, 3 * tf.bitwise.left_shift(2, byte(at) % 8), 0)

    def after_blocks(at: Any) -> Any:
        (at,) = tf.while_loop(lambda at: byte(at) > 0, lambda at: (at + 1 + byte(at),), (at,))
        return at + 1

    def following(at: Any, screen: Any, total: Any) -> Any:
        frame = tf.where(tf.equal(byte(at), 0x2C), size(at + 5), 0)
        skipped = tf.where(tf.equal(byte(at), 0x2C), 11 + table(at + 9), 2)
        total += tf.reduce_prod(tf.cast(frame, tf.int64))
        return after_blocks(at + skipped), tf.maximum(screen, frame), total

    def more(at: Any, *_: Any) -> Any:
        return (at + 9 < end) & (tf.equal(byte(at), 0x21) | tf.equal(byte(at), 0x2C))

    start = (13 + table(10), size(6), tf.constant(0, tf.int64))
    _, screen, total = tf.while_loop(more, following, start)
    return tf.maximum(tf.reduce_prod(tf.cast(screen, tf.int64)), (total + 2) // 3)


def _signed(number: Any) -> Any:
    """The size of 32 bits whose sign is a direction."""
    return tf.minimum(number, (1 << 32) - number)


def decode_resized(data: Any, size: int) -> Any:
    """Decoded and scaled to uint8 [size, size, 3] from a scalar string tensor."""
    return resize(decode(data, at_least=size), size)
