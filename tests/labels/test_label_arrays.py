"""Labels in arrays and lists: what they are, with the reason."""

import numpy as np
import pytest

from tftransfer.core.experiment import Experiment
from tftransfer.labels.arrays import label_array, labels_from_array
from tftransfer.readers.load import read_all
from tftransfer.utils.errors import UserError


def read(labels, problem_type="auto", classes=()):
    return labels_from_array(label_array(labels, len(labels), "image"), problem_type, classes)


@pytest.mark.parametrize(
    ("labels", "problem_type", "expected_type", "classes", "expected"),
    [
        ([5, 3, 5], "auto", "single_label", ("3", "5"), [1, 0, 1]),
        ([[5], [3], [5]], "auto", "single_label", ("3", "5"), [1, 0, 1]),
        (["dog", "cat", "dog"], "auto", "single_label", ("cat", "dog"), [1, 0, 1]),
        ([b"dog", b"k\xc3\xa4fer"], "auto", "single_label", ("dog", "käfer"), [0, 1]),
        ([True, False], "auto", "single_label", ("False", "True"), [1, 0]),
        ([10, 9], "auto", "single_label", ("9", "10"), [1, 0]),
        ([1.0, 0.0], "auto", "single_label", ("0.0", "1.0"), [1, 0]),
        ([0.5, 2.0], "auto", "regression", ("y0",), [[0.5], [2.0]]),
        ([1, 2], "regression", "regression", ("y0",), [[1.0], [2.0]]),
        ([[0.5, 2], [1, 1]], "auto", "regression", ("y0", "y1"), [[0.5, 2], [1, 1]]),
        ([[0, 2], [1, 1]], "auto", "regression", ("y0", "y1"), [[0, 2], [1, 1]]),
        ([[0, 1], [1, 1]], "auto", "multi_label", ("y0", "y1"), [[0, 1], [1, 1]]),
        ([[0], [1]], "multi_label", "multi_label", ("y0",), [[0], [1]]),
    ],
)
def test_labels_from_array_infers_the_problem_type_and_classes(
    labels, problem_type, expected_type, classes, expected
):
    found = labels_from_array(np.asarray(labels), problem_type)
    assert (found.problem_type, found.classes) == (expected_type, classes) and found.reason
    np.testing.assert_array_equal(found.labels, np.array(expected, found.labels.dtype))
    assert found.labels.dtype == (np.int64 if expected_type == "single_label" else np.float32)


def test_labels_from_array_indexes_given_classes():
    found = labels_from_array(np.array([2, 0]), "auto", ("a", "b", "c"))
    assert found.labels.tolist() == [2, 0] and found.classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("labels", "problem_type", "classes", "message"),
    [
        ([0, 1, 2], "auto", ("a", "b"), "Label 2 of example 2 is outside 0 to 1"),
        ([0, -1, 2], "auto", ("a", "b"), "Label -1 of example 1 is outside 0 to 1"),
        ([0, -1], "auto", (), "Label -1 of example 1 is negative"),
        ([0.0, np.nan], "single_label", (), "Label nan of example 1 is negative or not finite"),
        ([0.0, np.nan], "auto", (), "The label of example 1 is not a finite number"),
        ([[1.5, 1], [2, np.inf]], "auto", (), "The label of example 1 is not a finite number"),
        ([[0, 1], [2, 0]], "multi_label", (), "The label of example 1 is not 0 or 1"),
        ([[0, 1], [np.nan, 0]], "multi_label", (), "The label of example 1 is not 0 or 1"),
        ([[0, 1], [1, 1]], "single_label", (), "Row 2 of the labels has 2 labels, not one"),
        ([[0, 3], [1, 1]], "single_label", (), r"shape \(2, 2\) are not one per example"),
        ([[[0, 1]], [[1, 0]]], "auto", (), r"shape \(2, 1, 2\) are not one per example"),
        (["a", "b"], "regression", (), "'a' are not numbers"),
        ([["a", "b"], ["b", "a"]], "regression", (), "'a' are not numbers"),
        ([["a", "b"], ["b", "a"]], "single_label", (), r"shape \(2, 2\) are not one per"),
        ([["a"], ["b", "c"]], "single_label", (), "several names for an example"),
        ([b"\xff", b"a"], "auto", (), "is not UTF-8"),
        ([[0.2, 0.8], [0.5, 0.5]], "auto", (), "fractions per example that sum to 1"),
    ],
)
def test_labels_from_array_names_the_first_bad_label(labels, problem_type, classes, message):
    with pytest.raises(UserError, match=message):
        read(labels, problem_type, classes)


ONE_HOT = np.eye(3)[[0, 2, 1, 0, 2]]


@pytest.mark.parametrize("dtype", [bool, np.int64, np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("problem_type", ["auto", "single_label"])
def test_one_hot_rows_are_one_label(dtype, problem_type):
    found = read(ONE_HOT.astype(dtype), problem_type)
    assert (found.problem_type, found.classes) == ("single_label", ("0", "1", "2"))
    assert found.labels.tolist() == [0, 2, 1, 0, 2] and found.labels.dtype == np.int64
    named = read(ONE_HOT.astype(dtype), problem_type, ("a", "b", "c"))
    assert named.classes == ("a", "b", "c")


def test_one_hot_rows_name_the_flag_that_reads_several_labels():
    assert "--problem_type=multi_label" in read(ONE_HOT).reason
    found = read(ONE_HOT, "multi_label")
    assert found.problem_type == "multi_label" and found.classes == ("y0", "y1", "y2")


def test_smoothed_rows_are_one_label_and_the_smoothing_is_reported():
    smoothed = (ONE_HOT * 0.9 + 0.1 / 3).astype(np.float32)
    found = read(smoothed)
    assert found.problem_type == "single_label" and found.labels.tolist() == [0, 2, 1, 0, 2]
    assert "label_smoothing=0.1 " in found.warnings[0]


def test_fractions_that_sum_to_1_are_asked_with_remedies_that_work():
    shares = np.array([[0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    with pytest.raises(UserError) as caught:
        read(shares)
    assert "labels.argmax(axis=1)" in caught.value.remedy
    assert read(shares.argmax(axis=1)).labels.tolist() == [1, 0, 0]
    assert read(shares, "regression").problem_type == "regression"


def test_class_numbers_in_columns_are_tasks_and_amounts_a_regression():
    tasks = np.array([[0, 2], [1, 5], [0, 2], [1, -1]] * 3)
    found = read(tasks)
    assert found.problem_type == "multi_task"
    assert found.classes == ("task0=0", "task0=1", "task1=2", "task1=5")
    assert "--problem_type=regression" in found.reason
    assert read(np.arange(60).reshape(30, 2)).problem_type == "regression"


def test_attributes_of_minus_1_and_1_are_several_labels():
    found = read(np.array([[1, -1], [1, 1], [-1, -1]]))
    assert found.problem_type == "multi_label" and found.labels.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert found.warnings[0] == "-1 is read as 0"


@pytest.mark.parametrize(
    "labels",
    [
        [["red"], ["red", "shiny"], []],
        [{"red"}, {"shiny", "red"}, set()],
        [("red",), ("red", "shiny"), ()],
        [["red", ""], ["red", "shiny"], ["", ""]],
    ],
)
def test_lists_and_sets_of_names_are_several_labels(labels):
    given = "multi_label" if "" in labels[0] else "auto"
    found = read(labels, given)
    assert (found.problem_type, found.classes) == ("multi_label", ("red", "shiny"))
    assert found.labels.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert "1 rows have no label" in found.warnings[0]


def test_rows_of_names_are_a_set_if_columns_share_names_and_else_tasks():
    found = read([["red", "shiny"], ["shiny", "round"], ["red", "round"]])
    assert found.problem_type == "multi_label" and found.classes == ("red", "round", "shiny")
    tasks = read([["red", "big"], ["blue", "small"], ["red", "small"]])
    assert tasks.problem_type == "multi_task" and "--problem_type=multi_label" in tasks.reason
    levels = read([["low", "high"], ["high", "high"], ["low", "low"]])
    assert levels.problem_type == "multi_task"


def test_strings_are_read_like_cells():
    assert read(["1,5", "2,25", "3"]).labels.tolist() == [[1.5], [2.25], [3]]
    assert read(["1.5", "2.25"]).problem_type == "regression"
    found = read(["a|b", "b", "a"] * 3)
    assert found.problem_type == "multi_label" and found.labels[0].tolist() == [1, 1]
    assert read(["a", "b"], "multi_label").labels.tolist() == [[1, 0], [0, 1]]
    assert read(["10", "9", "10"]).classes == ("10", "9")
    assert read(np.array(["b", "a"], object)).labels.tolist() == [1, 0]
    with pytest.raises(UserError, match="row 1: the label is empty"):
        read(["a", "", "b"])


def test_amounts_in_arrays_are_a_regression_with_a_flag_for_classes():
    ages = np.arange(18, 90)
    found = read(ages)
    assert found.problem_type == "regression" and "72 different whole numbers" in found.reason
    assert len(read(ages, "single_label").classes) == 72
    assert read(np.arange(100).repeat(3)).problem_type == "single_label"


def test_test_data_are_read_as_the_training_data():
    one_hot, images = np.eye(3)[[0, 1, 2, 0, 1, 2]], np.zeros((6, 8, 8, 3), np.uint8)
    images[:] = np.arange(6).reshape(6, 1, 1, 1)
    flags = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [1, 1], [0, 1]])
    for labels, test_labels, problem_type in (
        (one_hot, np.array([2.0, 0.0, 1.0]), "single_label"),  # names 2.0 and 2
        (flags, flags[1:3], "multi_label"),  # which look one-hot by chance
    ):
        test = (images[: len(test_labels)] + 100, test_labels)
        found = read_all(Experiment(data=(images, labels), test_data=test))
        expected = test_labels if problem_type == "multi_label" else test_labels.astype(int)
        assert found.problem_type == problem_type
        assert found.labels[found.where("test")].tolist() == expected.tolist()


def test_classes_of_test_data_are_spelled_as_in_the_training_data():
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1) * np.ones((1, 8, 8, 3), np.uint8)
    train = (images, ["caf\u00e9", "bar", "caf\u00e9", "bar"])
    test = (images[:2] + 50, ["cafe\u0301", "bar"])
    found = read_all(Experiment(data=train, test_data=test))
    assert found.classes == ("bar", "caf\u00e9")
    assert found.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert any("spelled as in the training data" in each for each in found.warnings)


def test_lists_of_class_numbers_are_several_labels():
    found = read([[1], [1, 20], [3]])
    assert found.problem_type == "multi_label" and found.classes == ("1", "3", "20")
    assert found.labels.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("labels", [[-1, 1, 1], [-1.0, 1.0, 1.0], ["-1", "1", "1"]])
def test_minus_1_and_1_are_two_classes(labels):
    found = read(labels)
    assert found.problem_type == "single_label" and found.labels.tolist() == [0, 1, 1]
    assert [float(name) for name in found.classes] == [-1, 1]


def test_dictionaries_are_columns_and_dates_are_refused_with_a_remedy():
    found = read([{"species": "cat", "color": "red"}, {"species": "dog", "color": "blue"}] * 3)
    assert found.problem_type == "multi_task"
    assert found.classes == ("species=cat", "species=dog", "color=blue", "color=red")
    several = read([{"rude": True, "spam": False}, {"rude": True, "spam": True}] * 3)
    assert several.classes == ("rude", "spam") and several.labels[0].tolist() == [1, 0]
    dates = np.array(["2020-01-01", "2021-01-01"] * 3, "datetime64[D]")
    with pytest.raises(UserError, match="datetime64") as caught:
        read(dates)
    assert "labels.astype(str)" in caught.value.remedy
    assert read(dates.astype(str)).classes == ("2020-01-01", "2021-01-01")


@pytest.mark.parametrize(
    ("labels", "given", "flag", "problem_type"),
    [
        ([0, 1, 2] * 10, "auto", "regression", "regression"),
        ([0.5, 1.25, 2.5] * 10, "auto", "single_label", "single_label"),
        ([[0, 1], [2, 0], [1, 1]] * 10, "single_label", "multi_task", "multi_task"),
        ([[0, 1], [1, 0], [1, 1]] * 10, "single_label", "multi_label", "multi_label"),
        ([["a", "b"], ["c", "b"], ["a", "d"]] * 10, "single_label", "multi_task", "multi_task"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 10, "auto", "multi_label", "multi_label"),
        ([[0, 1], [2, 0], [1, 1]] * 10, "auto", "regression", "regression"),
    ],
)
def test_problem_type_that_a_message_names_reads_the_labels(labels, given, flag, problem_type):
    labels = np.array(labels)
    try:
        message = labels_from_array(labels, given).reason
    except UserError as error:
        message = error.remedy
    assert f"--problem_type={flag}" in message
    assert labels_from_array(labels, flag).problem_type == problem_type


def test_smoothed_labels_name_no_other_reading():
    smoothed = np.eye(3)[[0, 1, 2] * 10] * 0.9 + 0.1 / 3
    found = labels_from_array(smoothed, "auto")
    assert found.problem_type == "single_label" and "--" not in found.reason


def test_class_numbers_as_multi_label_name_what_to_give():
    with pytest.raises(UserError) as caught:
        labels_from_array(np.array([0, 1, 2]), "multi_label")
    assert caught.value.remedy.startswith("Give a column of 0 and 1 per class")
