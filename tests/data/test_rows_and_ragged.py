"""Lists of dictionaries, ragged data sets, and values that hold several data sets."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tftransfer.preprocessing.image.decode import decode
from tftransfer.readers.sources import read_source, read_unlabelled
from tftransfer.utils.errors import UserError

pandas = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 12, 7, 3), np.uint8)
NAMES = ["cat", "dog"] * 3
TEXTS = [f"text number {number}" for number in range(6)]
WAVES = [RNG.normal(0, 0.1, 900 + 100 * (k % 2)).astype(np.float32) for k in range(6)]


def _png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def _paths(folder, as_text):
    paths = [folder / f"{number}.png" for number in range(6)]
    for path, image in zip(paths, IMAGES):
        path.write_bytes(_png(image))
    return [str(path) for path in paths] if as_text else paths


IMAGE_ROWS = {
    "arrays": lambda _: IMAGES,
    "Pillow": lambda _: [Image.fromarray(image) for image in IMAGES],
    "bytes": lambda _: [_png(image) for image in IMAGES],
    "strings": lambda folder: _paths(folder, True),
    "paths": lambda folder: _paths(folder, False),
    "Hugging Face": lambda _: [{"bytes": _png(image), "path": None} for image in IMAGES],
}


@pytest.mark.parametrize("case", IMAGE_ROWS)
def test_lists_of_dictionaries_of_images_are_read(tmp_path, case):
    values = IMAGE_ROWS[case](tmp_path)
    rows = [{"image": value, "label": name} for value, name in zip(values, NAMES)]
    for data in (rows, tuple(rows), np.array(rows, object)):
        found = read_source(data)
        assert (found.modality, found.classes) == ("image", ("cat", "dog"))
        assert found.labels.tolist() == [0, 1] * 3
    for data in (rows, [{"image": row["image"]} for row in rows]):
        found = read_unlabelled(data)
        images = np.stack([decode(tf.constant(_bytes(item))).numpy() for item in found.items])
        np.testing.assert_array_equal(images, IMAGES)


def _bytes(item):
    return item if isinstance(item, bytes) else Path(item).read_bytes()


def test_lists_of_dictionaries_of_texts_are_tables():
    rows = [{"text": text, "label": name} for text, name in zip(TEXTS, NAMES)]
    found = read_source(rows)
    assert [item.decode() for item in found.items] == TEXTS
    assert "list of dictionaries are read as a table" in found.warnings[0]
    assert read_source(rows[:2]).classes == ("cat", "dog")  # no pair of inputs and labels
    with pytest.raises(UserError, match="row 5: the label is empty"):
        read_source([*rows[:5], {"text": "x"}])
    rows = [{"a": text, "b": name, "c": k} for k, (text, name) in enumerate(zip(TEXTS, NAMES))]
    assert read_source(rows, columns="text=a,label=b").classes == ("cat", "dog")
    rows = [{"text": text, "labels": ["new", "red"][: 1 + k % 2]} for k, text in enumerate(TEXTS)]
    found = read_source(rows)
    assert found.problem_type == "multi_label" and found.classes == ("new", "red")


def test_clips_of_hugging_face_are_read_and_other_rates_have_a_remedy():
    rows = [{"audio": {"array": w, "sampling_rate": 16_000}, "label": 1} for w in WAVES]
    assert read_source([*rows[:3], *[row | {"label": 0} for row in rows[3:]]]).modality == "audio"
    rows[0]["audio"]["sampling_rate"] = 8000
    with pytest.raises(UserError, match="8,000 Hz, not 16,000") as caught:
        read_source(rows)
    assert "from_waveforms" in caught.value.remedy and "rate=8000" in caught.value.remedy


def _dataset(values, shape, dtype):
    return tf.data.Dataset.from_generator(
        lambda: iter(zip(values, [0, 1] * 3)),
        output_signature=(tf.TensorSpec(shape, dtype), tf.TensorSpec([], tf.int32)),
    )


CLIPS = {
    "examples": lambda data: data,
    "ragged batches": lambda data: data.ragged_batch(4),
    "padded batches": lambda data: data.padded_batch(4),
}


@pytest.mark.parametrize("case", CLIPS)
def test_clips_of_several_lengths_are_clips_in_every_data_set(case):
    found = read_source(CLIPS[case](_dataset(WAVES, [None], tf.float32)))
    assert found.modality == "audio" and found.labels.tolist() == [0, 1] * 3


def test_ragged_images_and_tensors_are_read():
    images = [image[: 9 + k % 2] for k, image in enumerate(IMAGES)]
    found = read_source(_dataset(images, [None, None, 3], tf.uint8).ragged_batch(4))
    for item, image in zip(found.items, images):
        np.testing.assert_array_equal(decode(tf.constant(item)).numpy(), image)
    waves = tf.ragged.constant([wave.tolist() for wave in WAVES])
    assert read_source((waves, NAMES)).modality == "audio"


TOKENS = [["a", "film"], ["fine"]] * 3
RAGGED_TEXTS = {
    "list": lambda: (TOKENS, NAMES),
    "data set": lambda: tf.data.Dataset.from_tensor_slices((tf.ragged.constant(TOKENS), NAMES)),
    "batches": lambda: tf.data.Dataset.from_tensor_slices(
        (tf.ragged.constant(TOKENS), NAMES)
    ).batch(2),
}


@pytest.mark.parametrize("case", RAGGED_TEXTS)
def test_tokens_are_refused_and_the_remedy_works(case):
    with pytest.raises(UserError, match="is a list of strings, such as tokens") as caught:
        read_source(RAGGED_TEXTS[case]())
    assert "' '.join(tokens)" in caught.value.remedy
    joined = tf.data.Dataset.from_tensor_slices((tf.ragged.constant(TOKENS), NAMES)).map(
        lambda tokens, name: (tf.strings.reduce_join(tokens, -1, separator=" "), name)
    )
    assert [item.decode() for item in read_source(joined).items] == ["a film", "fine"] * 3


LABELS = np.array([0, 1] * 3)
REFUSED = {
    "load_data": (
        ((IMAGES, LABELS), (IMAGES[:2], LABELS[:2])),
        r"data=data\[0\], test_data=data\[1\]",
    ),
    "splits": (
        {"train": IMAGES, "test": IMAGES},
        r"data=data\['train'\], test_data=data\['test'\]",
    ),
    "classes": ({"cat": TEXTS, "dog": TEXTS[:3]}, r"for name, each in data.items\(\)"),
    "equal classes": ({"cat": TEXTS, "dog": TEXTS[::-1]}, r"for name, each in data.items\(\)"),
    "swapped": ((LABELS, IMAGES), r"\(inputs, labels\) in this order"),
    "flat images": ((np.zeros((6, 784), np.uint8), LABELS), r"inputs.reshape\(-1, 28, 28\)"),
    "index": (pandas.DataFrame({"label": NAMES}, index=TEXTS), "frame.reset_index"),
    "equal columns": (
        pandas.DataFrame([["a", 1, 2]] * 6, columns=["text", "label", "label"]),
        "Rename one",
    ),
    "pixels": (
        pandas.DataFrame({"label": LABELS} | {f"p{k}": LABELS * k for k in range(64)}),
        r"iloc\[:, 1:65\].to_numpy\('uint8'\).reshape\(-1, 8, 8\)",
    ),
    "groups": (pandas.DataFrame({"text": TEXTS, "label": NAMES}).groupby("label"), "data frame"),
    "test pair third": ((IMAGES, LABELS, (IMAGES[:2], LABELS[:2])), "test_data="),
    "scikit-learn": ({"data": IMAGES, "images": IMAGES, "target": LABELS}, r"data\['images'\]"),
    "named arrays": (
        {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:2], "y_test": LABELS[:2]},
        r"data=\(data\['x_train'\], data\['y_train'\]\), test_data=\(data\['x_test'\]",
    ),
    "NaN pixels": ((np.full((6, 9, 9), np.nan), LABELS), "nan_to_num"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_structures_are_refused_with_what_to_give(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # files in the current folder may have such names
    data, remedy = REFUSED[case]
    with pytest.raises(UserError) as caught:
        read_source(data)
    assert len(str(caught.value).splitlines()) == 2

    assert re.search(remedy, caught.value.remedy)


def test_the_remedies_for_other_structures_work():
    data = {"cat": TEXTS[:3], "dog": TEXTS[3:]}
    inputs = [x for each in data.values() for x in each]
    labels = [name for name, each in data.items() for x in each]
    assert read_source((inputs, labels)).classes == ("cat", "dog")
    frame = pandas.DataFrame({"label": NAMES}, index=TEXTS)
    assert len(read_source(frame.reset_index(), columns="text=index")) == 6
    frame = pandas.DataFrame({"label": LABELS} | {f"p{k}": LABELS * k for k in range(64)})
    pixels = frame.iloc[:, 1:65].to_numpy("uint8").reshape(-1, 8, 8)
    assert read_source((pixels, frame["label"])).modality == "image"
