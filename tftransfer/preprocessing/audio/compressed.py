"""FLAC and Ogg, which the package soundfile decodes; networks take WAV alone."""

from __future__ import annotations

import functools
import importlib.util
import io
from typing import Any

from tftransfer.preprocessing.audio.wav import encode_wav
from tftransfer.utils.errors import UserError

MISSING = "pip install 'tftransfer[audio]'"


@functools.lru_cache(maxsize=1)
def readable() -> bool:
    """Whether soundfile is there."""
    return importlib.util.find_spec("soundfile") is not None


def shape_of(data: bytes) -> tuple[int, int, int]:
    """Frames, channels and rate, without decoding all of it.

    Raises:
      ValueError: the bytes are damaged.
    """
    soundfile = _soundfile()
    try:
        found = soundfile.info(io.BytesIO(data))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(_brief(error)) from None
    return found.frames, found.channels, found.samplerate


def to_wav(data: bytes) -> bytes:
    """FLAC or Ogg as WAV bytes of 32-bit floating point.

    Raises:
      ValueError: the bytes are damaged.
      UserError: soundfile is not installed.
    """
    soundfile = _soundfile()
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(_brief(error)) from None
    return encode_wav(samples, rate)


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError:
        raise UserError("FLAC and Ogg need the package soundfile.", MISSING) from None
    return soundfile


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
