"""Tables in JSON and of Excel, and files that are no tables."""

import json

import numpy as np
import pytest
from PIL import Image

import tftransfer
from tftransfer.readers.load import read_examples
from tftransfer.utils.errors import UserError

TEXTS = [f"{('a good', 'the bad')[k % 2]} film {k}" for k in range(24)]
ROWS = [{"text": text, "label": "ab"[k % 2]} for k, text in enumerate(TEXTS)]


def _read(path):
    return read_examples(tftransfer.Experiment(data=str(path)))


COLUMNS = {"text": TEXTS, "label": [row["label"] for row in ROWS]}
LINES = "\n".join(map(json.dumps, ROWS))
NESTED = [{"data": {"text": row["text"]}, "label": row["label"]} for row in ROWS]
JSON = {
    "rows.json": json.dumps(ROWS),
    "indented.json": json.dumps(ROWS, indent=2),
    "lines.json": LINES,
    "lines.jsonl": LINES,
    "rows.jsonl": json.dumps(ROWS),
    "columns.json": json.dumps(COLUMNS),
    "pandas.json": json.dumps({n: dict(enumerate(c)) for n, c in COLUMNS.items()}),
    "inside.json": json.dumps({"version": 1, "data": ROWS}),
    "by_name.json": json.dumps({f"id{k}": row for k, row in enumerate(ROWS)}),
    "nested.jsonl": "\n".join(map(json.dumps, NESTED)),
}


@pytest.mark.parametrize("name", JSON)
def test_json_in_its_usual_structures_is_read(tmp_path, name):
    (tmp_path / name).write_text(JSON[name], encoding="utf-8")
    found = _read(tmp_path / name)
    assert [item.decode() for item in found.items] == TEXTS
    assert found.classes == ("a", "b") and found.labels.tolist() == [0, 1] * 12


CSV = {
    "sep.csv": ("sep=;\r\ntext;label\r\n", ";", "read by sep=;"),
    "bars.csv": ("text|label\n", "|", "vertical bars"),
    "semicolons.csv": ("text;label\n", ";", "semicolons"),
    "comma.csv": ("text, in full;label\n", ";", "semicolons"),
}


@pytest.mark.parametrize("name", CSV)
def test_other_delimiters_are_recognized_and_reported(tmp_path, name):
    head, delimiter, remark = CSV[name]
    lines = [f"{row['text']}{delimiter}{row['label']}" for row in ROWS]
    (tmp_path / name).write_text(head + "\n".join(lines), newline="")
    found = _read(tmp_path / name)
    assert [item.decode() for item in found.items] == TEXTS and found.classes == ("a", "b")
    assert any(remark in line for line in found.warnings)


NO_TABLES = {
    "t.xlsx": (b"PK\x03\x04", "is a spreadsheet", "pandas.read_excel("),
    "t.parquet": (b"PAR1", "is a Parquet table", "pandas.read_parquet("),
    "t.npz": (b"PK\x03\x04", "NumPy arrays", "(inputs, labels)"),
    "t.pkl": (b"\x80\x04", "is a pickle", "(inputs, labels)"),
    "t.csv.gz": (b"\x1f\x8b", "is a compressed file", "gunzip -k "),
    "t.rar": (b"Rar!", "is a RAR archive", "unrar x "),
    "t.txt": (b"some words", "neither a folder nor a table", "sub-folder per class"),
    "SMSSpam": (b"ham\thello you\nspam\twin now\nham\tsee you\n", "neither", "SMSSpam.tsv"),
    "book.csv": (b"PK\x03\x04" + bytes(99), "is an Excel workbook", "Save it as CSV"),
    "page.csv": (b"<!DOCTYPE html>\n<html>", "is a web page", "Download the table"),
    "lfs.csv": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
    "empty.json": (b"[]", "has no rows", "Add one object per example"),
    "other.json": (
        b'{"a": 1, "b": {"c": [1]}}',
        "is one JSON object with the keys a, b",
        "list of",
    ),
    "coco.json": (
        b'{"images": [], "annotations": [], "categories": []}',
        "annotation file of COCO",
        "columns path and label",
    ),
    "quote.csv": (
        b'text,label\n"a film,a\n' + b"".join(b"film %d,b\n" % k for k in range(9)),
        "row 2: a quote opens a cell that holds 10 rows",
        "Close the quote",
    ),
}


@pytest.mark.parametrize("name", NO_TABLES)
def test_files_that_are_no_tables_are_named_with_how_to_convert_them(tmp_path, name):
    content, message, remedy = NO_TABLES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        _read(tmp_path / name)
    assert message in caught.value.what and remedy in caught.value.remedy


def test_the_remedies_for_data_frames_and_copied_tables_work(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS)
    assert read_examples(tftransfer.Experiment(data=frame)).classes == ("a", "b")
    (tmp_path / "SMSSpam.tsv").write_text(
        "".join(f"{row['label']}\t{row['text']}\n" for row in ROWS)
    )
    assert _read(tmp_path / "SMSSpam.tsv").classes == ("a", "b")


def test_a_long_cell_with_line_breaks_is_text(tmp_path):
    poem = "roses are red\nviolets are blue\nsugar is sweet\nand so\nare you"
    rows = [f'"{poem} {k}",{"ab"[k % 2]}' for k in range(24)]
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(rows))
    assert _read(tmp_path / "t.csv").items[3].decode() == f"{poem} 3"


def test_utf16_with_a_mark_has_no_mark_in_its_header(tmp_path):
    text = "\n".join(["label,text", *(f"{row['label']},{row['text']}" for row in ROWS)])
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "t.csv").write_bytes(f"\ufeff{text}".encode(encoding))
        found = _read(tmp_path / "t.csv")
        assert found.classes == ("a", "b") and found.items[0].decode() == TEXTS[0]
        assert f"t.csv is read as {encoding}" in found.warnings


def test_json_of_splits_keeps_them(tmp_path):
    rows = {"train": ROWS[:16], "test": [{**row, "text": row["text"] + "!"} for row in ROWS[:8]]}
    (tmp_path / "t.json").write_text(json.dumps(rows))
    found = _read(tmp_path / "t.json")
    assert found.splits.tolist().count("test") == 8 and len(found) == 24
    assert found.classes == ("a", "b")


def test_json_of_names_and_labels_is_read(tmp_path):
    for k in range(12):
        pixels = np.random.default_rng(k).integers(0, 255, (9, 9, 3)).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    (tmp_path / "t.json").write_text(json.dumps({f"{k}.png": "ab"[k % 2] for k in range(12)}))
    found = _read(tmp_path / "t.json")
    assert found.modality == "image" and found.classes == ("a", "b")


def test_texts_that_are_pixels_are_refused_and_the_remedy_works(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    rows = [f"{'ab'[k % 2]},{' '.join(map(str, rng.integers(0, 255, 64)))}" for k in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["emotion,pixels", *rows]))
    with pytest.raises(UserError, match="pixels are 64 numbers, perhaps pixels") as caught:
        _read(tmp_path / "t.csv")
    code = caught.value.remedy.partition("give ")[2].removesuffix(" as data.")
    frame = pandas.read_csv(tmp_path / "t.csv").rename(columns={"emotion": "LABEL"})
    data = eval(code, {"numpy": np, "frame": frame})
    assert read_examples(tftransfer.Experiment(data=data)).modality == "image"
