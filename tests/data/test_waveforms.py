"""Waveforms in memory."""

import numpy as np
import pytest

import tftransfer
from tftransfer.preprocessing.audio.wav import wav_header, wav_samples
from tftransfer.readers.sources import read_source, read_unlabelled
from tftransfer.utils.errors import UserError

WAVES = np.random.default_rng(0).uniform(-1, 1, (6, 800)).astype(np.float32)


def test_read_source_takes_waveforms_with_labels_for_clips():
    found = read_source((WAVES, ["a", "b"] * 3))
    assert (found.modality, found.classes) == ("audio", ("a", "b"))
    np.testing.assert_array_equal(wav_samples(found.items[2])[:, 0], WAVES[2])
    assert read_unlabelled(WAVES).modality == "audio"


def test_from_waveforms_keeps_rates_channels_and_lengths():
    stereo = np.stack([WAVES[0], WAVES[1]], axis=1)
    found = tftransfer.from_waveforms([stereo, WAVES[2, :90]], [0, 1], rate=44_100)
    header = wav_header(found.items[0])
    assert (header.channels, header.rate, header.frames) == (2, 44_100, 800)
    assert wav_header(found.items[1]).frames == 90


@pytest.mark.parametrize("wave", [WAVES[0] * 9, np.arange(9), np.zeros(0, np.float32)])
def test_from_waveforms_refuses_samples_outside_full_scale(wave):
    with pytest.raises(UserError, match="samples from -1 to 1"):
        tftransfer.from_waveforms([wave, WAVES[0]], [0, 1])


def test_from_arrays_refuses_short_rows_of_numbers():
    for size in (64, 784):
        with pytest.raises(UserError, match=f"longer than {size}: they are not images") as error:
            read_source((np.zeros((4, size)), [0, 1, 0, 1]))
        assert "from_waveforms" in error.value.remedy


@pytest.mark.parametrize("groups", [["ann"], ["ann", "bob", "cid"]])
def test_from_waveforms_needs_one_group_per_clip(groups):
    with pytest.raises(UserError, match=f"{len(groups)} groups for 2 clips"):
        tftransfer.from_waveforms(WAVES[:2], [0, 1], groups=groups)
