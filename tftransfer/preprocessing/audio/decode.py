"""WAV bytes to samples at 16 kHz, in TensorFlow operations: the same in training and serving."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tftransfer.preprocessing.audio.wav import EXTENSIBLE, FLOAT, PCM, RATE, UNKNOWN_SIZE

# Of the interpolation kernel: zero crossings on a side, shape of the window (100 dB), and where
# the band ends as a fraction of the lower Nyquist frequency, half-way down the transition. What
# mel bands reach, 7,500 of 8,000 Hz, passes whole.
_CROSSINGS, _BETA, _BAND = 100.0, 10.0, 0.97
KERNEL = f"{_CROSSINGS:g} {_BETA:g} {_BAND:g}"
_STEP = 25  # Hz
_BESIDE = 30  # milliseconds that are decoded around the middle of a clip, for the kernel


def decode_wav(data: Any, seconds: float = 0.0) -> tuple[Any, Any]:
    """Samples of WAV bytes, all channels mixed.

    Args:
      data: a scalar string tensor: PCM of 8, 16, 24 or 32 bits, floating point of 32 or 64; plain
        or WAVE_FORMAT_EXTENSIBLE; chunks before the samples are passed over.
      seconds: of a longer clip, only the middle of this length is decoded; 0 for all.

    Returns:
      float32 [n] with full scale at -1 to 1, and the rate in Hz, an int64 scalar.

    Raises:
      tf.errors.InvalidArgumentError: when run, for bytes that are no such file, or are cut off, or
        hold samples that are NaN or infinite, wherever.
    """
    form, start, size = _chunks(data)
    there = _length(data) - start
    size = tf.where(size >= UNKNOWN_SIZE, there, size)
    code, channels, rate, block = (_number(data, form + at, n) for at, n in _FIELDS)
    extended = tf.minimum(form + 24, _length(data) - 2)
    code = tf.where(tf.equal(code, EXTENSIBLE), _number(data, extended, 2), code)
    width = block // tf.maximum(channels, 1)
    known = tf.equal(code, PCM) & (width <= 4) | tf.equal(code, FLOAT) & (width % 4 < 1)
    whole = tf.equal(width * channels, block) & (width > 0) & (width <= 8)
    checks = (
        ("samples of an unknown encoding", known & whole),
        ("a rate that cannot be", (rate >= 1000) & (rate <= 768_000)),
        ("samples that are cut off", (size <= there) & (size >= block)),
    )
    with tf.control_dependencies([tf.debugging.Assert(ok, [text]) for text, ok in checks]):
        frames = size // block
        count = frames
        if seconds:
            wanted = tf.constant(math.ceil(seconds * 1000) + _BESIDE, tf.int64)
            count = tf.minimum(frames, wanted * rate // 1000)
        first = (frames - count) // 2
        # Whole numbers are finite; of the others all are read, to be checked.
        read = tf.where(tf.equal(code, FLOAT), frames, count)
        skipped = tf.where(tf.equal(code, FLOAT), tf.constant(0, tf.int64), first)
        raw = tf.strings.substr(data, start + skipped * block, read * block)
    which = tf.where(tf.equal(code, PCM), width - 1, 3 + width // 4)
    makers = [_eight, _sixteen, _twenty_four, _thirty_two, _single, _double]
    numbers = tf.switch_case(tf.cast(which, tf.int32), [lambda m=m: m(raw) for m in makers])
    mixed = tf.reduce_mean(tf.reshape(numbers, [read, channels]), axis=1)
    finite = tf.reduce_all(tf.math.is_finite(mixed))
    with tf.control_dependencies([tf.debugging.Assert(finite, ["NaN or infinite samples"])]):
        return mixed[first - skipped : first - skipped + count], rate


# Of the format chunk, place and bytes of: encoding, channels, rate, bytes of a frame.
_FIELDS = ((0, 2), (2, 2), (4, 4), (12, 2))


def _chunks(data: Any) -> tuple[Any, Any, Any]:
    """Where the format and the samples begin, and how many bytes of samples are promised."""
    signature = tf.strings.substr(data, 0, 4) + tf.strings.substr(data, 8, 4)
    length = _length(data)

    def further(at: Any, form: Any, start: Any, size: Any) -> Any:
        return (start < 0) & (at + 8 <= length)

    def step(at: Any, form: Any, start: Any, size: Any) -> Any:
        name, found = tf.strings.substr(data, at, 4), _number(data, at + 4, 4)
        samples = tf.equal(name, b"data")
        form = tf.where(tf.equal(name, b"fmt "), at + 8, form)
        start, size = tf.where(samples, at + 8, start), tf.where(samples, found, size)
        return at + 8 + found + found % 2, form, start, size

    none, zero = tf.constant(-1, tf.int64), tf.constant(0, tf.int64)
    _, form, start, size = tf.while_loop(
        further, step, (tf.constant(12, tf.int64), none, none, zero)
    )
    good = tf.equal(signature, b"RIFFWAVE") & (form >= 0) & (start >= form + 16)
    with tf.control_dependencies([tf.debugging.Assert(good, ["no WAV file"])]):
        return tf.identity(form), tf.identity(start), size


def _length(data: Any) -> Any:
    return tf.cast(tf.strings.length(data), tf.int64)


def _number(data: Any, at: Any, count: int) -> Any:
    """A whole number of `count` bytes, the lowest first."""
    places = tf.constant([256**k for k in range(count)], tf.int64)
    raw = tf.io.decode_raw(tf.strings.substr(data, at, count), tf.uint8)
    return tf.reduce_sum(tf.cast(raw, tf.int64) * places)


def _eight(raw: Any) -> Any:
    return tf.cast(tf.io.decode_raw(raw, tf.uint8), tf.float32) / 128.0 - 1.0


def _sixteen(raw: Any) -> Any:
    return tf.cast(tf.io.decode_raw(raw, tf.int16), tf.float32) / 2.0**15


def _twenty_four(raw: Any) -> Any:
    parts = tf.reshape(tf.io.decode_raw(raw, tf.uint8), [-1, 3])
    whole = tf.bitcast(tf.pad(parts, [[0, 0], [1, 0]]), tf.int32)
    return tf.cast(whole, tf.float32) / 2.0**31


def _thirty_two(raw: Any) -> Any:
    return tf.cast(tf.io.decode_raw(raw, tf.int32), tf.float32) / 2.0**31


def _single(raw: Any) -> Any:
    return tf.io.decode_raw(raw, tf.float32)


def _double(raw: Any) -> Any:
    return tf.cast(tf.io.decode_raw(raw, tf.float64), tf.float32)


def resample(samples: Any, rate: Any) -> Any:
    """Samples at 16 kHz by band-limited interpolation (Smith & Gossett, 1984).

    Every new sample is the sum of the old ones around its place, weighted by a sinc under a Kaiser
    window that ends at 97 % of the lower of both Nyquist frequencies. The places repeat, so their
    weights are one matrix (a polyphase filter bank). Rates that are no multiple of 25 Hz are taken
    for the nearest one.

    Args:
      samples: float32 [n].
      rate: of them in Hz, an integer scalar tensor.

    Returns:
      float32 [ceil(n × 16000 / rate)].
    """
    rate = tf.cast(rate, tf.int64)
    rate = tf.where(rate % _STEP > 0, (rate + _STEP // 2) // _STEP * _STEP, rate)
    return tf.cond(tf.equal(rate, RATE), lambda: samples, lambda: _interpolated(samples, rate))


def _interpolated(samples: Any, rate: Any) -> Any:
    common = _common_divisor(rate)
    band = _BAND * tf.minimum(1.0, tf.cast(RATE, tf.float32) / tf.cast(rate, tf.float32))
    reach = _CROSSINGS / band  # in old samples, to each side
    margin = tf.cast(tf.math.ceil(reach), tf.int64)
    # A block of several periods shares the old samples around its ends.
    periods = tf.maximum(tf.constant(1, tf.int64), 2 * margin * common // rate)
    old, new = periods * rate // common, periods * RATE // common
    weights = _weights(old, new, margin, band, reach)
    count = -(-tf.size(samples, tf.int64) * RATE // rate)
    blocks = -(-count // new)
    ends = [[margin, blocks * old + margin + old]]
    padded = tf.pad(samples, ends)
    span = tf.range(2 * margin + old)
    around = tf.gather(padded, tf.range(blocks)[:, None] * old + span)
    return tf.reshape(tf.matmul(around, weights), [-1])[:count]


def _weights(old: Any, new: Any, margin: Any, band: Any, reach: Any) -> Any:
    """Of the old samples around a block for each of its new ones, [2 margin + old, new]."""
    places = tf.cast(tf.range(new) * old, tf.float64) / tf.cast(new, tf.float64)
    span = tf.cast(tf.range(2 * margin + old) - margin, tf.float64)
    distance = tf.cast(span[:, None] - places, tf.float32)
    phase = math.pi * band * distance
    sinc = tf.where(tf.abs(phase) < 1e-6, 1.0, tf.math.divide_no_nan(tf.sin(phase), phase))
    inside = tf.maximum(0.0, 1.0 - tf.square(distance / reach))
    window = tf.math.bessel_i0(_BETA * tf.sqrt(inside)) * tf.cast(inside > 0, tf.float32)
    weights = sinc * window
    return weights / tf.reduce_sum(weights, axis=0)


def _common_divisor(rate: Any) -> Any:
    def step(larger: Any, smaller: Any) -> Any:
        return smaller, larger % smaller

    start = (rate, tf.constant(RATE, tf.int64))
    return tf.while_loop(lambda larger, smaller: smaller > 0, step, start)[0]


def fit_length(samples: Any, count: int) -> Any:
    """Samples [count]: the middle of longer ones; shorter ones end in silence."""
    first = tf.maximum(0, tf.size(samples) - count) // 2
    cut = samples[first : first + count]
    return tf.ensure_shape(tf.pad(cut, [[0, count - tf.size(cut)]]), [count])


def waveform(data: Any, count: int) -> Any:
    """WAV bytes as float32 [count] at 16 kHz."""
    samples, rate = decode_wav(data, count / RATE)
    return fit_length(resample(samples, rate), count)
