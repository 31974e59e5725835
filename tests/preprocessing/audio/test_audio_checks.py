"""Checks and warnings of audio files, and the length that is used of clips."""

import io

import numpy as np
import pytest

from tftransfer.data.scan import scan_item
from tftransfer.preprocessing import get_modality
from tftransfer.preprocessing.audio import compressed
from tftransfer.preprocessing.audio.wav import encode_wav
from tftransfer.utils.errors import UserError

MODALITY = get_modality("audio")
TONE = 0.5 * np.sin(np.arange(8_000) / 10)


def compress(samples, rate=16_000, file_format="FLAC"):
    soundfile = pytest.importorskip("soundfile")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=file_format)
    return file.getvalue()


def edited(data, at, piece):
    return data[:at] + piece + data[at + len(piece) :]


UNUSABLE = {
    "0 bytes": (b"", "0 bytes"),
    "MP3 with a tag": (b"ID3\x04" + bytes(200), "MP3"),
    "MP3 frames": (b"\xff\xfb\x90\x64" + bytes(200), "MP3"),
    "HTML": (b"<!DOCTYPE html>" + bytes(50), "HTML"),
    "header alone": (encode_wav(TONE)[:20], "truncated"),
    "truncated": (encode_wav(TONE)[:-99], "truncated: 31,901 of 32,000 bytes"),
    "0 samples": (encode_wav(np.zeros(0)), "no samples"),
    "A-law": (edited(encode_wav(TONE), 20, b"\x06\x00"), "A-law"),
    "rate 0": (edited(encode_wav(TONE), 24, bytes(4)), "a sample rate of 0 Hz"),
    "NaN": (encode_wav(np.full(100, np.nan)), "NaN"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_scan_item_reports_the_reason_of_unusable_clips(case):
    data, reason = UNUSABLE[case]
    assert reason in scan_item(data, MODALITY).reason


IRREGULAR = {
    "stereo": (encode_wav(np.stack([TONE, TONE], 1)), "with 2 channels, which are averaged"),
    "rate": (encode_wav(TONE, 44_100), "at 44,100 Hz, resampled to 16,000 Hz"),
    "silence": (encode_wav(np.zeros(100)), "silent"),
    "opposite channels": (encode_wav(np.stack([TONE, -TONE], 1)), "silent after averaging"),
    "clipping": (encode_wav(np.clip(9 * TONE, -1, 1)), "clipped"),
    "a clipped channel": (encode_wav(np.stack([np.clip(9 * TONE, -1, 1), 0 * TONE], 1)), "clipped"),
    "no full scale": (encode_wav(12_000 * TONE), "beyond twice full scale"),
}


@pytest.mark.parametrize("case", IRREGULAR)
def test_scan_item_warns_of_conversions_and_irregular_clips(case):
    data, expected = IRREGULAR[case]
    found = scan_item(data, MODALITY)
    assert not found.reason and any(expected in warning for warning in found.warnings)


def test_scan_item_measures_a_regular_clip_without_warnings():
    found = scan_item(encode_wav(TONE), MODALITY)
    assert (found.reason, found.warnings, found.measure) == ("", (), 0.5)


@pytest.mark.parametrize("file_format", ["FLAC", "OGG"])
def test_scan_item_accepts_compressed_clips_by_their_content(file_format):
    data = compress(TONE, 8_000, file_format)
    found = scan_item(data, MODALITY)
    assert not found.reason and found.measure == 1.0
    assert any("8,000 Hz" in warning for warning in found.warnings)
    assert MODALITY.decode(data).reason == ""


COMPRESSED = {
    "silence": ("FLAC", 0 * TONE, "silent"),
    "silence of Ogg": ("OGG", 0 * TONE, "silent"),
    "opposite channels": ("FLAC", np.stack([TONE, -TONE], 1), "silent after averaging"),
    "clipping": ("FLAC", np.sign(TONE), "clipped"),
    "clipping of Ogg": ("OGG", np.clip(9 * TONE, -1, 1), "clipped"),
}


@pytest.mark.parametrize("case", COMPRESSED)
def test_scan_item_warns_of_silence_and_clipping_of_compressed_clips(case):
    file_format, samples, expected = COMPRESSED[case]
    found = scan_item(compress(samples, file_format=file_format), MODALITY)
    assert any(expected in warning for warning in found.warnings)


def test_scan_item_refuses_a_damaged_flac():
    data = compress(np.random.default_rng(0).normal(size=8_000) / 9)
    assert "FLAC that cannot be read" in scan_item(data[:40], MODALITY).reason


def test_scan_item_without_soundfile_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(compressed, "is_available", lambda: False)
    assert "pip install 'tftransfer[audio]'" in scan_item(b"fLaC" + bytes(60), MODALITY).reason
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(UserError, match="soundfile"):
        compressed.to_wav(b"fLaC")


@pytest.mark.parametrize("longest", [10.0, 30.0])
def test_auto_length_of_short_clips_is_enough_for_most(longest):
    assert MODALITY.auto_length(np.full(20, 5.0), longest) == (
        5.0,
        "the clips have 5 to 5 s",
    )
    length, text = MODALITY.auto_length(np.r_[np.full(99, 1.04), 60.0], longest)
    assert length == 1.1 and "1 longer clip" in text and "by default" not in text
    assert MODALITY.auto_length(np.full(9, 0.3), longest)[0] == 0.975
    assert MODALITY.auto_length(np.zeros(0), longest)[0] == 0.975


def test_auto_length_of_long_clips_is_limited_by_the_network_and_reports_the_cost():
    length, text = MODALITY.auto_length(np.linspace(20, 28, 40), 30.0)
    assert length == 28.0 and "longer clip" not in text and "2.8 times the time" in text
    length, text = MODALITY.auto_length(np.full(9, 90.0), 10.0)
    assert (
        length == 10.0
        and "the middle of 9 longer clips is used" in text
        and "times the time" not in text
    )
    length, text = MODALITY.auto_length(np.full(9, 90.0), 30.0)
    assert length == 30.0 and "as this network uses 30 s by default" in text
    length, text = MODALITY.auto_length(np.r_[np.full(19, 12.0), 600.0], 30.0)
    assert length == 12.0 and "1 longer clip" in text
