"""WAV bytes to samples, checked against NumPy and scipy."""

import struct

import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import resample_poly

from tftransfer.data.scan import scan_item
from tftransfer.preprocessing import get_modality
from tftransfer.preprocessing.audio.decode import decode_wav, decode_waveform, fit_length, resample
from tftransfer.preprocessing.audio.wav import encode_wav, wav_samples

RATES = (8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)


def wav(body, *, code=1, channels=1, rate=16_000, bits=16, before=b"", extensible=False, size=None):
    block = channels * bits // 8
    chunk = struct.pack("<HHIIHH", code, channels, rate, rate * block, block, bits)
    if extensible:
        guid = bytes.fromhex("000000001000800000aa00389b71")
        chunk = struct.pack("<H", 0xFFFE) + chunk[2:]
        chunk += struct.pack("<HHIH", 22, bits, 0, code) + guid
    chunks = before + b"fmt " + struct.pack("<I", len(chunk)) + chunk
    chunks += b"data" + struct.pack("<I", len(body) if size is None else size) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def ramp(count=200):
    return np.linspace(-0.9, 0.9, count)


BODIES = {
    "8 bits": (lambda x: np.round(x * 128 + 128).astype("u1").tobytes(), 1, 8, 2**-7),
    "16 bits": (lambda x: np.round(x * 2**15).astype("<i2").tobytes(), 1, 16, 2**-15),
    "24 bits": (
        lambda x: (
            (np.round(x * 2**23).astype("<i4") << 8).view("u1").reshape(-1, 4)[:, 1:].tobytes()
        ),
        1,
        24,
        2**-22,
    ),
    "32 bits": (lambda x: np.round(x * 2**31).astype("<i4").tobytes(), 1, 32, 1e-6),
    "float": (lambda x: x.astype("<f4").tobytes(), 3, 32, 1e-6),
    "double": (lambda x: x.astype("<f8").tobytes(), 3, 64, 1e-6),
}


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("encoding", BODIES)
def test_decode_wav_reads_every_encoding(encoding, extensible):
    body, code, bits, close = BODIES[encoding]
    data = wav(body(ramp()), code=code, bits=bits, rate=22_050, extensible=extensible)
    samples, rate = decode_wav(tf.constant(data))
    np.testing.assert_allclose(samples, ramp(), atol=close)
    np.testing.assert_allclose(wav_samples(data)[:, 0], samples, atol=1e-6)
    assert int(rate) == 22_050


def test_decode_wav_averages_channels():
    stereo = np.stack([ramp(), -0.5 * ramp()], axis=1)
    samples, _ = decode_wav(tf.constant(encode_wav(stereo)))
    np.testing.assert_allclose(samples, 0.25 * ramp(), atol=1e-6)


def test_decode_wav_skips_other_chunks():
    body = ramp().astype("<f4").tobytes()
    other = b"LIST" + struct.pack("<I", 5) + b"INFO!" + b"\0" + b"fact" + struct.pack("<I", 0)
    samples, _ = decode_wav(tf.constant(wav(body, code=3, bits=32, before=other)))
    np.testing.assert_allclose(samples, ramp(), atol=1e-6)


def test_decode_wav_reads_a_stream_of_unknown_size_to_its_end():
    data = wav(ramp().astype("<f4").tobytes(), code=3, bits=32, size=0xFFFFFFFF)
    assert decode_wav(tf.constant(data))[0].shape == (200,)
    assert wav_samples(data).shape == (200, 1)


def _rf64(body, stated, end=b""):
    data = bytearray(wav(body, size=0xFFFFFFFF))
    sizes = struct.pack("<QQQI", len(data) + 36, stated, stated // 2, 0)
    data[:4] = b"RF64"
    return bytes(data[:12]) + b"ds64" + struct.pack("<I", 28) + sizes + bytes(data[12:]) + end


TONE_BODY = np.arange(400, dtype="<i2").tobytes()
UNFINISHED = {
    "size 0": (wav(TONE_BODY, size=0), 400),
    "2 bytes too many": (wav(TONE_BODY, size=802), 400),
    "counts its header": (wav(TONE_BODY * 4, size=3200 + 44), 1600),
    "RF64": (_rf64(TONE_BODY, 800), 400),
    "RF64 with a chunk after its samples": (_rf64(TONE_BODY, 800, b"LIST\4\0\0\0INFO"), 400),
}


@pytest.mark.parametrize("case", UNFINISHED)
def test_wav_with_a_wrong_size_is_read_the_same_in_python_and_in_a_graph(case):
    data, count = UNFINISHED[case]
    expected = wav_samples(data)[:, 0]
    assert len(expected) == count and expected[399] == np.float32(399 / 2**15)
    np.testing.assert_array_equal(tf.function(decode_wav)(tf.constant(data))[0], expected)
    reason = scan_item(data, get_modality("audio"))
    assert reason.reason == ""
    assert any("size" in w or "than stated" in w for w in reason.warnings) != case.startswith(
        "RF64"
    )


@pytest.mark.parametrize(
    "data", [wav(TONE_BODY, size=1600), wav(b"LIST\4\0\0\0INFO", size=0), wav(b"", size=0)]
)
def test_wav_without_its_samples_stays_out(data):
    assert scan_item(data, get_modality("audio")).reason
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(decode_wav)(tf.constant(data))


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", wav(b"")[:30], wav(bytes(100))[:-10], wav(bytes(64), code=6), wav(b"")],
    ids=["empty", "signature", "no samples chunk", "truncated", "A-law", "0 samples"],
)
def test_decode_wav_fails_for_incomplete_and_other_bytes(data):
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(decode_wav)(tf.constant(data))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 24_000, -1])
@pytest.mark.parametrize("encoding", ["float", "double"])
def test_decode_wav_fails_for_any_sample_that_is_not_finite(encoding, place, value):
    sound = np.zeros((48_000, 2))
    sound[place, 1] = value
    body, code, bits, _ = BODIES[encoding]
    data = wav(body(sound), code=code, bits=bits, channels=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN or infinite"):
        decode_wav(tf.constant(data), seconds=0.5)


def test_decode_wav_with_seconds_decodes_only_the_middle():
    data = encode_wav(np.arange(48_000) / 48_000)
    samples, _ = decode_wav(tf.constant(data), seconds=0.5)
    assert 8_000 <= len(samples) <= 8_500
    assert abs(float(tf.reduce_mean(samples)) - 0.5) < 1e-3


@pytest.mark.parametrize("rate", RATES)
def test_resample_keeps_the_shape_of_sines(rate):
    time, new, band = np.arange(rate) / rate, np.arange(16_000) / 16_000, min(rate, 16_000) / 2
    for hertz in (100, 1000, 7_000 / 8_000 * band, 7_500 / 8_000 * band):
        resampled = resample(
            tf.constant(np.sin(2 * np.pi * hertz * time), tf.float32), rate
        ).numpy()
        assert len(resampled) == 16_000
        error = (resampled - np.sin(2 * np.pi * hertz * new))[300:-300]
        assert 10 * np.log10(np.mean(error**2) / 0.5) < -80, hertz


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > 20_000])
def test_resample_removes_frequencies_above_the_new_band(rate):
    time = np.arange(rate) / rate
    resampled = resample(tf.constant(np.sin(2 * np.pi * 8_100 * time), tf.float32), rate).numpy()
    assert 10 * np.log10(np.mean(resampled[300:-300] ** 2) / 0.5) < -80


def test_resample_of_noise_agrees_with_scipy(rate=44_100):
    noise = np.random.default_rng(0).normal(size=rate).astype(np.float32)
    low = resample_poly(resample_poly(noise, 1, 4), 4, 1)  # within the band that both pass
    ours = resample(tf.constant(low, tf.float32), rate).numpy()
    theirs = resample_poly(low, 160, 441)
    np.testing.assert_allclose(ours[200:-200], theirs[200:-200], atol=3e-3)


def test_resample_rounds_unusual_rates():
    time = np.arange(44_056) / 44_056
    resampled = resample(tf.constant(np.sin(2 * np.pi * 440 * time), tf.float32), 44_056).numpy()
    assert abs(len(resampled) - 16_000) < 5
    assert np.abs(resampled).max() > 0.99


def test_fit_length_pads_with_silence_or_takes_the_middle():
    np.testing.assert_array_equal(fit_length(tf.constant([1.0, 2.0]), 4), [1, 2, 0, 0])
    np.testing.assert_array_equal(fit_length(tf.constant([1.0, 2.0, 3.0, 4.0]), 2), [2, 3])


def test_decode_waveform_returns_the_middle(rate=48_000):
    sound = np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    middle = decode_waveform(tf.constant(encode_wav(sound, rate)), 16_000)
    every = decode_waveform(tf.constant(encode_wav(sound, rate)), 32_000)
    np.testing.assert_allclose(middle[200:-200], every[8_200:-8_200], atol=1e-3)
