"""Which columns of a table are labels, end to end from a file of texts."""

import shlex

import numpy as np
import pytest

import tftransfer
from tftransfer.data.manifest import from_manifest
from tftransfer.readers.load import read_examples
from tftransfer.utils.errors import UserError


@pytest.fixture
def read(tmp_path):
    def write_and_read(cells, **options):
        count = len(next(iter(cells.values())))
        columns = {"text": [f"text {n}" for n in range(count)]} | cells
        lines = [",".join(columns), *map(",".join, zip(*columns.values()))]
        path = tmp_path / "t.csv"
        path.write_text("\n".join(lines) + "\n")
        return from_manifest(path, **options)

    return write_and_read


NAMES = ["dog", "rain", "clock"] * 8
NUMBERS = ["41", "0", "17"] * 8


@pytest.mark.parametrize("columns", [("target", "category"), ("category", "target"), ("a", "b")])
def test_a_label_in_two_columns_is_one_label_by_its_name(read, columns):
    numbers = next(name for name in columns if name in ("target", "a"))
    cells = {name: NUMBERS if name == numbers else NAMES for name in columns}
    found = read(cells)
    assert found.classes == ("clock", "dog", "rain") and found.labels[0] == 1
    (note,) = (each for each in found.warnings if "the same labels" in each)
    assert f"--columns=label={numbers}" in note
    assert read(cells, columns=f"label={numbers}").classes == ("0", "17", "41")


def test_folds_constants_and_descriptions_are_no_labels(read):
    count = len(NAMES)
    found = read(
        {
            "fold": [str(n % 3) for n in range(count)],
            "esc10": ["True"] * count,
            "take": [f"take {n % 20}" for n in range(count)],
            "id": [f"x{n}" for n in range(count)],
            "species": NAMES,
        }
    )
    assert found.classes == ("clock", "dog", "rain")
    assert "columns that are not used: fold, esc10, take, id" in found.warnings
    assert any("--group_by=fold" in each for each in found.warnings)


def test_numbers_next_to_names_are_no_labels_but_can_be(read):
    weights = [f"{n / 7:.3f}" for n in range(24)]
    found = read({"species": NAMES, "weight": weights})
    assert found.classes == ("clock", "dog", "rain")
    (note,) = (each for each in found.warnings if "next to columns of classes" in each)
    assert "--columns=label=weight --problem_type=regression" in note
    found = read(
        {"species": NAMES, "weight": weights}, columns="label=weight", problem_type="regression"
    )
    assert found.classes == ("weight",) and found.labels[7, 0] == 1


@pytest.mark.parametrize("name", ["part", "set", "split", "subset"])
def test_a_column_named_like_splits_that_divides_nothing_is_reported(read, name):
    found = read({name: ["wing", "door", "hood"] * 8, "label": NAMES})
    assert set(found.splits) == {""}
    (note,) = (each for each in found.warnings if "is not read as splits" in each)
    assert "wing, door, hood" in note
    alone = read({name: ["wing", "door", "hood"] * 8})
    assert alone.classes == ("door", "hood", "wing")


def test_a_column_of_splits_next_to_one_that_divides_nothing_is_used(read):
    found = read({"part": NAMES, "split": ["train", "val", "test"] * 8, "label": NAMES})
    assert found.splits[:3].tolist() == ["train", "val", "test"]


def test_a_misspelled_split_is_refused(read):
    with pytest.raises(UserError, match=r"split .* named 'trian'"):
        read({"split": ["trian", "train", "test"], "label": ["a", "b", "a"]})


@pytest.mark.parametrize("name", ["Class Name", "category_id", "TAGS", "label-name"])
def test_further_usual_names_of_labels(read, name):
    found = read({name: NAMES, "place": ["here", "there"] * 12})
    assert found.classes == ("clock", "dog", "rain")


def test_columns_of_0_and_1_with_a_class_that_never_occurs(read):
    cells = {"rude": ["1", "0", "1", "0"] * 5, "spam": ["1", "1", "0", "0"] * 5, "odd": ["0"] * 20}
    found = read(cells | {"id": [f"{n:04}" for n in range(20)]})
    assert (found.problem_type, found.classes) == ("multi_label", ("rude", "spam", "odd"))


def test_a_class_number_next_to_measurements_stays_a_regression(read):
    found = read({"width": ["0.5", "1.5", "2"] * 8, "height": ["1", "2", "3"] * 8})
    assert (found.problem_type, found.classes) == ("regression", ("width", "height"))


def test_valid_and_invalid_are_classes_and_a_named_label_is_no_split(read):
    found = read({"split": ["valid", "invalid"] * 12})
    assert found.classes == ("invalid", "valid") and set(found.splits) == {""}
    named = read({"set": ["train", "test"] * 12}, columns="label=set")
    assert named.classes == ("test", "train") and set(named.splits) == {""}


ROWS_OF_TEXTS = [f"{('a good', 'the bad', 'one more')[k % 3]} film {k}" for k in range(48)]


def _columns(tmp_path, **columns):
    path = tmp_path / "t.csv"
    lines = [",".join(cells) for cells in zip(ROWS_OF_TEXTS, *columns.values())]
    path.write_text("\n".join([",".join(["text", *columns]), *lines]), encoding="utf-8")
    return read_examples(tftransfer.Experiment(data=str(path)))


@pytest.mark.parametrize("label", ["label", "mood"])
@pytest.mark.parametrize("names", [("train", "test"), ("Training", "PublicTest", "PrivateTest")])
def test_a_column_of_splits_with_another_name_is_no_label_and_is_reported(tmp_path, label, names):
    splits = [names[k // 2 % len(names)] for k in range(48)]
    found = _columns(tmp_path, **{label: ["a", "b"] * 24, "Usage": splits})
    assert found.problem_type == "single_label" and found.classes == ("a", "b")
    assert any("--columns=split=Usage uses it" in line for line in found.warnings)


def test_the_remedy_for_a_column_of_splits_works(tmp_path):
    _columns(tmp_path, mood=["a", "b"] * 24, part_of=["train", "train", "test", "test"] * 12)
    given = {"data": str(tmp_path / "t.csv"), "columns": "split=part_of"}
    found = read_examples(tftransfer.Experiment(**given))
    assert found.classes == ("a", "b") and found.splits.tolist().count("test") == 24


@pytest.mark.parametrize(
    "date", ["2024-01-{:02}", "{}/1/2024", "{}.1.24", "2024-01-{:02} 10:00:00"]
)
def test_a_column_of_dates_is_no_label_next_to_names_and_is_reported(tmp_path, date):
    dates = [date.format(1 + k % 12) for k in range(48)]
    found = _columns(tmp_path, date=dates, mood=["a", "b"] * 24)
    assert found.classes == ("a", "b")
    assert any("holds dates and is no label; --columns=label=date" in w for w in found.warnings)
    found = _columns(tmp_path, date=dates)
    assert len(found.classes) == 12
    assert any("holds dates, each of which is a class" in line for line in found.warnings)


@pytest.mark.parametrize("separator", [" ", "\u00a0", "\u202f", "'", "\u2019"])
def test_thousands_may_be_separated_by_blanks_and_apostrophes(tmp_path, separator):
    prices = [f"{1000 * k + 123:,}".replace(",", separator) for k in range(48)]
    found = _columns(tmp_path, price=prices)
    assert found.problem_type == "regression"
    np.testing.assert_allclose(np.sort(found.labels[:, 0]), 1000 * np.arange(48) + 123)
    assert any("grouped thousands" in line for line in found.warnings)


@pytest.mark.parametrize("name", ["part", "set", "subset", "split"])
def test_a_column_named_like_splits_that_divides_nothing_is_no_label(tmp_path, name):
    parts = [f"part {k % 3}" for k in range(48)]
    found = _columns(tmp_path, mood=["a", "b"] * 24, **{name: parts})
    assert found.problem_type == "single_label" and found.classes == ("a", "b")
    (note,) = [line for line in found.warnings if "is not read as splits" in line]
    assert note.endswith(f"--columns=label={name} reads labels")
    given = {"data": str(tmp_path / "t.csv"), "columns": f"label={name}"}
    assert read_examples(tftransfer.Experiment(**given)).classes == ("part 0", "part 1", "part 2")
    assert _columns(tmp_path, **{name: parts}).classes == ("part 0", "part 1", "part 2")


@pytest.mark.parametrize("name", ["patient_id", "Subject ID", "speaker-no", "participant"])
def test_a_column_of_patients_is_no_label_and_the_remedy_groups_by_it(tmp_path, name):
    units = [f"P{k // 4}" for k in range(48)]
    found = _columns(tmp_path, **{name: units, "diagnosis": ["a", "b"] * 24})
    assert found.classes == ("a", "b")
    flag = f"--group_by={shlex.quote(name)}"
    assert any(f"{flag} keeps each in one split" in line for line in found.warnings)
    grouped = tftransfer.Experiment(data=str(tmp_path / "t.csv"), group_by=name)
    assert read_examples(grouped).classes == ("a", "b")
    assert len(_columns(tmp_path, **{name: units}).classes) == 12


def test_x_and_y_are_two_numbers(tmp_path):
    found = _columns(tmp_path, x=[f"{k / 4}" for k in range(48)], y=[f"{k / 8}" for k in range(48)])
    assert found.problem_type == "regression" and found.classes == ("x", "y")


@pytest.mark.parametrize(
    ("cell", "value"), [("\u2212{}.5", -1.5), ("\uff11.5{}", 1.51), ("\u0661.\u0665", 1.5)]
)
def test_minus_signs_and_digits_outside_of_ascii_are_numbers(tmp_path, cell, value):
    cells = [f"{k}.25" for k in range(48)]
    cells[0] = cell.format(1)
    found = _columns(tmp_path, value=cells)
    assert found.problem_type == "regression"
    np.testing.assert_allclose(np.sort(found.labels[:, 0])[[0, 1]], sorted([value, 1.25])[:2])
    assert any("outside of ASCII are read as numbers" in line for line in found.warnings)


def test_amounts_in_parentheses_are_negative(tmp_path):
    cells = [f"({k}.50)" if k % 2 else f"{k}.50" for k in range(48)]
    found = _columns(tmp_path, profit=cells)
    assert found.problem_type == "regression"
    np.testing.assert_allclose(found.labels[:, 0].min(), -47.5)
    assert any("in parentheses are read as negative" in line for line in found.warnings)
    names = [f"({k % 3})" for k in range(48)]
    assert _columns(tmp_path, label=names).problem_type == "single_label"


def test_column_that_is_the_same_in_every_row_is_no_label_and_reported(tmp_path):
    rows = [f"a text {number},{number / 8},12.5" for number in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(["text,weight,height", *rows]))
    found = from_manifest(tmp_path / "table.csv")
    assert found.classes == ("weight",)
    assert "columns that are the same in every row are no labels: height" in found.warnings
