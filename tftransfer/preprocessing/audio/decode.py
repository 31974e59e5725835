"""WAV bytes to samples at 16 kHz, in TensorFlow operations: the same in training and serving.

`tf.audio.decode_wav` reads 16-bit PCM only, so the chunks are parsed in the graph.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tftransfer.core.typing import Tensor
from tftransfer.preprocessing.audio.wav import (
    CHUNK_NAMES,
    EXTENSIBLE,
    FLOAT,
    MAX_EXCESS_BYTES,
    MAX_RATE,
    MIN_RATE,
    PCM,
    SAMPLE_RATE,
    SIGNATURES,
    UNKNOWN_SIZE_BYTES,
)

# Zero crossings of the interpolation kernel on each side: more make the transition band narrower.
_ZERO_CROSSINGS = 100.0
# Shape of the Kaiser window, for 100 dB of attenuation in the stop band.
_KAISER_BETA = 10.0
# Middle of the transition band, as a fraction of the lower Nyquist frequency. All mel bands, which
# reach 7,500 of 8,000 Hz, are below it.
_BAND = 0.97
RESAMPLER_KEY = f"{_ZERO_CROSSINGS:g} {_KAISER_BETA:g} {_BAND:g}"
# Other rates are rounded to a multiple, which bounds the size of the filter bank.
_RATE_STEP = 25  # Hz
# Decoded around the middle of a clip, for the interpolation kernel.
_MARGIN_MILLISECONDS = 30
# Offset and size in bytes of the fields of a format chunk.
_CODE = (0, 2)
_CHANNELS = (2, 2)
_RATE = (4, 4)
_BLOCK = (12, 2)
_EXTENDED_CODE_OFFSET = 24


def decode_wav(data: Tensor, seconds: float = 0.0) -> tuple[Tensor, Tensor]:
    """Decodes WAV bytes to samples, averaged over the channels.

    Args:
      data: Encoded bytes, a scalar string tensor: PCM of 8, 16, 24 or 32 bits, or floating point of
        32 or 64 bits; plain or WAVE_FORMAT_EXTENSIBLE. Other chunks are skipped.
      seconds: Only the middle of a longer clip is decoded, of this duration in seconds; 0 decodes
        all.

    Returns:
      Samples, float32 [n] from -1 to 1; and the sample rate in Hz, an int64 scalar.

    Raises:
      tf.errors.InvalidArgumentError: When run, for bytes that are not such a file, are truncated,
        or have a sample that is NaN or infinite.
    """
    chunk, start, size, long_size = _find_chunks(data)
    available = _length(data) - start
    size = _true_size(data, start, size, long_size)
    fields = (_CODE, _CHANNELS, _RATE, _BLOCK)
    code, channels, rate, block = (_number(data, chunk + at, count) for at, count in fields)
    extended = tf.minimum(chunk + _EXTENDED_CODE_OFFSET, _length(data) - 2)
    code = tf.where(tf.equal(code, EXTENSIBLE), _number(data, extended, 2), code)
    width = block // tf.maximum(channels, 1)
    known = tf.equal(code, PCM) & (width <= 4) | tf.equal(code, FLOAT) & (width % 4 < 1)
    even = tf.equal(width * channels, block) & (width > 0) & (width <= 8)
    checks = (
        ("samples of an unknown encoding", known & even),
        ("an impossible sample rate", (rate >= MIN_RATE) & (rate <= MAX_RATE)),
        ("truncated samples", (size <= available) & (size >= block)),
    )
    with tf.control_dependencies([tf.debugging.Assert(ok, [text]) for text, ok in checks]):
        frames = size // block
        count = frames
        if seconds:
            milliseconds = math.ceil(seconds * 1000) + _MARGIN_MILLISECONDS
            count = tf.minimum(frames, tf.constant(milliseconds, tf.int64) * rate // 1000)
        first = (frames - count) // 2
        # Integers are finite. All floating point samples are read, to check each of them.
        read = tf.where(tf.equal(code, FLOAT), frames, count)
        skipped = tf.where(tf.equal(code, FLOAT), tf.constant(0, tf.int64), first)
        raw = tf.strings.substr(data, start + skipped * block, read * block)
    branch = tf.where(tf.equal(code, PCM), width - 1, 3 + width // 4)
    readers = [_pcm8, _pcm16, _pcm24, _pcm32, _float32, _float64]
    samples = tf.switch_case(tf.cast(branch, tf.int32), [lambda r=r: r(raw) for r in readers])
    mean = tf.reduce_mean(tf.reshape(samples, [read, channels]), axis=1)
    finite = tf.reduce_all(tf.math.is_finite(mean))
    with tf.control_dependencies([tf.debugging.Assert(finite, ["NaN or infinite samples"])]):
        return mean[first - skipped : first - skipped + count], rate


def _true_size(data: Tensor, start: Tensor, size: Tensor, long_size: Tensor) -> Tensor:
    """Returns the bytes of samples; `wav` has the same rules in Python, and explains them."""
    available = _length(data) - start
    unknown = size >= UNKNOWN_SIZE_BYTES
    after = tf.strings.substr(data, start, 4)
    no_chunk = tf.reduce_all([tf.not_equal(after, name) for name in CHUNK_NAMES])
    excess = size - available
    to_end = unknown | (tf.equal(size, 0) & no_chunk)
    to_end |= (excess > 0) & (excess <= MAX_EXCESS_BYTES) & (20 * excess <= size)
    return tf.where(unknown & (long_size > 0), long_size, tf.where(to_end, available, size))


def _find_chunks(data: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Walks the chunks of a WAV file: a name of 4 bytes, a size of 4 bytes, padded to even sizes.

    Returns:
      Offsets of the format and of the samples, the stated bytes of samples, and those that RF64
      states elsewhere, 0 in other files.
    """
    signature, form = tf.strings.substr(data, 0, 4), tf.strings.substr(data, 8, 4)
    length = _length(data)

    def has_chunk(
        position: Tensor, chunk: Tensor, start: Tensor, size: Tensor, long_size: Tensor
    ) -> Tensor:
        return (start < 0) & (position + 8 <= length)

    def next_chunk(
        position: Tensor, chunk: Tensor, start: Tensor, size: Tensor, long_size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        name, found = tf.strings.substr(data, position, 4), _number(data, position + 4, 4)
        is_data = tf.equal(name, b"data")
        chunk = tf.where(tf.equal(name, b"fmt "), position + 8, chunk)
        start, size = tf.where(is_data, position + 8, start), tf.where(is_data, found, size)
        long_found = _number(data, tf.minimum(position + 16, length - 8), 8)
        long_size = tf.where(tf.equal(name, b"ds64"), long_found, long_size)
        return position + 8 + found + found % 2, chunk, start, size, long_size

    none, zero = tf.constant(-1, tf.int64), tf.constant(0, tf.int64)
    begin = (tf.constant(12, tf.int64), none, none, zero, zero)
    _, chunk, start, size, long_size = tf.while_loop(has_chunk, next_chunk, begin)
    known = tf.reduce_any([tf.equal(signature, each) for each in SIGNATURES])
    valid = known & tf.equal(form, b"WAVE") & (chunk >= 0) & (start >= chunk + 16)
    with tf.control_dependencies([tf.debugging.Assert(valid, ["not a WAV file"])]):
        return tf.identity(chunk), tf.identity(start), size, long_size


def _length(data: Tensor) -> Tensor:
    return tf.cast(tf.strings.length(data), tf.int64)


def _number(data: Tensor, offset: Tensor, count: int) -> Tensor:
    """Returns the little-endian integer of `count` bytes at an offset."""
    places = tf.constant([256**k for k in range(count)], tf.int64)
    raw = tf.io.decode_raw(tf.strings.substr(data, offset, count), tf.uint8)
    return tf.reduce_sum(tf.cast(raw, tf.int64) * places)


def _pcm8(raw: Tensor) -> Tensor:
    return tf.cast(tf.io.decode_raw(raw, tf.uint8), tf.float32) / 128.0 - 1.0


def _pcm16(raw: Tensor) -> Tensor:
    return tf.cast(tf.io.decode_raw(raw, tf.int16), tf.float32) / 2.0**15


def _pcm24(raw: Tensor) -> Tensor:
    # TensorFlow has no 24-bit integers: a zero byte below makes them 32-bit ones.
    triples = tf.reshape(tf.io.decode_raw(raw, tf.uint8), [-1, 3])
    integers = tf.bitcast(tf.pad(triples, [[0, 0], [1, 0]]), tf.int32)
    return tf.cast(integers, tf.float32) / 2.0**31


def _pcm32(raw: Tensor) -> Tensor:
    return tf.cast(tf.io.decode_raw(raw, tf.int32), tf.float32) / 2.0**31


def _float32(raw: Tensor) -> Tensor:
    return tf.io.decode_raw(raw, tf.float32)


def _float64(raw: Tensor) -> Tensor:
    return tf.cast(tf.io.decode_raw(raw, tf.float64), tf.float32)


def resample(samples: Tensor, rate: Tensor) -> Tensor:
    """Resamples to 16 kHz by band-limited interpolation (Smith & Gossett, 1984).

    A new sample at time t is `sum_k x[k] h(t - k)`, where h is a sinc function in a Kaiser window
    that ends at 97 % of the lower of both Nyquist frequencies. The positions of new samples between
    old ones repeat after `rate / gcd(rate, 16000)` old samples, so one matrix of weights (a
    polyphase filter bank) serves all blocks, and the work is one matrix product. This has no
    dependency, runs inside an export, and has 100 dB of stop-band attenuation.

    Args:
      samples: Samples, float32 [n].
      rate: Their sample rate in Hz, an integer scalar; rounded to a multiple of 25 Hz.

    Returns:
      Samples at 16 kHz, float32 [ceil(n × 16000 / rate)].
    """
    rate = tf.cast(rate, tf.int64)
    rounded = (rate + _RATE_STEP // 2) // _RATE_STEP * _RATE_STEP
    rate = tf.where(rate % _RATE_STEP > 0, rounded, rate)
    return tf.cond(
        tf.equal(rate, SAMPLE_RATE), lambda: samples, lambda: _interpolate(samples, rate)
    )


def _interpolate(samples: Tensor, rate: Tensor) -> Tensor:
    divisor = _greatest_common_divisor(rate)
    band = _BAND * tf.minimum(1.0, tf.cast(SAMPLE_RATE, tf.float32) / tf.cast(rate, tf.float32))
    reach = _ZERO_CROSSINGS / band  # half the length of the kernel, in old samples
    margin = tf.cast(tf.math.ceil(reach), tf.int64)
    # With several periods in a block, the margins at its ends are a smaller part of the work.
    periods = tf.maximum(tf.constant(1, tf.int64), 2 * margin * divisor // rate)
    old, new = periods * rate // divisor, periods * SAMPLE_RATE // divisor
    weights = _filter_bank(old, new, margin, band, reach)
    count = -(-tf.size(samples, tf.int64) * SAMPLE_RATE // rate)
    blocks = -(-count // new)
    padded = tf.pad(samples, [[margin, blocks * old + margin + old]])
    span = tf.range(2 * margin + old)
    neighbors = tf.gather(padded, tf.range(blocks)[:, None] * old + span)
    return tf.reshape(tf.matmul(neighbors, weights), [-1])[:count]


def _filter_bank(old: Tensor, new: Tensor, margin: Tensor, band: Tensor, reach: Tensor) -> Tensor:
    """Returns the weights of a block's old samples for each of its new ones.

    Args:
      old: Old samples of a block, an int64 scalar.
      new: New samples of a block, an int64 scalar.
      margin: Old samples before and after a block that the kernel reaches, an int64 scalar.
      band: Cutoff frequency as a fraction of the old Nyquist frequency, a float32 scalar.
      reach: Half the length of the kernel in old samples, a float32 scalar.

    Returns:
      Weights, float32 [2 margin + old, new]; each column has the sum 1.
    """
    times = tf.cast(tf.range(new) * old, tf.float64) / tf.cast(new, tf.float64)
    span = tf.cast(tf.range(2 * margin + old) - margin, tf.float64)
    distance = tf.cast(span[:, None] - times, tf.float32)
    phase = math.pi * band * distance
    sinc = tf.where(tf.abs(phase) < 1e-6, 1.0, tf.math.divide_no_nan(tf.sin(phase), phase))
    inside = tf.maximum(0.0, 1.0 - tf.square(distance / reach))
    window = tf.math.bessel_i0(_KAISER_BETA * tf.sqrt(inside)) * tf.cast(inside > 0, tf.float32)
    weights = sinc * window
    return weights / tf.reduce_sum(weights, axis=0)


def _greatest_common_divisor(rate: Tensor) -> Tensor:
    """Returns the greatest common divisor of a rate and 16,000 (Euclid's algorithm)."""

    def step(larger: Tensor, smaller: Tensor) -> tuple[Tensor, Tensor]:
        return smaller, larger % smaller

    start = (rate, tf.constant(SAMPLE_RATE, tf.int64))
    return tf.while_loop(lambda larger, smaller: smaller > 0, step, start)[0]


def fit_length(samples: Tensor, count: int) -> Tensor:
    """Returns `count` samples: the middle of longer clips; shorter ones are padded with silence."""
    first = tf.maximum(0, tf.size(samples) - count) // 2
    middle = samples[first : first + count]
    return tf.ensure_shape(tf.pad(middle, [[0, count - tf.size(middle)]]), [count])


def decode_waveform(data: Tensor, count: int) -> Tensor:
    """Decodes WAV bytes, a scalar string tensor, to float32 [count] at 16 kHz."""
    samples, rate = decode_wav(data, count / SAMPLE_RATE)
    return fit_length(resample(samples, rate), count)
