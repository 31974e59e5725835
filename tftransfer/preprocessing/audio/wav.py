"""The layout of WAV bytes, read and written without TensorFlow."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

RATE = 16_000
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
# Sizes that writers put there who do not know the end yet.
UNKNOWN_SIZE = 0x7FFFF000
_OTHER_CODES = {2: "ADPCM", 6: "A-law", 7: "µ-law", 17: "IMA ADPCM", 49: "GSM", 85: "MP3"}
_FULL_SCALE = {1: 2.0**7, 2: 2.0**15, 3: 2.0**31, 4: 2.0**31}


@dataclass(frozen=True, kw_only=True)
class WavHeader:
    """What the chunks of a WAV file say.

    Attributes:
      code: `PCM` or `FLOAT`.
      channels: number of them.
      rate: samples a second, of each channel.
      width: bytes of one number.
      start: of the samples, in bytes from the beginning.
      promised: bytes of samples by the header.
      there: bytes after `start`.
    """

    code: int
    channels: int
    rate: int
    width: int
    start: int
    promised: int
    there: int

    @property
    def frames(self) -> int:
        """Samples of each channel."""
        return min(self.promised, self.there) // (self.width * self.channels)

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return self.frames / self.rate


def wav_header(data: bytes) -> WavHeader:
    """Walks the chunks, of which there may be odd ones before the samples.

    Raises:
      ValueError: no WAV file, or of an encoding that is not understood; says which.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("no RIFF/WAVE signature")
    form, at = b"", 12
    while at + 8 <= len(data):
        name, size = struct.unpack("<4sI", data[at : at + 8])
        if name == b"data":
            return _described(form, at + 8, size, len(data) - at - 8)
        if name == b"fmt ":
            form = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise ValueError("cut off before its samples begin")


def _described(form: bytes, start: int, size: int, there: int) -> WavHeader:
    if len(form) < 16:
        raise ValueError("no format chunk before its samples")
    code, channels, rate, _, block, _ = struct.unpack("<HHIIHH", form[:16])
    if code == EXTENSIBLE and len(form) >= 26:
        (code,) = struct.unpack("<H", form[24:26])
    width = block // channels if channels else 0
    if code not in (PCM, FLOAT):
        raise ValueError(f"samples encoded as {_OTHER_CODES.get(code, f'code {code}')}")
    if width not in (_FULL_SCALE if code == PCM else (4, 8)) or block % channels:
        raise ValueError(f"{channels} channels in blocks of {block} bytes")
    if not 1000 <= rate <= 768_000:
        raise ValueError(f"a rate of {rate:,} Hz")
    promised = there if size >= UNKNOWN_SIZE else size
    return WavHeader(
        code=code,
        channels=channels,
        rate=rate,
        width=width,
        start=start,
        promised=promised,
        there=there,
    )


def wav_samples(data: bytes) -> np.ndarray:
    """Samples as float32 [frames, channels], full scale of whole numbers being -1 to 1."""
    header = wav_header(data)
    count = header.frames * header.channels
    raw = data[header.start : header.start + count * header.width]
    if header.code == FLOAT:
        numbers = np.frombuffer(raw, f"<f{header.width}").astype(np.float32)
    elif header.width == 3:
        padded = np.zeros((count, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(raw, np.uint8).reshape(count, 3)
        numbers = padded.view("<i4")[:, 0].astype(np.float32) / np.float32(_FULL_SCALE[3])
    else:
        kind = "u1" if header.width == 1 else f"<i{header.width}"
        centred = np.frombuffer(raw, kind).astype(np.float32) - (128 if header.width == 1 else 0)
        numbers = centred / np.float32(_FULL_SCALE[header.width])
    return numbers.reshape(-1, header.channels)


def encode_wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    """WAV bytes of 32-bit floating point, which lose nothing.

    Args:
      samples: float [n] or [n, channels], full scale -1 to 1.
      rate: samples a second.
    """
    numbers = np.ascontiguousarray(samples, "<f4")
    channels = 1 if numbers.ndim == 1 else numbers.shape[1]
    block = 4 * channels
    form = struct.pack("<HHIIHHH", FLOAT, channels, rate, rate * block, block, 32, 0)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", numbers.nbytes) + numbers.tobytes()
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
