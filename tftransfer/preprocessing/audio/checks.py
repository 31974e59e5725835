"""Checks and warnings of audio files, one function each; see `tftransfer.preprocessing.image`."""

from __future__ import annotations

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.preprocessing.audio import compressed
from tftransfer.preprocessing.audio.wav import (
    FLOAT,
    SAMPLE_RATE,
    SIGNATURES,
    wav_header,
    wav_samples,
)
from tftransfer.preprocessing.base import FileCheck, FileWarning
from tftransfer.preprocessing.formats import unread_format

MAX_SAMPLES = 200_000_000  # over all channels
_COMPRESSED = {"FLAC": b"fLaC", "Ogg": b"OggS"}
# One patch of YAMNet, the shortest input of all networks.
_MIN_LENGTH_SECONDS = 0.975
# Longer inputs take noticeably more time and memory.
LONG_SECONDS = 10.0
# Lengths of clips that should be equal differ by so much.
LENGTH_TOLERANCE_SECONDS = 0.05
# Lengths are rounded up to tenths.
_STEPS_PER_SECOND = 10
# All clips are read whole if the longest is at most this times as long as most of them.
_MAX_OUTLIER_RATIO = 1.3
# Of full scale.
_SILENCE_LEVEL = 1e-4
_CLIPPING_LEVEL = 0.999
_MAX_LEVEL = 2.0
_MAX_CLIPPED_FRACTION = 1e-3


def audio_format(data: bytes) -> str | None:
    """Returns WAV, FLAC or Ogg by the first bytes; None for anything else."""
    if data[:4] in SIGNATURES and data[8:12] == b"WAVE":
        return "WAV"
    return next((name for name, start in _COMPRESSED.items() if data.startswith(start)), None)


def known_format(data: bytes) -> str | None:
    """Checks that the format is known."""
    if not data:
        return "empty, 0 bytes"
    if audio_format(data):
        return None
    found = unread_format(data)
    if found and found.modality == "audio":
        return f"not WAV, FLAC or Ogg but {found.name}: {found.remedy}"
    return f"not WAV, FLAC or Ogg{f': {found.name}' if found else ' by its first bytes'}"


def supported_encoding(data: bytes) -> str | None:
    """Checks the sample format of WAV, and that soundfile can read FLAC and Ogg."""
    name = audio_format(data)
    try:
        if name == "WAV":
            wav_header(data)
        elif not compressed.is_available():
            return f"{name} needs soundfile: {compressed.INSTALL}"
        else:
            compressed.read_shape(data)
    except ValueError as error:
        return f"{name} that cannot be read: {error}"
    return None


def complete(data: bytes) -> str | None:
    """Checks that all samples that a WAV header states are in the file."""
    if audio_format(data) != "WAV":
        return None
    header = wav_header(data)
    if header.available >= header.stated:
        return None
    return f"truncated: {header.available:,} of {header.stated:,} bytes of samples"


def usable_length(data: bytes) -> str | None:
    """Checks that there are samples, and at most `MAX_SAMPLES`."""
    frames, channels, _ = _shape(data)
    if not frames:
        return "no samples"
    if frames * channels > MAX_SAMPLES:
        return f"{frames * channels:,} samples are more than the limit of {MAX_SAMPLES:,}"
    return None


def finite(data: bytes) -> str | None:
    """Checks for NaN, one of which would make the loss of its batch NaN."""
    if audio_format(data) != "WAV" or wav_header(data).code != FLOAT:
        return None
    return None if np.isfinite(wav_samples(data)).all() else "samples that are NaN or infinite"


CHECKS: tuple[FileCheck, ...] = (known_format, supported_encoding, complete, usable_length, finite)


def decode_error(data: bytes) -> str | None:
    """Checks FLAC and Ogg by decoding them; WAV needs no decoding."""
    if audio_format(data) == "WAV":
        return None
    try:
        compressed.to_wav(data)
    except ValueError as error:
        return f"cannot be decoded: {error}"
    return None


def duration(data: bytes) -> float:
    """Returns the duration of a usable clip in seconds."""
    frames, _, rate = _shape(data)
    return frames / rate


def auto_length(measures: Array, longest: float = LONG_SECONDS) -> tuple[float, str]:
    """Chooses how many seconds of each clip are used: enough for 95 % of the clips.

    If that is more than 10 s, the length is enough for 99 % of the clips.

    Args:
      measures: Durations of the training clips in seconds, [n].
      longest: Largest default length of the network in seconds.

    Returns:
      The length in seconds, and the reason.
    """
    if not len(measures):
        return _MIN_LENGTH_SECONDS, "there are no clips"
    wanted = _without_outliers(measures, float(np.quantile(measures, 0.95)))
    if wanted > LONG_SECONDS:
        most = float(np.quantile(measures, 0.99, method="lower"))
        wanted = max(LONG_SECONDS, _without_outliers(measures, most))
    rounded = np.ceil(_STEPS_PER_SECOND * wanted - 1e-3) / _STEPS_PER_SECOND
    length = float(np.clip(rounded, _MIN_LENGTH_SECONDS, longest))
    text = f"the clips have {measures.min():.2g} to {measures.max():.3g} s"
    longer = int((measures > length + LENGTH_TOLERANCE_SECONDS).sum())
    if longer:
        text += f"; the middle of {longer:,} longer clip{'s' * (longer > 1)} is used"
        text += f", as this network uses {longest:g} s by default" * (length == longest)
    if length > LONG_SECONDS:
        text += (
            f"; that takes {length / LONG_SECONDS:.2g} times the time and memory of "
            f"{LONG_SECONDS:g} s: --length={LONG_SECONDS:g} uses the middle of each clip only"
        )
    return length, text


def _without_outliers(measures: Array, most: float) -> float:
    """Returns the longest duration, or `most` if the longest is much longer."""
    longest = float(measures.max())
    return longest if longest <= _MAX_OUTLIER_RATIO * most else most


def several_channels(data: bytes) -> str | None:
    """Warns of several channels, which are averaged."""
    channels = _shape(data)[1]
    return f"with {channels} channels, which are averaged" if channels > 1 else None


def other_rate(data: bytes) -> str | None:
    """Warns of other sample rates than 16 kHz."""
    rate = _shape(data)[2]
    return None if rate == SAMPLE_RATE else f"at {rate:,} Hz, resampled to {SAMPLE_RATE:,} Hz"


def loudness(data: bytes) -> str | None:
    """Warns of silence, also of the mean of the channels, and of clipping."""
    samples = wav_samples(data if audio_format(data) == "WAV" else compressed.to_wav(data))
    level = np.abs(samples)
    if level.max() < _SILENCE_LEVEL:
        return "silent"
    if np.abs(samples.mean(axis=1)).max() < _SILENCE_LEVEL:
        return "silent after averaging, as the channels cancel out"
    if level.max() > _MAX_LEVEL:
        return "with samples beyond twice full scale, which is -1 to 1"
    clipped = (level >= _CLIPPING_LEVEL).mean() > _MAX_CLIPPED_FRACTION
    return "clipped: over 0.1 % of the samples are at full scale" if clipped else None


def unfinished(data: bytes) -> str | None:
    """Warns of headers that do not state the size of the samples."""
    return (wav_header(data).remark or None) if audio_format(data) == "WAV" else None


WARNINGS: tuple[FileWarning, ...] = (several_channels, other_rate, loudness, unfinished)


def _shape(data: bytes) -> tuple[int, int, int]:
    """Returns frames, channels and sample rate in Hz."""
    if audio_format(data) != "WAV":
        return compressed.read_shape(data)
    header = wav_header(data)
    return header.frames, header.channels, header.rate
