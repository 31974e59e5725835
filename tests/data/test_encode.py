"""Values in memory: the first one decides the modality, and errors name bad ones."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.preprocessing.audio.wav import wav_header, wav_samples
from tftransfer.readers.sources import read_source, read_unlabelled
from tftransfer.utils.errors import UserError

LABELS = [0, 1] * 3
TEXTS = ["good film", "bad film"] * 3
WAVES = np.random.default_rng(0).uniform(-1, 1, (6, 800)).astype(np.float32)
STEREO = np.stack([WAVES, -WAVES], axis=2)


@pytest.mark.parametrize(
    "texts", [TEXTS, np.array(TEXTS), np.array(TEXTS, object), [t.encode() for t in TEXTS]]
)
def test_from_arrays_takes_strings_and_bytes_for_texts(texts):
    found = read_source((texts, LABELS))
    assert found.modality == "text" and found.items[:2] == [b"good film", b"bad film"]
    assert read_unlabelled(list(texts)).items == found.items


@pytest.mark.parametrize(
    ("waves", "channels"),
    [
        (WAVES, 1),
        (list(WAVES), 1),
        (WAVES.tolist(), 1),
        (STEREO, 2),
        (list(STEREO), 2),
        ([WAVES[0][:90], *WAVES[1:]], 1),
        (WAVES[..., None], 1),
    ],
    ids=["array", "list", "plain lists", "stereo", "list of stereo", "two lengths", "mono"],
)
def test_from_arrays_takes_waveforms_for_clips(waves, channels):
    found = read_source((waves, LABELS))
    assert found.modality == "audio" and found.warnings == ()
    assert wav_header(found.items[1]).channels == channels
    np.testing.assert_allclose(wav_samples(found.items[1])[:, 0], WAVES[1])
    assert read_unlabelled(waves).items == found.items


def test_from_arrays_scales_int16_samples_with_a_warning():
    whole = np.round(WAVES * 32_767).astype(np.int16)
    found = read_source((whole, LABELS))
    np.testing.assert_allclose(wav_samples(found.items[0])[:, 0], WAVES[0], atol=1e-4)
    assert found.warnings == ("int16 samples are divided by 32,768",)


@pytest.mark.parametrize("layout", ["pair", "dictionary"])
@pytest.mark.parametrize("waves", [WAVES, STEREO, np.int16(WAVES * 9_999)])
def test_from_dataset_reads_waveforms(waves, layout):
    elements = (waves, LABELS) if layout == "pair" else {"audio": waves, "label": LABELS}
    found = read_source(tf.data.Dataset.from_tensor_slices(elements))
    assert (found.modality, len(found), found.problem_type) == ("audio", 6, "single_label")


def test_read_source_takes_wide_arrays_for_images():
    gray = np.zeros((6, 40, 30), np.uint8)
    assert read_source((gray, LABELS)).modality == read_unlabelled(gray).modality == "image"
    assert read_source((np.zeros((6, 300, 300)), LABELS)).modality == "image"


REFUSED = {
    "None among texts": ([*TEXTS[:-1], None], LABELS, "Text 5 is None"),
    "NaN among texts": ([*TEXTS[:-1], float("nan")], LABELS, "Text 5 is nan"),
    "None at first": ([None, *TEXTS[1:]], LABELS, "Example 0 is None"),
    "None among clips": ([*WAVES[:-1], None], LABELS, "Clip 5 is None"),
    "NaN in a clip": ([*WAVES[:-1], WAVES[5] * np.nan], LABELS, "Clip 5 is float32"),
    "a clip of nothing": ([*WAVES[:-1], WAVES[5, :0]], LABELS, r"Clip 5 .* shape \(0,\)"),
    "channels first": (np.moveaxis(STEREO, 2, 1), LABELS, r"Clip 0 has the shape \(2, 800\)"),
    "whole numbers": (np.ones((6, 800), int), LABELS, "Clip 0 is int64"),
    "a text among images": ([np.zeros((9, 9)), "x"], [0, 1], "Image 1 has the shape"),
    "numbers": ([1.5] * 6, LABELS, "Example 0 is 1.5, not a text"),
    "uneven lists": ([[1.0, [2.0]]] * 6, LABELS, "Example 0 is of type list"),
    "nothing": ([], [], "There are no examples"),
    "labels of None": (TEXTS, [1, None] * 3, "label of example 1 is None"),
    "labels of two types": (TEXTS, np.array(["a", 1] * 3, object), "names and some are numbers"),
    "uneven labels": (TEXTS, [[1], [1, None]] * 3, "label of example 1 is None"),
    "one label": (TEXTS, 1, "The values are int, which has no order"),
    "fewer labels": (TEXTS, [0, 1], "6 texts but 2 labels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_from_arrays_names_the_first_bad_value(case):
    values, labels, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        read_source((values, labels))
