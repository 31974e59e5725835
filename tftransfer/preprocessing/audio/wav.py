"""WAV bytes, read and written without TensorFlow."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from tftransfer.core.typing import Array

SAMPLE_RATE = 16_000  # Hz
# Codes of sample formats.
PCM = 1
FLOAT = 3
EXTENSIBLE = 0xFFFE
# Programs that write to a pipe put sizes from here up, since they do not know the end yet.
UNKNOWN_SIZE_BYTES = 0x7FFFF000
# Some programs count up to the size of a header too many as samples.
MAX_EXCESS_BYTES = 64
# RF64 and BW64 state sizes in a chunk `ds64`, since theirs have 64 bits.
SIGNATURES = (b"RIFF", b"RF64", b"BW64")
# After samples of size 0 one of these may follow; other bytes are the samples.
CHUNK_NAMES = (b"LIST", b"fact", b"bext", b"cue ", b"smpl", b"JUNK", b"id3 ", b"fmt ", b"PEAK")
MIN_RATE = 1000  # Hz
MAX_RATE = 768_000  # Hz
_OTHER_CODES = {2: "ADPCM", 6: "A-law", 7: "µ-law", 17: "IMA ADPCM", 49: "GSM", 85: "MP3"}
# Bytes of a sample to its full scale; 3 bytes are read as the upper ones of 4.
_FULL_SCALE = {1: 2.0**7, 2: 2.0**15, 3: 2.0**31, 4: 2.0**31}


@dataclass(frozen=True, kw_only=True)
class WavHeader:
    """Contents of the header of a WAV file.

    Attributes:
      code: Sample format, `PCM` or `FLOAT`.
      channels: Number of channels.
      rate: Sample rate in Hz.
      width: Bytes of one sample of one channel.
      start: Offset of the samples in bytes.
      stated: Bytes of samples that the header states.
      available: Bytes after `start`.
      remark: How the header differs from the samples, in words; "" if it does not.
    """

    code: int
    channels: int
    rate: int
    width: int
    start: int
    stated: int
    available: int
    remark: str = ""

    @property
    def frames(self) -> int:
        """Samples of each channel."""
        return min(self.stated, self.available) // (self.width * self.channels)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.frames / self.rate


def wav_header(data: bytes) -> WavHeader:
    """Returns the header of a WAV file; other chunks before the samples are skipped.

    Raises:
      ValueError: The bytes are not a WAV file, or have an unsupported sample format.
    """
    if data[:4] not in SIGNATURES or data[8:12] != b"WAVE":
        raise ValueError("no RIFF/WAVE signature")
    format_chunk, position, long_size = b"", 12, 0
    while position + 8 <= len(data):
        name, size = struct.unpack("<4sI", data[position : position + 8])
        if name == b"data":
            sizes = _sizes(data, position + 8, size, long_size)
            return _header(format_chunk, position + 8, *sizes)
        if name == b"ds64" and position + 24 <= len(data):
            (long_size,) = struct.unpack("<Q", data[position + 16 : position + 24])
        if name == b"fmt ":
            format_chunk = data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2  # chunks are padded to even sizes
    raise ValueError("truncated before its samples")


def _sizes(data: bytes, start: int, size: int, long_size: int) -> tuple[int, int, str]:
    """Returns the bytes of samples that a header states and that there are, and a remark.

    A recorder that was stopped leaves 0 or an unknown size, some programs count a few bytes too
    many. `decode` has the same rules as TensorFlow operations.
    """
    available = len(data) - start
    if size >= UNKNOWN_SIZE_BYTES and long_size:
        return long_size, available, ""
    unknown = size >= UNKNOWN_SIZE_BYTES
    if unknown or (size == 0 and available and data[start : start + 4] not in CHUNK_NAMES):
        return available, available, "whose size is not stated, read to the end of the file"
    excess = size - available
    if 0 < excess <= MAX_EXCESS_BYTES and 20 * excess <= size:
        return available, available, "with slightly fewer samples than stated"
    return size, available, ""


def _header(format_chunk: bytes, start: int, stated: int, available: int, remark: str) -> WavHeader:
    if len(format_chunk) < 16:
        raise ValueError("no format chunk before its samples")
    code, channels, rate, _, block, _ = struct.unpack("<HHIIHH", format_chunk[:16])
    if code == EXTENSIBLE and len(format_chunk) >= 26:
        (code,) = struct.unpack("<H", format_chunk[24:26])
    width = block // channels if channels else 0
    if code not in (PCM, FLOAT):
        raise ValueError(f"samples encoded as {_OTHER_CODES.get(code, f'code {code}')}")
    if width not in (_FULL_SCALE if code == PCM else (4, 8)) or block % channels:
        raise ValueError(f"{channels} channels in blocks of {block} bytes")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"a sample rate of {rate:,} Hz")
    return WavHeader(
        code=code,
        channels=channels,
        rate=rate,
        width=width,
        start=start,
        stated=stated,
        available=available,
        remark=remark,
    )


def wav_samples(data: bytes) -> Array:
    """Returns the samples of a WAV file, float32 [frames, channels] from -1 to 1."""
    header = wav_header(data)
    count = header.frames * header.channels
    raw = data[header.start : header.start + count * header.width]
    if header.code == FLOAT:
        samples = np.frombuffer(raw, f"<f{header.width}").astype(np.float32)
    elif header.width == 3:
        padded = np.zeros((count, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(raw, np.uint8).reshape(count, 3)
        samples = padded.view("<i4")[:, 0].astype(np.float32) / np.float32(_FULL_SCALE[3])
    elif header.width == 1:  # the only unsigned width
        samples = np.frombuffer(raw, "u1").astype(np.float32) - 128
        samples /= np.float32(_FULL_SCALE[1])
    else:
        samples = np.frombuffer(raw, f"<i{header.width}").astype(np.float32)
        samples /= np.float32(_FULL_SCALE[header.width])
    return samples.reshape(-1, header.channels)


def encode_wav(samples: Array, rate: int = SAMPLE_RATE) -> bytes:
    """Returns samples as WAV with 32-bit floating point, which loses nothing.

    Args:
      samples: Samples [n] or [n, channels], float, from -1 to 1.
      rate: Sample rate in Hz.
    """
    numbers = np.ascontiguousarray(samples, "<f4")
    channels = 1 if numbers.ndim == 1 else numbers.shape[1]
    block = 4 * channels
    format_chunk = struct.pack("<HHIIHHH", FLOAT, channels, rate, rate * block, block, 32, 0)
    chunks = b"fmt " + struct.pack("<I", len(format_chunk)) + format_chunk
    chunks += b"data" + struct.pack("<I", numbers.nbytes) + numbers.tobytes()
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
