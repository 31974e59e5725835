"""Values as people have them in Python: data frames, lists of files, Keras and tf.data datasets."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.preprocessing.image.decode import decode
from tftransfer.readers.encode import encode_png
from tftransfer.readers.in_memory import from_arrays
from tftransfer.readers.sources import read_source, read_unlabelled
from tftransfer.utils.errors import UserError

pandas = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 5, 7, 3), np.uint8)
NAMES = ["cat", "dog"] * 3
TEXTS = [f"text number {number}" for number in range(6)]


def _decoded(found):
    return np.stack([decode(tf.constant(item)).numpy() for item in found.items])


@pytest.fixture
def files(tmp_path):
    """Six images in folders of their class, in the order of `IMAGES`."""
    paths = []
    for number, (image, name) in enumerate(zip(IMAGES, NAMES)):
        path = tmp_path / "photos" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(image, number))
        paths.append(path)
    return paths


def _as_dataset(values):
    return tf.data.Dataset.from_tensor_slices(([str(each) for each in values], NAMES))


LISTS = {
    "strings": lambda files: ([str(file) for file in files], NAMES),
    "paths": lambda files: (files, NAMES),
    "array of strings": lambda files: (np.array([str(file) for file in files]), NAMES),
    "array of paths": lambda files: (np.array(files, object), np.array(NAMES)),
    "series": lambda files: (pandas.Series([str(f) for f in files], index=range(9, 15)), NAMES),
    "dataset": _as_dataset,
    "batched dataset": lambda files: _as_dataset(files).batch(4),
    "frame": lambda files: pandas.DataFrame({"file": [str(f) for f in files], "label": NAMES}),
    "frame of paths": lambda files: pandas.DataFrame({"x": files, "label": NAMES}),
    "dictionary": lambda files: {"path": [str(file) for file in files], "label": NAMES},
    "pairs": lambda files: [(str(file), name) for file, name in zip(files, NAMES)],
}


@pytest.mark.parametrize("case", LISTS)
def test_names_of_files_are_files_in_every_container(files, case):
    found = read_source(LISTS[case](files))
    assert (found.modality, found.classes) == ("image", ("cat", "dog"))
    assert found.items == [str(file.resolve()) for file in files]
    assert found.labels.tolist() == [0, 1] * 3
    if case not in ("paths", "array of paths", "dictionary", "frame"):
        assert any("names of existing files" in w or "are read as" in w for w in found.warnings)


def test_unlabelled_names_of_files_are_files(files):
    for data in ([str(file) for file in files], files, np.array([str(file) for file in files])):
        found = read_unlabelled(data)
        assert found.modality == "image" and found.items == [str(file) for file in files]
    dataset = tf.data.Dataset.from_tensor_slices([str(file) for file in files])
    assert read_unlabelled(dataset).items == [str(file) for file in files]
    assert read_unlabelled([str(file) for file in files[:2]]).modality == "image"


def test_a_few_missing_files_are_quarantined_with_their_labels(files):
    names = [str(file) for file in files] * 5
    names[3] = "gone.png"
    found = from_arrays(names, NAMES * 5)
    assert len(found) == 29 and found.labels.tolist()[2:5] == [0, 0, 1]
    assert [(each.name, each.reason) for each in found.quarantine] == [
        ("#3", "gone.png does not exist")
    ]


def test_names_of_images_that_do_not_exist_are_no_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"None of these 6 files exists: a0\.png") as caught:
        read_source(([f"a{number}.png" for number in range(6)], NAMES))
    assert str(tmp_path) in caught.value.remedy


def test_texts_that_name_files_are_reported(files, monkeypatch):
    monkeypatch.chdir(files[0].parent)
    found = read_source(([*TEXTS[:5], "0.png"], NAMES))
    assert found.modality == "text" and found.items[5] == b"0.png"
    assert "1 of 6 texts are names of existing files" in found.warnings[0]


LABELED_FRAME = pandas.DataFrame({"text": TEXTS, "label": NAMES}, index=range(20, 26))
FRAMES = {
    "series": (LABELED_FRAME.text, LABELED_FRAME.label),
    "frame of one column": (LABELED_FRAME[["text"]], LABELED_FRAME[["label"]]),
    "categories": (LABELED_FRAME.text.astype("category"), LABELED_FRAME.label.astype("category")),
    "nullable strings": (LABELED_FRAME.text.astype("string"), LABELED_FRAME.label.astype("string")),
    "index": (pandas.Index(TEXTS), pandas.Index(NAMES)),
    "whole frame": LABELED_FRAME,
    "dictionary": {"text": TEXTS, "label": NAMES},
    "dictionary of series": {"sentence": LABELED_FRAME.text, "y": LABELED_FRAME.label},
    "equal weights": (TEXTS, NAMES, np.ones(6)),
    "list of pairs": list(zip(TEXTS, NAMES)),
    "generator": lambda: zip(TEXTS, NAMES),
    "dataset": lambda: tf.data.Dataset.from_tensor_slices((TEXTS, NAMES)),
    "batches": lambda: tf.data.Dataset.from_tensor_slices((TEXTS, NAMES)).batch(4),
    "dataset of dictionaries": lambda: tf.data.Dataset.from_tensor_slices(
        {"text": TEXTS, "label": NAMES}
    ).batch(4),
}


@pytest.mark.parametrize("case", FRAMES)
def test_texts_and_names_are_read_from_every_container(case):
    data = FRAMES[case]() if callable(FRAMES[case]) else FRAMES[case]
    found = read_source(data)
    assert found.modality == "text" and [item.decode() for item in found.items] == TEXTS
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [0, 1] * 3


@pytest.mark.parametrize("case", [case for case in FRAMES if case != "generator"])
def test_texts_without_labels_are_read_from_every_container(case):
    data = FRAMES[case]() if callable(FRAMES[case]) else FRAMES[case]
    if case == "equal weights":
        data = data[:2]
    found = read_unlabelled(data)
    assert [item.decode() for item in found.items] == TEXTS


NUMBERS = {
    "nullable": pandas.Series([0, 1] * 3, dtype="Int64", index=range(7, 13)),
    "nullable booleans": pandas.Series([False, True] * 3, dtype="boolean"),
    "categories": pandas.Series([0, 1] * 3).astype("category"),
    "tensor": tf.constant([0, 1] * 3),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_of_classes_are_read_from_every_type(case):
    found = read_source((IMAGES, NUMBERS[case]))
    assert found.classes in (("0", "1"), ("False", "True")) and found.labels.tolist() == [0, 1] * 3
    np.testing.assert_array_equal(_decoded(found), IMAGES)


def test_a_frame_keeps_splits_groups_and_numbers():
    frame = LABELED_FRAME.assign(split=["train", "test"] * 3, who=list("aabbcc"))
    found = read_source(frame, group_by="who")
    assert found.splits.tolist() == ["train", "test"] * 3
    assert found.groups == list("aabbcc") and found.classes == ("cat", "dog")
    frame = pandas.DataFrame({"text": TEXTS, "label": np.arange(6) / 4})
    np.testing.assert_allclose(read_source(frame).labels[:, 0], np.arange(6) / 4)


def test_a_frame_with_arrays_in_cells_gives_inputs_and_labels():
    waves = [np.sin(np.arange(900) * (0.1 + k / 9)) for k in range(6)]
    found = read_source(pandas.DataFrame({"wave": waves, "label": NAMES}))
    assert found.modality == "audio" and found.classes == ("cat", "dog")
    assert read_source((pandas.Series(waves, index=range(3, 9)), NAMES)).modality == "audio"
    found = read_source({"image": IMAGES, "label": NAMES})
    np.testing.assert_array_equal(_decoded(found), IMAGES)


MISSING = {
    "label": ((TEXTS, pandas.Series(["cat", pandas.NA] * 3, dtype="string")), "label of example 1"),
    "missing number": ((TEXTS, pandas.Series([1, None] * 3, dtype="Int64")), "label of example 1"),
    "text": ((pandas.Series([*TEXTS[:5], None]), NAMES), "Text 5 is None"),
    "dates": ((TEXTS, pandas.date_range("2020-01-01", periods=6)), "are dates"),
    "columns": ({"text": TEXTS, "label": NAMES[:4]}, "differ in length: text 6, label 4"),
    "set": ((set(TEXTS), NAMES), "set, which has no order"),
    "number": ((5, NAMES), "int, which has no order or no elements"),
    "array alone": (IMAGES, "ndarray, without labels"),
    "weights": ((TEXTS, NAMES, range(6)), "Weights of examples are not supported"),
    "function": (lambda: iter(()), "function, without labels"),
    "several inputs": (
        tf.data.Dataset.from_tensor_slices(({"a": TEXTS, "b": TEXTS}, NAMES)),
        "several inputs",
    ),
    "no examples": (tf.data.Dataset.from_tensor_slices((TEXTS, NAMES)).take(0), "no examples"),
    "no rows": (pandas.DataFrame({"text": [], "label": []}), "no rows"),
    "endless": (((TEXTS[0], name) for name in iter(lambda: "cat", "")), "may not end"),
}


@pytest.mark.parametrize("case", MISSING)
def test_values_that_cannot_be_used_are_named(case, monkeypatch):
    monkeypatch.setattr("tftransfer.readers.elements._MAX_ELEMENTS", 50)
    data, message = MISSING[case]
    with pytest.raises(UserError, match=message) as caught:
        read_source(data)
    assert caught.value.remedy


class _Batches(keras.utils.PyDataset):
    """Batches of four, as a Keras dataset."""

    def __len__(self):
        return 2

    def __getitem__(self, number):
        some = slice(4 * number, 4 * number + 4)
        return IMAGES[some].astype(np.float32), np.array([0, 1] * 3)[some]


DATASETS = {
    "uint8": lambda: tf.data.Dataset.from_tensor_slices((IMAGES, [0, 1] * 3)),
    "batches": lambda: tf.data.Dataset.from_tensor_slices((IMAGES, [0, 1] * 3)).batch(4),
    "float batches": lambda: tf.data.Dataset.from_tensor_slices(
        (IMAGES.astype(np.float32), [0, 1] * 3)
    ).batch(4),
    "fractions": lambda: tf.data.Dataset.from_tensor_slices((IMAGES / 255, [0, 1] * 3)).batch(6),
    "Keras": lambda: _Batches(),
    "generator of batches": lambda: (_Batches()[number] for number in range(2)),
    "whole numbers": lambda: (IMAGES.astype(np.int64), [0, 1] * 3),
    "equal weights": lambda: tf.data.Dataset.from_tensor_slices(
        (IMAGES, [0, 1] * 3, np.ones(6))
    ).batch(4),
}


@pytest.mark.parametrize("case", DATASETS)
def test_images_are_exact_from_every_dataset_and_the_reading_is_reported(case):
    found = read_source(DATASETS[case]())
    np.testing.assert_array_equal(_decoded(found), IMAGES)
    assert found.labels.tolist() == [0, 1] * 3
    text = " ".join(found.warnings)
    assert ("batches, of" in text) == (case not in ("uint8", "whole numbers"))
    assert ("from 0 to 255 are rounded" in text) == (
        case in ("float batches", "Keras", "generator of batches", "whole numbers")
    )


def test_unlabelled_images_are_read_from_datasets():
    for data in (DATASETS["float batches"](), _Batches(), IMAGES, tf.constant(IMAGES)):
        np.testing.assert_array_equal(_decoded(read_unlabelled(data)), IMAGES)
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES.astype(np.float32)).batch(4)
    np.testing.assert_array_equal(_decoded(read_unlabelled(dataset)), IMAGES)
    np.testing.assert_array_equal(_decoded(read_unlabelled([IMAGES[0], IMAGES[1]])), IMAGES[:2])


def test_image_dataset_from_directory_keeps_its_classes(files):
    for mode in ("int", "categorical", "binary"):
        dataset = keras.utils.image_dataset_from_directory(
            files[0].parents[1],
            label_mode=mode,
            batch_size=4,
            image_size=(5, 7),
            shuffle=False,
            verbose=False,
        )
        if mode != "categorical":
            found = read_source(dataset)
            assert found.classes == ("cat", "dog") and found.labels.tolist() == [0] * 3 + [1] * 3
            np.testing.assert_array_equal(_decoded(found), [*IMAGES[::2], *IMAGES[1::2]])
            assert any("class_names of the dataset: cat, dog" in text for text in found.warnings)


def test_dark_images_among_images_up_to_255_stay_dark():
    images = IMAGES.astype(np.float32)
    images[0], images[4] = 1.0, 0.0
    found = _decoded(from_arrays(images, NAMES))
    np.testing.assert_array_equal(found, images.astype(np.uint8))


def test_images_up_to_1_and_up_to_255_are_refused():
    images = [image / 255 for image in IMAGES]
    images[5] = images[5] * 255
    with pytest.raises(UserError, match="1 images have values up to 255, and 5 up to 1"):
        from_arrays(images, NAMES)
    with pytest.raises(UserError, match="outside") as caught:
        from_arrays(IMAGES / 127.5 - 1, NAMES)
    assert "(images + 1) / 2" in caught.value.remedy
    found = from_arrays((IMAGES / 127.5 - 1 + 1) / 2, NAMES)
    np.testing.assert_array_equal(_decoded(found), IMAGES)


def test_images_of_pillow_with_a_palette_keep_their_colors():
    from PIL import Image

    colors = [Image.new("RGB", (4, 3), (250, 10, 10)), Image.new("RGB", (4, 3), (10, 10, 250))]
    found = from_arrays([each.convert("P") for each in colors], ["red", "blue"])
    np.testing.assert_allclose(_decoded(found)[0, 0, 0], [250, 10, 10], atol=30)


def test_labels_that_are_one_column_of_a_frame_are_numbers_or_names():
    found = read_source((IMAGES, pandas.DataFrame({"a": [0.5, 1] * 3, "b": [2.0, 3] * 3})))
    assert found.problem_type == "regression" and found.labels.shape == (6, 2)
