"""What label cells mean: names, several names, numbers, 0 and 1; each reading has its reason."""

import numpy as np
import pytest

from tftransfer.labels.cells import labels_from_cells
from tftransfer.utils.errors import UserError


def read(*columns, names=(), problem_type="auto"):
    rows = dict(enumerate(map(list, zip(*columns)), 2))
    names = names or [f"c{k}" for k in range(len(columns))]
    return labels_from_cells(rows, names, problem_type, "t.csv")


TAGS = ["red", "round", "red,round", "shiny", "red,shiny", "round,shiny", "red,round,shiny"] * 4
FLAGS = [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]] * 4


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("commas", str),
        ("blanks", lambda cell: cell.replace(",", " ")),
        ("slashes", lambda cell: cell.replace(",", "/")),
        ("slashes", lambda cell: cell.replace(",", " / ")),
        ("+", lambda cell: cell.replace(",", "+")),
        ("&", lambda cell: cell.replace(",", " & ")),
        ("line breaks", lambda cell: cell.replace(",", "\n")),
        ("| or ;", lambda cell: cell.replace(",", "|")),
        ("lists", lambda cell: repr(cell.split(","))),
        ("lists", lambda cell: repr(tuple(cell.split(",")))),
        ("lists", lambda cell: str(np.array(cell.split(",")))),  # without commas
        ("lists", lambda cell: "{" + cell + "}"),
        ("lists", lambda cell: str(cell.split(",")).replace("'", '"')),
    ],
)
def test_several_labels_in_a_cell_are_split_where_the_pieces_recur(name, write):
    found = read([write(cell) for cell in TAGS])
    assert (found.problem_type, found.classes) == ("multi_label", ("red", "round", "shiny"))
    np.testing.assert_array_equal(found.labels, FLAGS)
    assert name in found.reason and "--problem_type=single_label" in found.reason
    single = read([write(cell) for cell in TAGS], problem_type="single_label")
    assert len(single.classes) == 7  # the remedy that the reason names


@pytest.mark.parametrize(
    "names",
    [
        ["golden retriever", "labrador retriever", "pug"],
        ["very good", "good", "very bad", "bad"],
        ["strongly agree", "agree", "neutral", "disagree", "strongly disagree"],
        ["red car", "blue car", "green car", "red bus", "blue bus", "green bus"],
        ["Washington, D.C.", "Paris, Texas", "Oslo"],
        ["a|b", "c|d", "e"],
        ["24/7", "9/5", "never"],
    ],
)
def test_names_with_delimiters_are_not_split(names):
    found = read(names * 10)
    assert (found.problem_type, set(found.classes)) == ("single_label", set(names))


def test_doubtful_delimiters_are_reported_with_a_flag_that_splits():
    cells = ["very good", "good", "very bad", "bad"] * 10
    (warning,) = read(cells).warnings
    assert warning.startswith("20 of 40 labels contain blanks (such as 'very good')")
    assert "--problem_type=multi_label does so" in warning
    assert read(cells, problem_type="multi_label").classes == ("bad", "good", "very")


def test_cells_of_given_multi_label_are_split_and_rows_without_labels_counted():
    found = read(["a, b", "", "b"], problem_type="multi_label")
    assert found.classes == ("a", "b") and found.labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert found.warnings[0] == "cells are split at commas"
    assert found.warnings[1] == "1 rows have no label: they are examples of no class"


def test_lists_of_numbers_are_vectors_one_hot_rows_or_class_numbers():
    vectors = read(["[0.5, 2]", "[1, 3.5]"])
    assert vectors.problem_type == "regression" and vectors.labels.tolist() == [[0.5, 2], [1, 3.5]]
    one_hot = read(["[0, 1]", "[1, 0]", "[0, 1]"])
    assert one_hot.problem_type == "single_label" and one_hot.labels.tolist() == [1, 0, 1]
    numbers = read(["[3]", "[3, 10]", "[10]"])
    assert numbers.classes == ("3", "10") and numbers.labels.tolist() == [[1, 0], [1, 1], [0, 1]]
    alone = read(["['cat']", "['dog']", "['cat']"])
    assert alone.problem_type == "single_label" and alone.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["6,37", "0,5", "12"], [6.37, 0.5, 12]),
        (["1.163,74", "963,7", "1.200"], [1163.74, 963.7, 1200]),
        (["1 163,74", "963,7", "-5,0"], [1163.74, 963.7, -5]),
        (["1,234.5", "950.0", "12,345,678.25"], [1234.5, 950, 12345678.25]),
        (["1'234.5", "950,5"], None),
        (["0,123", "1,250", "3,000"], [0.123, 1.25, 3]),
        (["1,50 €", "2,25 €", "3 €"], [1.5, 2.25, 3]),
        (["12.5%", "99.0%"], [12.5, 99]),
        (["$1,234.50", "$2.00"], [1234.5, 2]),
    ],
)
def test_numbers_of_other_countries_and_units_are_a_reported_regression(cells, values):
    found = read(cells)
    if values is None:  # neither style reads all cells
        assert found.problem_type == "single_label"
        return
    assert found.problem_type == "regression" and found.warnings
    np.testing.assert_allclose(found.labels[:, 0], np.float32(values))


def test_a_comma_that_may_be_either_stops_with_a_remedy_that_works():
    with pytest.raises(UserError, match=r"'1,250' may be 1\.250 or 1250") as caught:
        read(["1,250", "2,500"])
    assert "decimal point" in caught.value.remedy
    assert read(["1.250", "2.500"]).labels.tolist() == [[1.25], [2.5]]
    assert read(["950", "1,250"] * 6, problem_type="regression").labels[1, 0] == 1250


@pytest.mark.parametrize(
    ("numbers", "name", "expected"),
    [
        (range(40), "label", "regression"),  # each once
        ([*range(18, 91)] * 3, "label", "regression"),  # does not start at 0 or 1
        ([*range(100)] * 5, "label", "single_label"),
        ([*range(1, 91)] * 5, "label", "single_label"),
        ([*range(1, 91)] * 5, "Age", "regression"),
        ([41, 0, 17] * 5, "label", "single_label"),
        ([1, 2, 3, 4, 5] * 4, "score", "single_label"),
    ],
)
def test_whole_numbers_are_amounts_or_classes(numbers, name, expected):
    found = read([str(number) for number in numbers], names=[name])
    assert found.problem_type == expected
    other = "single_label" if expected == "regression" else "regression"
    assert f"--problem_type={other}" in found.reason
    assert read(list(map(str, numbers)), problem_type=other).problem_type == other


@pytest.mark.parametrize(
    ("yes", "no"),
    [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("yes", "no"), ("Y", "N"), ("1", "-1")],
)
def test_columns_of_0_and_1_are_several_labels(yes, no):
    found = read([yes, no, no], [yes, yes, no], [no, no, no], names=("a", "b", "never"))
    assert (found.problem_type, found.classes) == ("multi_label", ("a", "b", "never"))
    assert found.labels.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert "never; each has no 1" in found.warnings[0]
    tasks = read([yes, no, no], [yes, yes, no], problem_type="multi_task")
    assert "--problem_type=multi_task" in found.reason and len(tasks.classes) == 4


def test_crosses_next_to_empty_cells_are_labels():
    found = read(["x", "", "x"], ["X", "x", ""])
    assert found.labels.tolist() == [[1, 1], [0, 1], [1, 0]]


def test_an_empty_cell_among_0_and_1_is_unknown():
    columns = ["0", "1", "", "1"], ["1", "0", "1", "1"]
    found = read(*columns)
    assert found.problem_type == "multi_task" and found.labels[2].tolist() == [-1, 1]
    several = read(*columns, problem_type="multi_label")
    assert several.labels[2].tolist() == [0, 1]
    assert several.warnings == ("1 empty cells are read as 0",)


def test_columns_with_one_1_in_each_row_are_one_label():
    found = read(["1", "0", "0"], ["0", "1", "1"], ["0", "0", "0"], names=("cat", "dog", "eel"))
    assert (found.problem_type, found.classes) == ("single_label", ("cat", "dog"))
    assert found.labels.tolist() == [0, 1, 1] and "eel; each has no 1" in found.warnings[0]
    assert "--problem_type=multi_label" in found.reason
    several = read(["1", "0"], ["0", "1"], problem_type="multi_label")
    assert several.labels.tolist() == [[1, 0], [0, 1]]


def test_one_column_of_0_and_1_is_one_label_or_as_given_several():
    assert read(["0", "1", "1"], names=["cracked"]).classes == ("0", "1")
    found = read(["0", "1", "1"], names=["cracked"], problem_type="multi_label")
    assert found.classes == ("cracked",) and found.labels.tolist() == [[0], [1], [1]]


def test_single_label_of_columns_without_one_1_is_refused():
    with pytest.raises(UserError, match="Row 2 of the labels has 2 labels") as caught:
        read(["1", "1"], ["0", "1"], problem_type="single_label")
    assert "--problem_type=multi_label" in caught.value.remedy


@pytest.mark.parametrize("name", ["INF", "None", "NA", "null", "?", "-inf"])
def test_names_that_look_like_nothing_or_infinity_are_classes_and_reported(name):
    found = read(["flu", name, "flu", name])
    assert set(found.classes) == {"flu", name}
    assert f"2 labels are {name!r}, which is read as the name of a class" in found.warnings[0]


def test_names_that_look_like_numbers_stay_as_they_are():
    found = read(["007", "7", "7.0", "1e3", "x"])
    assert set(found.classes) == {"007", "7", "7.0", "1e3", "x"}
    assert found.warnings == ("classes that are the same number, written differently: 007, 7, 7.0",)


def test_missing_values_among_measurements_stop_with_their_rows():
    with pytest.raises(UserError, match=r"3 rows \(3, 5, 6\): 'NA' is not a finite number"):
        read(["0.5", "NA", "1.5", "NA", "nan", "2"])


def test_names_that_look_the_same_are_one_class_and_case_is_reported():
    composed, decomposed, hidden = "caf\u00e9", "cafe\u0301", "caf\u00e9\u200b"
    found = read([composed, composed, decomposed, hidden, "Cafe", "cafe"])
    assert found.classes == ("Cafe", "cafe", composed)
    assert "3 spellings of 'café' that differ only in blanks" in found.warnings[0]
    assert found.warnings[1] == "classes that differ only in case: Cafe, cafe"
    assert read(["a  b", "a b", "a\u00a0b", "c"]).classes == ("a b", "c")


def test_spellings_of_true_are_one_class_where_all_labels_are_booleans():
    found = read(["true", "True", "TRUE", "False", "true"])
    assert found.classes == ("False", "true") and len(found.warnings) == 1
    assert read(["true", "True", "x"]).classes == ("True", "true", "x")


def test_empty_labels_are_counted():
    with pytest.raises(UserError, match=r"6 rows \(3, 4, 5, 6, 7 and 1 more\): the label is empty"):
        read(["a", "", "", "", "", "", "", "b"])


def test_columns_of_amounts_and_of_classes_are_refused_with_both_commands():
    ages = [str(20 + 3 * n) for n in range(30)]
    with pytest.raises(UserError, match="numbers to predict, age, and of classes, sex") as caught:
        read(ages, ["0", "1", "2"] * 10, names=("age", "sex"))
    assert "--columns=label=age --problem_type=regression" in caught.value.remedy
    assert "--columns=label=sex" in caught.value.remedy


@pytest.mark.parametrize("cell", ["{}", "[]"])
def test_cells_without_any_label_are_refused(cell):
    with pytest.raises(UserError, match="no label in any row"):
        read([cell, cell])


def test_one_row_of_0_and_1_as_given_single_label():
    assert read(["true"], ["no"], problem_type="single_label").labels.tolist() == [0]
