"""Files that are no tables: what they are, and how to convert them."""

from __future__ import annotations

import shlex
from pathlib import Path

from tftransfer.utils.errors import UserError

_TEXT_TABLES = ("", ".txt", ".dat", ".data", ".tab", ".psv", ".all")
_FRAME = "In Python give pandas.{}({!r}) as data, or save that as CSV."
_ARRAYS = "In Python give (inputs, labels) from it as data."
_HUGGING_FACE = "In Python give a list of its rows as data: list(datasets.load_from_disk(...))."
_UNPACK = "Unpack it, and give the folder or table: {} {}."
# Extension to what the file is, and the remedy.
_FORMATS = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods"), ("a spreadsheet", "read_excel")),
    ".parquet": ("a Parquet table", "read_parquet"),
    ".feather": ("a Feather table", "read_feather"),
    ".orc": ("an ORC table", "read_orc"),
    ".dta": ("a table of Stata", "read_stata"),
    ".sas7bdat": ("a table of SAS", "read_sas"),
    ".sav": ("a table of SPSS", "read_spss"),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), ("a pickle", _ARRAYS)),
    **dict.fromkeys((".npz", ".npy"), ("a file of NumPy arrays", _ARRAYS)),
    **dict.fromkeys((".h5", ".hdf5"), ("an HDF5 file", _ARRAYS)),
    ".mat": ("a file of MATLAB", _ARRAYS),
    **dict.fromkeys((".pt", ".pth"), ("a file of PyTorch", _ARRAYS)),
    **dict.fromkeys(
        (".tfrecord", ".tfrecords"),
        (
            "a file of TFRecords",
            "In Python give a "
            "tf.data.Dataset of (input, label) as data, parsed by tf.io.parse_single_example.",
        ),
    ),
    **dict.fromkeys(
        (".db", ".sqlite", ".sqlite3"),
        ("a database", "In Python give pandas.read_sql(QUERY, CONNECTION) as data."),
    ),
    ".arrow": ("a table of Arrow", _HUGGING_FACE),
    ".arff": (
        "a table of Weka",
        "In Python give pandas.DataFrame(scipy.io.arff.loadarff(FILE)[0]) as data.",
    ),
    ".rar": ("a RAR archive", _UNPACK.format("unrar x", "{}")),
    ".7z": ("a 7-Zip archive", _UNPACK.format("7z x", "{}")),
    ".gz": ("a compressed file", _UNPACK.format("gunzip -k", "{}")),
    ".bz2": ("a compressed file", _UNPACK.format("bunzip2 -k", "{}")),
    ".xz": ("a compressed file", _UNPACK.format("unxz -k", "{}")),
    ".zst": ("a compressed file", _UNPACK.format("unzstd", "{}")),
    **dict.fromkeys(
        (".yaml", ".yml"),
        (
            "a YAML file",
            "For a YOLO data set give its folder of "
            "images, sorted into one sub-folder per class, or a table of path and label.",
        ),
    ),
    ".xml": ("an XML file", "Write a table with the columns path and label from it."),
}


def not_data(path: Path, text: str) -> UserError:
    """Returns the error for a file that is neither a table nor an archive.

    Args:
      path: Path of the file.
      text: The value of `--data`.
    """
    suffix = path.suffix.lower()
    if suffix in _FORMATS:
        what, remedy = _FORMATS[suffix]
        remedy = _FRAME.format(remedy, str(path)) if remedy.startswith("read_") else remedy
        remedy = remedy.replace("{}", shlex.quote(str(path)))
        return UserError(f"--data={text} is {what}, which is not read.", remedy)
    remedy = "Give a folder with one sub-folder per class, an archive of it, or a table: .csv, "
    remedy += ".tsv, .json or .jsonl."
    delimiter = _delimiter(path) if suffix in _TEXT_TABLES else ""
    if delimiter:
        name = path.with_suffix(".tsv" if delimiter == "\t" else ".csv").name
        remedy = f"It looks like a table: copy it to {name} and give that."
    return UserError(f"--data={text} is neither a folder nor a table nor an archive.", remedy)


def check_is_text(data: bytes, path: Path) -> None:
    """Checks that a file with the extension of a table has no other format.

    Args:
      data: Content of the file.
      path: Path of the file.

    Raises:
      UserError: The file is a workbook, another binary file, a web page or a pointer of Git LFS.
    """
    head = data[:512].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise UserError(
            f"{path} is an Excel workbook or an archive, not text.",
            "Save it as CSV, or give it under its own extension, such as .xlsx or .zip.",
        )
    if data.startswith((b"\x1f\x8b", b"PAR1", b"ARROW1", b"SQLite format")):
        raise UserError(
            f"{path} is a binary file, not text.", "Unpack it, or export it as a text table."
        )
    if head.startswith((b"<!doctype html", b"<html")):
        raise UserError(
            f"{path} is a web page, not a table.",
            "Download the table itself; the page may ask for a login or a confirmation.",
        )
    if head.startswith(b"version https://git-lfs"):
        raise UserError(
            f"{path} is a pointer of Git LFS, not the table.", "Fetch the file: git lfs pull."
        )


def _delimiter(path: Path) -> str:
    """Returns the delimiter of a text file whose first lines have the same number of them."""
    with path.open("rb") as file:
        lines = file.read(1 << 16).split(b"\n")[:20]
    for delimiter in "\t", ",", ";", "|":
        counts = {line.count(delimiter.encode()) for line in lines[: len(lines) - 1 or 1]}
        if len(lines) > 2 and len(counts) == 1 and counts != {0}:
            return delimiter
    return ""
