"""What of an audio file is left out, and what is said of it."""

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


def flac(samples, rate=16_000, preprocessor="FLAC"):
    soundfile = pytest.importorskip("soundfile")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=preprocessor)
    return file.getvalue()


def edited(data, at, piece):
    return data[:at] + piece + data[at + len(piece) :]


LEFT_OUT = {
    "0 bytes": (b"", "0 bytes"),
    "MP3 with a tag": (b"ID3\x04" + bytes(200), "MP3"),
    "MP3 frames": (b"\xff\xfb\x90\x64" + bytes(200), "MP3"),
    "HTML": (b"<!DOCTYPE html>" + bytes(50), "HTML"),
    "header alone": (encode_wav(TONE)[:20], "cut off"),
    "cut": (encode_wav(TONE)[:-99], "cut off: 31,901 of 32,000 bytes"),
    "0 samples": (encode_wav(np.zeros(0)), "no samples"),
    "A-law": (edited(encode_wav(TONE), 20, b"\x06\x00"), "A-law"),
    "rate 0": (edited(encode_wav(TONE), 24, bytes(4)), "a rate of 0 Hz"),
    "NaN": (encode_wav(np.full(100, np.nan)), "NaN"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_is_no_clip_is_left_out_with_its_reason(case):
    data, said = LEFT_OUT[case]
    assert said in scan_item(data, MODALITY).reason


NOTED = {
    "stereo": (encode_wav(np.stack([TONE, TONE], 1)), "of 2 channels, mixed into one"),
    "rate": (encode_wav(TONE, 44_100), "at 44,100 Hz, resampled to 16,000 Hz"),
    "silence": (encode_wav(np.zeros(100)), "silent"),
    "opposite channels": (encode_wav(np.stack([TONE, -TONE], 1)), "silent once mixed"),
    "clipping": (encode_wav(np.clip(9 * TONE, -1, 1)), "clipped"),
    "a clipped channel": (encode_wav(np.stack([np.clip(9 * TONE, -1, 1), 0 * TONE], 1)), "clipped"),
    "no full scale": (encode_wav(12_000 * TONE), "out of range"),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_is_normalised_or_odd_is_said(case):
    data, said = NOTED[case]
    found = scan_item(data, MODALITY)
    assert not found.reason and any(said in note for note in found.warnings)


def test_a_plain_clip_is_said_nothing_of_and_measured():
    found = scan_item(encode_wav(TONE), MODALITY)
    assert (found.reason, found.warnings, found.measure) == ("", (), 0.5)


@pytest.mark.parametrize("preprocessor", ["FLAC", "OGG"])
def test_compressed_clips_are_taken_by_their_content(preprocessor):
    data = flac(TONE, 8_000, preprocessor)
    found = scan_item(data, MODALITY)
    assert not found.reason and found.measure == 1.0
    assert any("8,000 Hz" in note for note in found.warnings)
    assert MODALITY.decode_error(data) is None


COMPRESSED = {
    "silence": ("FLAC", 0 * TONE, "silent"),
    "silence of Ogg": ("OGG", 0 * TONE, "silent"),
    "opposite channels": ("FLAC", np.stack([TONE, -TONE], 1), "silent once mixed"),
    "clipping": ("FLAC", np.sign(TONE), "clipped"),
    "clipping of Ogg": ("OGG", np.clip(9 * TONE, -1, 1), "clipped"),
}


@pytest.mark.parametrize("case", COMPRESSED)
def test_silence_and_clipping_of_compressed_clips_are_said(case):
    preprocessor, samples, said = COMPRESSED[case]
    assert any(
        said in note
        for note in scan_item(flac(samples, preprocessor=preprocessor), MODALITY).warnings
    )


def test_a_damaged_flac_is_left_out():
    data = flac(np.random.default_rng(0).normal(size=8_000) / 9)
    assert "FLAC that cannot be read" in scan_item(data[:40], MODALITY).reason


def test_without_soundfile_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(compressed, "readable", lambda: False)
    assert "pip install 'tftransfer[audio]'" in scan_item(b"fLaC" + bytes(60), MODALITY).reason
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(UserError, match="soundfile"):
        compressed.to_wav(b"fLaC")


@pytest.mark.parametrize("longest", [10.0, 30.0])
def test_the_length_of_short_clips_holds_most_of_them(longest):
    assert MODALITY.auto_length(np.full(20, 5.0), longest) == (
        5.0,
        "length 5 s: the clips are of 5 to 5 s",
    )
    length, said = MODALITY.auto_length(np.r_[np.full(99, 1.04), 60.0], longest)
    assert length == 1.1 and "1 longer clip" in said and "by default" not in said
    assert MODALITY.auto_length(np.full(9, 0.3), longest)[0] == 0.975
    assert MODALITY.auto_length(np.zeros(0), longest)[0] == 0.975


def test_long_clips_are_heard_whole_where_the_network_can_and_the_cost_is_said():
    length, said = MODALITY.auto_length(np.linspace(20, 28, 40), 30.0)
    assert length == 28.0 and "cut" not in said and "2.8 times the time" in said
    length, said = MODALITY.auto_length(np.full(9, 90.0), 10.0)
    assert length == 10.0 and "9 longer clips are cut" in said and "times the time" not in said
    length, said = MODALITY.auto_length(np.full(9, 90.0), 30.0)
    assert length == 30.0 and "as this network hears 30 s by default" in said
    length, said = MODALITY.auto_length(
        np.r_[np.full(19, 12.0), 600.0], 30.0
    )  # one does not decide
    assert length == 12.0 and "1 longer clip" in said
