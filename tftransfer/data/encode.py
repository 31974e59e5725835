"""Examples in memory, one by one: of which kind they are, and their encoded bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tftransfer.data.file_types import modality_of_files
from tftransfer.utils.errors import UserError

RATE = 16_000
_SIXTEEN_BITS = 2.0**15
# A picture is rarely one or two pixels wide and so long, a short clip of one or two channels is.
_LONG = 256
# Rows of fewer numbers are rather the pixels of a picture or a table.
_SHORT = 800


def encoded(values: Iterable[Any], rate: int = RATE) -> tuple[str, list[bytes]]:
    """The kind of some values, which the first decides, and the bytes of each.

    Args:
      values: texts, bytes (of texts or files), pictures as for `encode_png`, or waveforms as for
        `clip_bytes`.
      rate: of waveforms, in Hz.

    Returns:
      `image`, `text` or `audio`; and encoded bytes [n].

    Raises:
      UserError: none there, one that is missing or of no kind, or rows of few numbers.
    """
    shape, items, longest = "", list[bytes](), 0
    for number, value in enumerate(values):
        shape = shape or shape_of_value(value, number)
        items.append(encoded_value(value, number, shape, rate))
        longest = max(longest, len(value)) if shape == "audio" else 0
    if 0 < longest < _SHORT:
        raise UserError(
            f"None of these rows of numbers is longer than {longest}: no pictures, and too short "
            "for clips.",
            "Give pictures as [h, w] or [h, w, 3]; clips of a few samples by from_waveforms.",
        )
    if not items:
        raise UserError("There are no examples.", "Give at least two of each class.")
    return (modality_of_files(items) if shape == "bytes" else shape), items


def shape_of_value(value: Any, number: int) -> str:
    """`text`, `bytes`, `audio` or `image`, by what a value is; `number` is for the message.

    Waveforms are numbers [samples] or [samples, channels] of one or two channels, pictures all
    other arrays of two axes and those of three.
    """
    if isinstance(value, (str, bytes)):
        return "text" if isinstance(value, str) else "bytes"
    array = _array(value)
    if array.dtype.kind in "biuf":
        narrow, wide = min(array.shape, default=0), max(array.shape, default=0)
        if array.ndim == 1 or (array.ndim == 2 and narrow <= 2 and wide > _LONG):
            return "audio"
        if array.ndim > 1:
            return "image"
    raise UserError(
        f"Example {number} is {_said(value)}: no text, picture or waveform.",
        "Leave it and its label out, or give a string, pixels [h, w, 3], or samples [n].",
    )


def encoded_value(value: Any, number: int, shape: str = "", rate: int = RATE) -> bytes:
    """The bytes of one value, of a shape as of `shape_of_value`, or of its own."""
    shape = shape or shape_of_value(value, number)
    if shape in ("text", "bytes") and isinstance(value, (str, bytes)):
        return value.encode("utf-8", "replace") if isinstance(value, str) else value
    if shape in ("text", "bytes") or value is None:
        one = {"text": "Text", "audio": "Clip", "image": "Image"}.get(shape, "Example")
        raise UserError(
            f"{one} {number} is {_said(value)}.", "Leave it and its label out, or mend it."
        )
    return clip_bytes(value, number, rate) if shape == "audio" else encode_png(value, number)


def _array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:  # lists of several lengths
        return np.zeros((), object)


def _said(value: Any) -> str:
    if value is None or isinstance(value, (str, bool, int, float)):
        return repr(value)[:60]
    array = _array(value)
    if array.dtype.kind in "biuf":
        return f"{array.dtype} of the shape {array.shape}"
    return f"of the type {type(value).__name__}"


def encode_png(image: Any, index: int) -> bytes:
    """A picture as PNG bytes, which lose nothing of 8 bits.

    Args:
      image: [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]; uint8, or floating in [0, 1].
      index: for the message.

    Raises:
      UserError: another shape or range.
    """
    import tensorflow as tf

    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or not image.size:
        raise UserError(
            f"Image {index} has the shape {image.shape}.", "Give [h, w], [h, w, 1] or [h, w, 3]."
        )
    if image.dtype != np.uint8:
        if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
            raise UserError(
                f"Image {index} is {image.dtype} with values outside [0, 1].",
                "Give uint8 in 0 to 255, or floating point in [0, 1].",
            )
        image = np.round(image * 255).astype(np.uint8)
    return tf.io.encode_png(image).numpy()


def clip_bytes(waveform: Any, number: int = 0, rate: int = RATE) -> bytes:
    """WAV bytes of a waveform.

    Args:
      waveform: [samples] or [samples, channels]; floating with full scale at -1 to 1, or int16.
      number: for the message.
      rate: samples a second.

    Raises:
      UserError: another shape or type, no samples, or some that are not in -1 to 1.
    """
    from tftransfer.preprocessing.audio.wav import encode_wav  # nothing of audio for pictures

    samples = _array(waveform)
    if samples.dtype == np.int16:
        samples = (samples / _SIXTEEN_BITS).astype(np.float32)
    if samples.dtype.kind != "f" or not samples.size or not np.abs(samples).max() <= 1.0:
        raise UserError(
            f"Clip {number} is {samples.dtype} of the shape {samples.shape}, and not samples in "
            "-1 to 1.",
            "Give floating point, or int16; divide larger whole numbers by their full scale.",
        )
    if samples.ndim > 2 or (samples.ndim == 2 and samples.shape[1] > samples.shape[0]):
        raise UserError(
            f"Clip {number} has the shape {samples.shape}.",
            "Give [samples] or [samples, channels].",
        )
    return encode_wav(samples, rate)
