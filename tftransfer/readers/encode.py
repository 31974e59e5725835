"""Encoding of examples in memory: images to PNG, waveforms to WAV, texts to UTF-8."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tftransfer.core.typing import Array, ArrayLike
from tftransfer.data.examples import Quarantined
from tftransfer.data.file_types import modality_of_files
from tftransfer.data.table_paths import FoundFiles
from tftransfer.readers.frames import SAMPLE_RATE
from tftransfer.readers.listed_files import listed_files, text_warnings
from tftransfer.readers.pixels import Pixels, encode_png
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError

_INT16_FULL_SCALE = 2.0**15
# Arrays [n, 1] or [n, 2] longer than this are clips: an image is rarely that narrow and long.
_MIN_NARROW_CLIP_SAMPLES = 256
# Shorter rows of numbers are more likely the pixels of an image or the rows of a table.
_MIN_CLIP_SAMPLES = 800
# Smaller squares of numbers are no flattened images.
_MIN_SIDE = 8
_MAX_PIXELS = 8000
_NOUNS = {"text": "Text", "audio": "Clip", "image": "Image"}


@dataclass(frozen=True, kw_only=True)
class EncodedValues:
    """Values as encoded bytes, or as the paths of the files that they name.

    Attributes:
      modality: `image`, `text` or `audio`.
      items: Encoded bytes or paths, [m].
      kept: Index of each item among the values, int64 [m].
      quarantine: Files that do not exist.
      warnings: How the values were read.
    """

    modality: str
    items: Sequence[str | bytes]
    kept: Array
    quarantine: tuple[Quarantined, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the items in messages: the paths of files, else `#` and their index."""
        pairs = zip(self.kept.tolist(), self.items)
        return [printable(item) if isinstance(item, str) else f"#{k}" for k, item in pairs]


def encode_values(values: Iterable[ArrayLike], rate: int = SAMPLE_RATE) -> EncodedValues:
    """Returns the modality of some values, which the first one decides, and the bytes of each.

    Args:
      values: Texts, bytes (of texts or files), names of files, images as in `encode_png`, or
        waveforms as in `encode_clip`. Images of other types than uint8 have a range up to 1 or to
        255, the same for all.
      rate: Sample rate of waveforms in Hz.

    Raises:
      UserError: There are no values, one is missing or has no modality, or all are short rows of
        numbers.
    """
    iterator = iter(values)
    start = list(itertools.islice(iterator, 1))
    first, values = start[0] if start else None, itertools.chain(start, iterator)
    if isinstance(first, (str, bytes, os.PathLike)):
        values = list(values)
        files = listed_files(values)
        if files:
            return _files(files)
        warnings = text_warnings(values)
    else:
        warnings = ()
    kind, items, longest, pixels = "", list[bytes](), 0, Pixels()
    for number, value in enumerate(values):
        kind = kind or kind_of_value(value, number)
        if kind == "image":
            items.append(pixels.encode(value, number))
        else:
            items.append(encode_value(value, number, kind, rate))
        longest = max(longest, np.shape(value)[0]) if kind == "audio" else 0
    if 0 < longest < _MIN_CLIP_SAMPLES:
        raise UserError(
            f"None of these rows of numbers is longer than {longest}: they are not images, and "
            "too short for clips.",
            "Give images as [h, w] or [h, w, 3]; for very short clips use from_waveforms.",
        )
    if not items:
        raise UserError("There are no examples.", "Give at least two of each class.")
    int16 = kind == "audio" and getattr(first, "dtype", None) == np.int16
    return EncodedValues(
        modality=modality_of_files(items) if kind == "bytes" else kind,
        items=pixels.finish(items),
        kept=np.arange(len(items)),
        warnings=(
            *warnings,
            *pixels.warnings,
            *(["int16 samples are divided by 32,768"] if int16 else []),
        ),
    )


def _files(files: FoundFiles) -> EncodedValues:
    items = list(files.paths.values())
    return EncodedValues(
        modality=modality_of_files(items),
        items=items,
        kept=np.array(list(files.paths), np.int64),
        quarantine=tuple(
            Quarantined(name=f"#{number}", reason=reason)
            for number, reason in files.problems.items()
        ),
        warnings=files.warnings,
    )


def kind_of_value(value: ArrayLike | None, number: int) -> str:
    """Returns the kind of a value by its type and shape.

    Waveforms are [samples] or [samples, channels] with one or two channels; images are all other
    arrays with two axes and those with three.

    Args:
      value: Value to encode.
      number: Index of the value, for messages.

    Returns:
      `text`, `bytes`, `audio` or `image`.
    """
    if isinstance(value, (str, bytes)):
        return "text" if isinstance(value, str) else "bytes"
    array = _array(value)
    if array.dtype.kind in "biuf":
        narrow, wide = min(array.shape, default=0), max(array.shape, default=0)
        two_channels = array.ndim == 2 and narrow <= 2 and wide > _MIN_NARROW_CLIP_SAMPLES
        if array.ndim == 1 or two_channels:
            return "audio"
        if array.ndim > 1:
            return "image"
    if array.ndim and array.size and isinstance(array.flat[0], (str, bytes)):
        raise UserError(
            f"Example {number} is a list of strings, such as tokens.",
            "Give one string for each: ' '.join(tokens), or in tf.data map "
            "tf.strings.reduce_join(tokens, -1, separator=' ').",
        )
    if not array.ndim and array.dtype.kind in "biuf" and np.isfinite(array):
        raise UserError(
            f"Example {number} is {value}, not a text, image or waveform.",
            "Give (inputs, labels) in this order, and each input as a string, pixels or samples.",
        )
    raise UserError(
        f"Example {number} is {_description(value)}, not a text, image or waveform.",
        "Remove it and its label, or give a string, pixels [h, w, 3], or samples [n].",
    )


def encode_value(
    value: ArrayLike | None, number: int, kind: str = "", rate: int = SAMPLE_RATE
) -> bytes:
    """Returns the encoded bytes of one value.

    Args:
      value: Value to encode.
      number: Index of the value, for messages.
      kind: Kind of the value as `kind_of_value` returns it; "" infers it.
      rate: Sample rate of waveforms in Hz.

    Raises:
      UserError: The value is missing or of another kind.
    """
    kind = kind or kind_of_value(value, number)
    if kind in ("text", "bytes") and isinstance(value, (str, bytes)):
        return value.encode("utf-8", "replace") if isinstance(value, str) else value
    if kind in ("text", "bytes") or value is None:
        raise UserError(
            f"{_NOUNS.get(kind, 'Example')} {number} is {_description(value)}.",
            "Fix it, or remove it and its label.",
        )
    return encode_clip(value, number, rate) if kind == "audio" else encode_png(value, number)


def encode_clip(waveform: ArrayLike, number: int = 0, rate: int = SAMPLE_RATE) -> bytes:
    """Returns a waveform as WAV.

    Args:
      waveform: Samples [n] or [n, channels]; floating point from -1 to 1, or int16.
      number: Index of the clip, for messages.
      rate: Sample rate in Hz.

    Raises:
      UserError: The waveform has another shape or type, no samples, or samples outside -1 to 1.
    """
    from tftransfer.preprocessing.audio.wav import encode_wav  # not imported for images

    samples = _array(waveform)
    if samples.dtype == np.int16:
        samples = (samples / _INT16_FULL_SCALE).astype(np.float32)
    if samples.dtype.kind in "iu" and samples.ndim == 1 and _side(samples.size):
        side = _side(samples.size)
        raise UserError(
            f"Example {number} is {samples.size} whole numbers, perhaps the pixels of an image.",
            f"Give images as inputs.reshape(-1, {side}, {side}), or clips as floating point from "
            "-1 to 1 or int16.",
        )
    if samples.dtype.kind != "f" or not samples.size or not np.abs(samples).max() <= 1.0:
        raise UserError(
            f"Clip {number} is {samples.dtype} of shape {samples.shape}, not samples from -1 to 1.",
            "Give floating point or int16; divide larger whole numbers by their full scale.",
        )
    if samples.ndim > 2 or (samples.ndim == 2 and samples.shape[1] > samples.shape[0]):
        raise UserError(
            f"Clip {number} has the shape {samples.shape}.",
            "Give [samples] or [samples, channels].",
        )
    return encode_wav(samples, rate)


def _side(size: int) -> int:
    """Returns the side of a square of pixels, or 0 if the number of pixels is no square."""
    side = round(size**0.5)
    plausible = side >= _MIN_SIDE and size < _MAX_PIXELS
    return side if side * side == size and plausible else 0


def _array(value: ArrayLike | None) -> Array:
    try:
        return np.asarray(value)
    except ValueError:  # lists of several lengths
        return np.zeros((), object)


def _description(value: ArrayLike | None) -> str:
    if value is None or isinstance(value, (str, bool, int, float)):
        return repr(value)[:60]
    array = _array(value)
    if array.dtype.kind in "biuf":
        return f"{array.dtype} of shape {array.shape}"
    return f"of type {type(value).__name__}"
