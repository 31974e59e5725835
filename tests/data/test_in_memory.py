import numpy as np
import pytest
import tensorflow as tf

from tftransfer.preprocessing.image.decode import decode
from tftransfer.readers.encode import encode_png
from tftransfer.readers.in_memory import from_arrays, from_dataset
from tftransfer.readers.sources import read_source
from tftransfer.utils.errors import UserError


def _images(count=4, size=(5, 6), channels=3):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, *size, channels), np.uint8)


def _decoded(items):
    return np.stack([decode(tf.constant(data)).numpy() for data in items])


@pytest.mark.parametrize("channels", [1, 3])
def test_from_arrays_keeps_uint8_images_exactly(channels):
    images = _images(channels=channels)
    found = from_arrays(images, [3, 1, 1, 2])
    np.testing.assert_array_equal(_decoded(found.items), np.broadcast_to(images, (4, 5, 6, 3)))
    assert found.names == ["#0", "#1", "#2", "#3"] and found.warnings == ()
    assert found.classes == ("1", "2", "3") and found.labels.tolist() == [2, 0, 0, 1]
    assert found.splits.tolist() == [""] * 4 and found.splits.dtype.itemsize >= 4 * len(
        "train-kept"
    )


def test_from_arrays_accepts_gray_images_without_a_channel_axis():
    images = _images()[..., 0]
    found = _decoded(from_arrays(images, [0, 1, 0, 1]).items)
    np.testing.assert_array_equal(found, np.repeat(images[..., None], 3, axis=-1))


def test_from_arrays_drops_transparency():
    images = _images(channels=4)
    found = _decoded(from_arrays(images, [0, 1, 0, 1]).items)
    np.testing.assert_array_equal(found, images[..., :3])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_from_arrays_rounds_floating_images_to_8_bits_with_a_warning(dtype):
    values = np.array([0.0, 0.499 / 255, 0.501 / 255, 0.5, 254.6 / 255, 1.0], dtype)
    found = from_arrays(np.stack([values.reshape(2, 3)] * 2), [0, 1])
    assert found.warnings == (f"images of {values.dtype} in [0, 1] are stored with 8 bits",)
    expected = np.round(values.astype(np.float64) * 255).reshape(2, 3)
    np.testing.assert_array_equal(_decoded(found.items)[0, ..., 0], expected)


def test_from_arrays_accepts_a_list_of_images_of_several_sizes():
    found = from_arrays([_images(1, (2, 3))[0], _images(1, (4, 1))[0]], ["b", "a"])
    assert [decode(tf.constant(data)).shape for data in found.items] == [(2, 3, 3), (4, 1, 3)]
    assert found.classes == ("a", "b") and found.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"Image 7 has the shape \(4, 4, 2\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"Image 7 has the shape \(2, 4, 4, 3\)"),
        (np.zeros(9, np.uint8), r"Image 7 has the shape \(9, *\)|Image 7 has the shape \(9,\)"),
        (np.zeros((0, 4, 3), np.uint8), r"Image 7 has the shape \(0, 4, 3\)"),
        (np.zeros((0, 4, 3), np.float32), r"Image 7 has the shape \(0, 4, 3\)"),
        ("photo.jpg", r"Image 7 has the shape \(\)"),
        (np.full((2, 2), 1.01), r"Image 7 is float64 with values outside \[0, 1\]"),
        (np.full((2, 2), -0.01), r"outside \[0, 1\]"),
        (np.full((2, 2), np.nan), r"outside \[0, 1\]"),
        (np.full((2, 2), np.inf), r"outside \[0, 1\]"),
        (np.full((2, 2), 255, np.int64), r"Image 7 is int64 with values outside"),
        (np.full((2, 2), 300, np.uint16), r"Image 7 is uint16 with values outside"),
    ],
)
def test_encode_png_refuses_other_shapes_and_ranges(image, message):
    with pytest.raises(UserError, match=message):
        encode_png(image, 7)


def test_from_arrays_refuses_arrays_of_different_lengths():
    with pytest.raises(UserError, match="4 images but 3 labels"):
        from_arrays(_images(), [0, 1, 2])


@pytest.mark.parametrize("pair", [tuple, list])
def test_read_source_accepts_a_pair_of_arrays(pair):
    found = read_source(pair([_images(), np.array([[0], [1], [1], [0]], np.uint8)]))
    assert found.labels.tolist() == [0, 1, 1, 0]
    np.testing.assert_array_equal(found.targets(), [[1, 0], [0, 1], [0, 1], [1, 0]])


def test_read_source_passes_the_problem_type_to_arrays_and_datasets():
    images, labels = _images(), np.array([0, 1, 2, 3])
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    for data in ((images, labels), dataset):
        found = read_source(data, problem_type="regression")
        assert found.problem_type == "regression" and found.labels.tolist() == [[0], [1], [2], [3]]


@pytest.mark.parametrize("layout", ["pair", "dictionary", "more keys"])
def test_from_dataset_reads_images_and_labels(layout):
    images, labels = _images(), np.array(["b", "a", "b", "c"])
    elements = {
        "pair": (images, labels),
        "dictionary": {"label": labels, "image": images},
        "more keys": {"id": labels, "image": images, "label": labels},
    }[layout]
    found = read_source(tf.data.Dataset.from_tensor_slices(elements))
    assert found.classes == ("a", "b", "c") and found.labels.tolist() == [1, 0, 1, 2]
    np.testing.assert_array_equal(_decoded(found.items), images)
    assert found.names == ["#0", "#1", "#2", "#3"]


def test_from_dataset_keeps_encoded_bytes():
    items = [tf.io.encode_jpeg(image).numpy() for image in _images()]
    found = from_dataset(tf.data.Dataset.from_tensor_slices((items, [0, 1, 0, 1])))
    assert found.items == items


def test_from_dataset_reads_several_labels():
    labels = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]])
    found = from_dataset(tf.data.Dataset.from_tensor_slices((_images(), labels)))
    assert found.problem_type == "multi_label"
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda: tf.data.Dataset.from_tensor_slices(_images()), "The dataset yields ndarray"),
        (
            lambda: tf.data.Dataset.from_tensor_slices({"image": _images(), "z": [0] * 4}),
            "The dataset yields dictionaries with the keys image, z",
        ),
        (
            lambda: tf.data.Dataset.from_tensor_slices((_images(), [0] * 4, [1] * 4, [1] * 4)),
            "The dataset yields tuple",
        ),
        (
            lambda: tf.data.Dataset.from_tensor_slices((_images(), [0] * 4, range(4))),
            "Weights of examples are not supported",
        ),
        (
            lambda: tf.data.Dataset.from_tensor_slices((_images() * 2.0, [0] * 4)),
            "Image 0 is float64 with values outside",
        ),
        (
            lambda: tf.data.Dataset.from_tensor_slices((_images(), [0] * 4)).repeat(),
            "The dataset is infinite",
        ),
    ],
)
def test_from_dataset_refuses_other_elements(dataset, message):
    with pytest.raises(UserError, match=message):
        from_dataset(dataset())
