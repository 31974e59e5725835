"""What a file must satisfy to be a clip, and what is worth saying: a function each, in lists.

As for pictures: a rule returns a reason to leave the file out, or None; the content
decides, never the extension; a note leaves nothing out.
"""

from __future__ import annotations

import numpy as np

from tftransfer.preprocessing.audio import compressed
from tftransfer.preprocessing.audio.wav import FLOAT, RATE, wav_header, wav_samples
from tftransfer.preprocessing.base import FileCheck, FileWarning

MAX_SAMPLES = 200_000_000
_COMPRESSED = {"FLAC": b"fLaC", "Ogg": b"OggS"}
_NEIGHBOURS = (
    (b"ID3", "MP3"),
    (b"RIFX", "a big-endian WAV file"),
    (b"RF64", "an RF64 file"),
    (b"FORM", "an AIFF file"),
    (b"caff", "a CAF file"),
    (b"#!AMR", "AMR"),
    (b".snd", "an AU file"),
    (b"<", "HTML or XML text"),
    (b"PK\x03\x04", "a zip archive"),
    (b"%PDF", "a PDF file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)
# Of what is read of a clip, in seconds: the least, and what is long; and how much longer the
# longest may be than most.
_SHORTEST, LONG, _ROOM = 0.975, 10.0, 1.3
LENGTH_TOLERANCE_SECONDS = 0.05  # of a difference in length, in seconds: so little is not cut
_SILENCE, _FULL, _CLIPPED, _BEYOND = 1e-4, 0.999, 1e-3, 2.0


def audio_format(data: bytes) -> str | None:
    """WAV, FLAC or Ogg by the first bytes; None for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "WAV"
    return next((name for name, start in _COMPRESSED.items() if data.startswith(start)), None)


def known_format(data: bytes) -> str | None:
    """Files that are no sound of a known format are left out, saying what they are."""
    if not data:
        return "empty, 0 bytes"
    if audio_format(data):
        return None
    for signature, what in _NEIGHBOURS:
        if data.startswith(signature):
            return f"not WAV, FLAC or Ogg: {what}"
    if data[0] == 0xFF and data[1:2] and data[1] & 0xE0 == 0xE0 and data[1] & 0x06:
        return "not WAV, FLAC or Ogg: MP3"
    if data[4:8] == b"ftyp":
        return "not WAV, FLAC or Ogg: MP4 or M4A"
    return "not WAV, FLAC or Ogg by its first bytes"


def decodable(data: bytes) -> str | None:
    """WAV of an unknown encoding, and what soundfile would have to decode where it is missing."""
    kind = audio_format(data)
    try:
        if kind == "WAV":
            wav_header(data)
        elif not compressed.readable():
            return f"{kind} needs soundfile: {compressed.MISSING}"
        else:
            compressed.shape_of(data)
    except ValueError as error:
        return f"{kind} that cannot be read: {error}"
    return None


def whole(data: bytes) -> str | None:
    """Files that end before their header says are left out."""
    if audio_format(data) != "WAV":
        return None
    header = wav_header(data)
    if header.there >= header.promised:
        return None
    return f"cut off: {header.there:,} of {header.promised:,} bytes of samples are there"


def has_samples(data: bytes) -> str | None:
    """A header alone is no example, nor are hours of sound."""
    frames, channels, _ = _shape(data)
    if not frames:
        return "no samples"
    if frames * channels > MAX_SAMPLES:
        return f"{frames * channels:,} samples are more than the cap of {MAX_SAMPLES:,}"
    return None


def finite(data: bytes) -> str | None:
    """One NaN would spoil every figure of its batch."""
    if audio_format(data) != "WAV" or wav_header(data).code != FLOAT:
        return None
    return None if np.isfinite(wav_samples(data)).all() else "samples that are NaN or infinite"


CHECKS: tuple[FileCheck, ...] = (known_format, decodable, whole, has_samples, finite)


def decode_error(data: bytes) -> str | None:
    """A reason not to use FLAC or Ogg: decoding fails, though the first bytes are right."""
    if audio_format(data) == "WAV":
        return None
    try:
        compressed.to_wav(data)
    except ValueError as error:
        return f"cannot be decoded: {error}"
    return None


def seconds(data: bytes) -> float:
    """How long a clip sounds, of bytes that satisfy the rules."""
    frames, _, rate = _shape(data)
    return frames / rate


def length_of(measures: np.ndarray, longest: float = LONG) -> tuple[float, str]:
    """How much of each clip is read: what holds 95 % of short ones, or 99 % of those above 10 s.

    Args:
      measures: seconds of the clips, [n].
      longest: that the network hears by default.
    """
    if not len(measures):
        return _SHORTEST, f"length {_SHORTEST:g} s: there are no clips to tell"
    wanted = _holding(measures, float(np.quantile(measures, 0.95)))
    if wanted > LONG:
        wanted = max(LONG, _holding(measures, float(np.quantile(measures, 0.99, method="lower"))))
    length = float(np.clip(np.ceil(10 * wanted - 1e-3) / 10, _SHORTEST, longest))
    said = f"length {length:g} s: the clips are of {measures.min():.2g} to {measures.max():.3g} s"
    if longer := int((measures > length + LENGTH_TOLERANCE_SECONDS).sum()):
        said += f"; {longer:,} longer clips are cut to their middle"
        said += f", as this network hears {longest:g} s by default" * (length == longest)
    if length > LONG:
        said += (
            f"; that takes {length / LONG:.2g} times the time and memory of {LONG:g} s: "
            f"--length={LONG:g} would hear their middle alone"
        )
    return length, said


def _holding(measures: np.ndarray, most: float) -> float:
    """The longest clip, unless it is much longer than most."""
    longest = float(measures.max())
    return longest if longest <= _ROOM * most else most


def several_channels(data: bytes) -> str | None:
    """Channels are averaged."""
    channels = _shape(data)[1]
    return f"of {channels} channels, mixed into one" if channels > 1 else None


def other_rate(data: bytes) -> str | None:
    """Networks hear 16 kHz."""
    rate = _shape(data)[2]
    return None if rate == RATE else f"at {rate:,} Hz, resampled to {RATE:,} Hz"


def loudness(data: bytes) -> str | None:
    """Silence holds nothing to learn, and clipping distorts; networks hear the channels' mean."""
    samples = _samples(data)
    level = np.abs(samples)
    if level.max() < _SILENCE:
        return "silent"
    if np.abs(samples.mean(axis=1)).max() < _SILENCE:
        return "silent once mixed, as the channels cancel out"
    if level.max() > _BEYOND:
        return "out of range, with samples beyond twice full scale, which is -1 to 1"
    clipped = (level >= _FULL).mean() > _CLIPPED
    return "clipped, with over 0.1 % of the samples at full scale" if clipped else None


def _samples(data: bytes) -> np.ndarray:
    """float32 [frames, channels], of bytes that satisfy the rules and can be decoded."""
    return wav_samples(data if audio_format(data) == "WAV" else compressed.to_wav(data))


WARNINGS: tuple[FileWarning, ...] = (several_channels, other_rate, loudness)


def _shape(data: bytes) -> tuple[int, int, int]:
    """Frames, channels and rate."""
    if audio_format(data) != "WAV":
        return compressed.shape_of(data)
    header = wav_header(data)
    return header.frames, header.channels, header.rate
