"""Tables in files: .csv, .tsv, .json and .jsonl."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tftransfer.data.encodings import (
    check_encoding,
    find_encoding,
    invalid_bytes,
    utf16_without_mark,
)
from tftransfer.data.examples import Quarantined
from tftransfer.data.json_tables import read_json
from tftransfer.data.other_formats import check_is_text
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError
from tftransfer.utils.text_encoding import decode_text, detect_encoding

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
SUFFIXES = (".csv", ".tsv", *JSON_SUFFIXES)
_OTHER_DELIMITERS = (("\t", "tabs"), (";", "semicolons"), ("|", "vertical bars"))
_SAMPLE_LINES = 20
_MAX_SAMPLE = 1 << 20  # characters
# A cell in quotes with more lines, each of which could be a row, has lost its end.
_MAX_ROWS_IN_A_CELL = 3
# Python's csv module refuses cells above 131,072 characters by default.
_MAX_CELL_CHARACTERS = 1 << 27

# Header, row number to cells, and row number to why the row cannot be read.
_Rows: TypeAlias = tuple[list[str], dict[int, dict[str, str]], dict[int, str]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of strings.

    Attributes:
      path: Path of the file.
      header: Names of the columns.
      rows: Row number to cells by column, without blank rows; the header, or the first line of
        JSON, is row 1.
      unusable: Row number to the reason why the row cannot be read.
      warnings: How the file was read, where that is not obvious.
    """

    path: Path
    header: list[str]
    rows: dict[int, dict[str, str]]
    unusable: dict[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def quarantine(self, reasons: Mapping[int, str]) -> dict[int, Quarantined]:
        """Returns the quarantined rows by their number, given the reason of each."""
        return {
            number: Quarantined(name=printable(f"{self.path.name}, row {number}"), reason=reason)
            for number, reason in sorted(reasons.items())
        }


def read_table(path: Path, encoding: str = "auto") -> Table:
    """Reads a table.

    In a .tsv file in which quotes do not enclose whole cells, quotes are part of the text. A .csv
    file whose header has no comma is split at tabs or semicolons. In a file that is UTF-8 except
    for some lines, these lines are read as Windows-1252.

    Args:
      path: Path of the file.
      encoding: Encoding of the file; `auto` detects it.

    Raises:
      UserError: The file cannot be read, is empty, or no row has as many cells as the header.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}", "Fix the file.") from None
    check_is_text(data, path)
    text, warnings = _decoded(data, path, encoding)
    if path.suffix.lower() in JSON_SUFFIXES:
        header, rows, unusable = read_json(text, path)
    else:
        cells, more = _read_cells(text, path)
        header, rows, unusable = _with_header(cells, path)
        warnings += more
    return Table(path=path, header=header, rows=rows, unusable=unusable, warnings=warnings)


def _decoded(data: bytes, path: Path, encoding: str) -> tuple[str, tuple[str, ...]]:
    """Returns the text, and warnings."""
    found, given = detect_encoding(data), encoding != "auto"
    if given:
        check_encoding(encoding)
    is_utf8 = found == "utf-8" and b"\0" not in data
    if given and (not is_utf8 or data.isascii()):
        text = data.decode(encoding, "replace").removeprefix("\ufeff")
        warning = invalid_bytes(text.splitlines(), path.name, encoding)
        return text, (warning,) * bool(warning)
    if is_utf8:
        return decode_text(data), (
            (f"{path.name} is UTF-8 and not read as {encoding}",) if given else ()
        )
    if name := utf16_without_mark(data):
        return data.decode(name), (f"{path.name} is read as {name}, without a byte order mark",)
    if 4 * data.count(0) > len(data) and not found.startswith("utf-16"):
        raise UserError(
            f"{path} has many NUL bytes: it is not text.",
            "Save it as UTF-8, or name its encoding by --encoding=utf-16-le or another.",
        )
    if found != "windows-1252":
        return decode_text(data), (() if found == "utf-8" else (f"{path.name} is read as {found}",))
    ending = b"\n" if b"\n" in data else b"\r"  # of Mac OS before 10
    lines = data.split(ending)
    not_ascii = [line for line in lines if not line.isascii()]
    others = [line for line in not_ascii if detect_encoding(line) != "utf-8"]
    if 2 * len(others) < len(not_ascii):
        plural = "s" * (len(others) > 1)
        odd = find_encoding(others, f"{len(others):,} line{plural} of {path.name}")
        text = ending.decode().join(
            decode_text(line) if detect_encoding(line) == "utf-8" else odd.decode(line)
            for line in lines
        )
        return text, (f"{path.name} is UTF-8 except for some: {odd.warning}",)
    whole = find_encoding(not_ascii, path.name)
    return whole.decode(data), (whole.warning,)


def _with_header(cells: list[list[str]], path: Path) -> _Rows:
    if not any(cells[1:]):
        raise UserError(
            f"{path} has no rows below its header.", "Add one row per image, clip or text."
        )
    header = [name.strip() for name in cells[0]]
    repeated = [name for name in header if name and header.count(name) > 1]
    if repeated:
        raise UserError(
            f"{path} has two columns named {repeated[0]!r}.",
            "Rename one of them, or add a header if the first row is an example.",
        )
    rows, unusable = {}, {}
    for number, row in enumerate(cells[1:], 2):
        if len(row) > len(header) and not any(row[len(header) :]):
            row = row[: len(header)]  # delimiters at the end of the line
        if row and len(row) != len(header):
            unusable[number] = f"it has {len(row)} cells, the header {len(header)}"
        elif row:
            rows[number] = dict(zip(header, row))
    if not rows:
        number, reason = next(iter(unusable.items()))
        raise UserError(
            f"{path}, row {number}: {reason}, and so it is with all rows.",
            "Give each column a name in the header, remove lines above it, and quote cells that "
            "contain the delimiter.",
        )
    return header, rows, unusable


def _read_cells(text: str, path: Path) -> tuple[list[list[str]], tuple[str, ...]]:
    tabs = path.suffix.lower() == ".tsv"
    if tabs:
        rows = [line[:-1].split("\t") if line != "\n" else [] for line in _lines(text)]
        if _quotes_are_text(rows):
            warning = "quotes are part of the text: they do not enclose whole cells"
            return rows, (warning,) if '"' in text else ()
    delimiter, text, warnings = _delimiter(text, tabs)
    before = csv.field_size_limit(_MAX_CELL_CHARACTERS)
    try:
        rows = list(csv.reader(io.StringIO(text, ""), delimiter=delimiter))
        _check_quotes(rows, delimiter, path)
        return rows, warnings
    except csv.Error as error:
        raise UserError(f"{path} cannot be read: {error}", "Fix the file.") from None
    finally:
        csv.field_size_limit(before)


def _delimiter(text: str, tabs: bool) -> tuple[str, str, tuple[str, ...]]:
    """Returns the delimiter of cells, the text of the table, and warnings.

    Excel reads the delimiter from a line such as `sep=;` above the header.
    """
    header = next(filter(str.strip, _lines(text)), "")
    if header.lower().startswith("sep=") and len(header.strip("\r\n")) == len("sep=;"):
        return (
            header[4],
            text.partition(header.rstrip("\n"))[2].lstrip("\r\n"),
            (f"it is read by {header[:5]}",),
        )
    usable = not tabs and ("," not in header or not _divides(text, ","))
    for delimiter, name in _OTHER_DELIMITERS if usable else ():
        if delimiter in header and ("," not in header or _divides(text, delimiter)):
            return delimiter, text, (f"its cells are separated by {name}",)
    return "\t" if tabs else ",", text, ()


def _divides(text: str, delimiter: str) -> bool:
    """Returns whether a delimiter gives the first rows the same number of cells, at least two."""
    lines = itertools.islice(io.StringIO(text[:_MAX_SAMPLE], ""), _SAMPLE_LINES)
    try:
        counts = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
    except csv.Error:
        return False
    return len(counts) == 1 and counts != {1}


def _check_quotes(rows: Sequence[Sequence[str]], delimiter: str, path: Path) -> None:
    """Checks that no cell holds rows, as it does after a quote without its counterpart.

    Raises:
      UserError: A cell has several lines with as many delimiters as the header.
    """
    count = len(rows[0]) - 1 if rows else 0
    for number, row in enumerate(rows, 1):
        for cell in row if count else ():
            if cell.count("\n") < _MAX_ROWS_IN_A_CELL:
                continue
            lines = [line for line in _lines(cell) if line.count(delimiter) == count]
            if len(lines) >= _MAX_ROWS_IN_A_CELL and 2 * len(lines) > cell.count("\n"):
                raise UserError(
                    f"{path}, row {number}: a quote opens a cell that holds {len(lines):,} rows.",
                    'Close the quote, or double it (""), if it is part of the text.',
                )


def _lines(text: str) -> list[str]:
    """Splits at line feeds and carriage returns only; other line breaks belong to the text."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [f"{line}\n" for line in (lines[:-1] if lines[-1] == "" else lines)]


def _quotes_are_text(rows: Sequence[Sequence[str]]) -> bool:
    """Returns whether rows split at tabs have equal lengths, and quotes not around whole cells."""
    if any(row and len(row) != len(rows[0]) for row in rows):
        return False
    quoted = [cell for row in rows for cell in row if cell.startswith('"')]
    return not quoted or any(not _is_quoted(cell) for cell in quoted)


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell.endswith('"') and '"' not in cell[1:-1].replace('""', "")
