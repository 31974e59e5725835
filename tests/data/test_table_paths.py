"""Paths in tables that are not exact, missing or doubtful."""

import numpy as np
import pytest

import tftransfer
from tftransfer.data.manifest import read_items
from tftransfer.readers.encode import encode_png
from tftransfer.readers.load import read_examples
from tftransfer.readers.sources import read_source, read_unlabelled
from tftransfer.utils.errors import UserError


def _image(number):
    return encode_png(np.full((3, 4), number, np.uint8), number)


@pytest.fixture
def folder(tmp_path):
    """A folder with the images train/0001.jpg to train/0006.jpg, and a sub-folder of notes."""
    (tmp_path / "data" / "train").mkdir(parents=True)
    for number in range(1, 7):
        (tmp_path / "data" / "train" / f"000{number}.jpg").write_bytes(_image(number))
    return tmp_path / "data"


def _write(folder, rows, header="path,label", name="t.csv"):
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _rows(form):
    return [f"{form.format(number)},{'ab'[number % 2]}" for number in range(1, 7)]


SPELLINGS = {
    "backslashes": ("train\\000{}.jpg", "have backslashes"),
    "leading backslash": (".\\train\\000{}.jpg", "have backslashes"),
    "blanks": ("  train/000{}.jpg ", "have blanks or quotes around them"),
    "quotes": ("'train/000{}.jpg'", "have blanks or quotes around them"),
    "upper case": ("Train/000{}.JPG", "differ from the file names in upper and lower case"),
    "no extension": ("train/000{}", "have no extension"),
    "ids": ("000{}", "have no extension and name other folders"),
    "numbers": ("{}", "are numbers without the zeros"),
    "name alone": ("000{}.jpg", "name other folders than the files are in"),
    "Windows": (r"C:\Users\me\train\000{}.jpg", "have backslashes"),
    "other machine": ("/home/them/data/train/000{}.jpg", "name other folders"),
    "folder above": ("data/train/000{}.jpg", "are not relative to the folder of the table"),
    "address": ("https://example.com/data/train/000{}.jpg", "are addresses of files"),
    "file address": ("file://{folder}/train/000{}.jpg", "are addresses of files"),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_find_files_understands_other_spellings_and_reports_them(folder, case):
    form, warning = SPELLINGS[case]
    path = _write(folder, _rows(form.replace("{folder}", str(folder))))
    found = read_source(path)
    assert found.items == [str(folder.resolve() / f"train/000{n}.jpg") for n in range(1, 7)]
    assert found.classes == ("a", "b") and found.quarantine == ()
    (line,) = found.warnings
    assert line.startswith("6 paths ") and warning in line and "train/0001.jpg" in line
    items = read_items(path)
    assert list(items.items.values()) == found.items and items.warnings == found.warnings
    assert read_unlabelled(path).warnings == found.warnings


def test_find_files_of_exact_paths_reports_nothing(folder):
    for form in ("train/000{}.jpg", "./train/000{}.jpg", f"{folder}/train/000{{}}.jpg"):
        assert read_source(_write(folder, _rows(form))).warnings == ()


def test_find_files_prefers_the_media_file_of_a_name_without_extension(folder):
    (folder / "train" / "0001.txt").write_text("a note")
    found = read_source(_write(folder, _rows("000{}")))
    assert len(found) == 6 and found.items[0].endswith("0001.jpg")


def test_find_files_quarantines_what_may_be_two_files(folder):
    (folder / "more").mkdir()
    (folder / "more" / "0001.jpg").write_bytes(b"x")
    found = read_source(_write(folder, _rows("000{}")))
    assert len(found) == 5
    (entry,) = found.quarantine
    assert entry.name == "t.csv, row 2" and "0001 may be " in entry.reason


def test_find_files_gives_no_file_of_another_folder_to_a_few_missing_rows(folder):
    (folder / "old").mkdir()
    (folder / "old" / "0009.jpg").write_bytes(_image(9))
    found = read_source(_write(folder, [*_rows("train/000{}.jpg"), "train/0009.jpg,a"]))
    (entry,) = found.quarantine
    assert "does not exist; is it " in entry.reason and entry.reason.endswith("old/0009.jpg?")


def test_find_files_gives_no_file_to_two_cells(folder):
    rows = [f"test/000{number}.jpg,a" for number in range(1, 7)]
    found = read_source(_write(folder, [*_rows("train/000{}.jpg"), *rows]))
    assert len(found) == 6 and len(found.quarantine) == 6


def test_column_of_files_recognizes_a_column_by_its_content(folder):
    found = read_source(_write(folder, _rows("000{}"), header="identifier,breed"))
    assert found.classes == ("a", "b") and len(found) == 6
    assert "the column identifier names existing files" in found.warnings[0]


def test_a_column_of_texts_that_names_files_is_one_of_paths(folder):
    found = read_source(_write(folder, _rows("train/000{}.jpg"), header="document,label"))
    assert found.modality == "image" and "names existing files" in found.warnings[0]
    path = _write(folder, _rows("train/000{}.jpg"), header="document,label")
    assert read_source(path, columns="text=document").modality == "text"


def _experiment(path, **settings):
    return tftransfer.Experiment(data=str(path), validation_fraction=0, test_fraction=0, **settings)


def test_missing_files_are_quarantined_up_to_the_limit(folder):
    rows = [*(_rows("train/000{}.jpg") * 8), "train/gone.jpg,a", ",b"]
    found = read_examples(_experiment(_write(folder, rows)))
    assert len(found) == 48
    reasons = [(each.name, each.reason) for each in found.quarantine]
    assert reasons == [
        ("t.csv, row 50", "train/gone.jpg does not exist"),
        ("t.csv, row 51", "the path is empty"),
    ]


def test_missing_files_above_the_limit_are_counted_and_the_remedy_works(folder):
    rows = [*_rows("train/000{}.jpg"), *(f"gone{k}.jpg,a" for k in range(7)), "train/0001.jpg,b,c"]
    path = _write(folder, rows)
    with pytest.raises(UserError) as caught:
        read_examples(_experiment(path))
    what, remedy = caught.value.what, caught.value.remedy
    assert what.startswith("8 of 14 rows cannot be used, the first t.csv, row 8: gone0.jpg does")
    assert what.count("does not exist") == 5 and what.endswith("and 3 more")
    allowed = float(remedy.rpartition("--max_quarantine=")[2].rstrip("."))
    assert len(read_examples(_experiment(path, max_quarantine=allowed))) == 6


def test_table_of_files_that_are_all_missing_names_the_folder_of_its_paths(folder):
    with pytest.raises(UserError, match="none of 2 rows names an existing file") as caught:
        read_source(_write(folder, ["x.jpg,a", "y.jpg,b"]))
    assert str(folder.resolve()) in caught.value.remedy


def test_paths_that_lead_out_are_counted_and_the_remedy_works(folder):
    (folder / "labels").mkdir()
    rows = _rows("../train/000{}.jpg")
    with pytest.raises(UserError, match=r"leads out of .* \(6 rows do\)") as caught:
        read_source(_write(folder / "labels", rows))
    shown = caught.value.remedy.rpartition(": ")[2].rstrip(".")
    assert shown == str(folder.resolve() / "train" / "0001.jpg")
    rows = [row.replace("../", f"{folder.resolve()}/") for row in rows]
    assert len(read_source(_write(folder / "labels", rows))) == 6


def test_delimiters_at_the_end_of_rows_are_ignored(folder):
    found = read_source(_write(folder, [f"{row},," for row in _rows("train/000{}.jpg")]))
    assert len(found) == 6 and found.classes == ("a", "b")


def test_a_file_in_several_rows_has_several_labels(folder):
    rows = [f"train/000{n}.jpg,{name}" for n in range(1, 7) for name in ("ab", "a")[n % 2]]
    found = read_source(_write(folder, rows))
    assert found.problem_type == "multi_label" and found.classes == ("a", "b") and len(found) == 6
    np.testing.assert_array_equal(found.labels, [[1, n % 2 == 0] for n in range(1, 7)])
    assert "3 of 6 files have several rows with different labels" in found.warnings[0]
    as_rows = read_source(_write(folder, rows), problem_type="single_label")
    assert len(as_rows) == 9 and "3 rows repeat a file" in as_rows.warnings[0]
    np.testing.assert_array_equal(
        read_source(_write(folder, rows), problem_type="multi_label").labels, found.labels
    )


def test_repeated_rows_and_contradictions_are_reported_and_stay(folder):
    found = read_source(_write(folder, [*_rows("train/000{}.jpg"), *["train/0001.jpg,b"] * 3]))
    assert found.problem_type == "single_label" and len(found) == 9
    assert "3 rows repeat a file of another row, such as train/0001.jpg in 4" in found.warnings[0]
    marks = [f"train/000{n}.jpg,{mark}" for n in range(1, 7) for mark in (n % 3, n % 2)]
    assert read_source(_write(folder, marks)).problem_type == "single_label"
