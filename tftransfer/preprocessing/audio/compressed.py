"""FLAC and Ogg, decoded by the package soundfile to WAV, the only format that networks read."""

from __future__ import annotations

import functools
import importlib.util
import io
from types import ModuleType

from tftransfer.preprocessing.audio.wav import encode_wav
from tftransfer.utils.errors import UserError

INSTALL = "pip install 'tftransfer[audio]'"
_MAX_REASON_CHARACTERS = 160


@functools.lru_cache(maxsize=1)
def is_available() -> bool:
    """Returns whether soundfile is installed."""
    return importlib.util.find_spec("soundfile") is not None


def read_shape(data: bytes) -> tuple[int, int, int]:
    """Returns the frames, channels and sample rate in Hz, without decoding everything.

    Raises:
      ValueError: The bytes are damaged.
    """
    soundfile = _soundfile()
    try:
        found = soundfile.info(io.BytesIO(data))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(_shortened(error)) from None
    return found.frames, found.channels, found.samplerate


def to_wav(data: bytes) -> bytes:
    """Returns FLAC or Ogg as WAV with 32-bit floating point samples.

    Raises:
      ValueError: The bytes are damaged.
      UserError: soundfile is not installed.
    """
    soundfile = _soundfile()
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(_shortened(error)) from None
    return encode_wav(samples, rate)


def _soundfile() -> ModuleType:
    try:
        import soundfile
    except ImportError:
        raise UserError("FLAC and Ogg need the package soundfile.", INSTALL) from None
    return soundfile


def _shortened(error: Exception) -> str:
    return " ".join(str(error).split())[:_MAX_REASON_CHARACTERS]
