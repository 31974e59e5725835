"""Tables in files: .csv, .tsv, and .jsonl, of which each line is a JSON object."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tftransfer.utils.errors import UserError
from tftransfer.utils.text_encoding import decode_text, detect_encoding

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_LONGEST_CELL = 1 << 27


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as strings.

    Attributes:
      path: of the file.
      header: names of the columns.
      rows: that are not blank, by their number; the header, or the first line of JSON, is row 1.
      encoding: of the file.
      warnings: how it was read, where that is not plain.
    """

    path: Path
    header: list[str]
    rows: dict[int, dict[str, str]]
    encoding: str
    warnings: tuple[str, ...] = ()


def read_table(path: Path) -> Table:
    """Reads a table.

    A .tsv whose quotes do not enclose whole cells has none that do: they are part of the text. A
    .csv whose header has no comma is parted by tabs or semicolons, and a table that is UTF-8 but
    for some lines is read so, those lines as Windows-1252.

    Raises:
      UserError: it is empty, ragged or no such file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}", "Mend the file.") from None
    text, encoding, warnings = _decoded(data, path)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        header, rows = _objects(text, path)
    else:
        cells, said = _cells(text, path)
        header, rows = _rectangle(cells, path)
        warnings += said
    return Table(path=path, header=header, rows=rows, encoding=encoding, warnings=warnings)


def _decoded(data: bytes, path: Path) -> tuple[str, str, tuple[str, ...]]:
    """Text, its encoding, and what is to be said of that."""
    encoding = detect_encoding(data)
    if 4 * data.count(0) > len(data) and not encoding.startswith("utf-16"):
        raise UserError(
            f"{path} is full of NUL bytes: no text, or UTF-16 without a mark.", "Save it as UTF-8."
        )
    if encoding == "utf-8":
        return decode_text(data), encoding, ()
    lines = data.split(b"\n")
    strange = [line for line in lines if not line.isascii()]
    others = [line for line in strange if detect_encoding(line) != "utf-8"]
    if encoding == "windows-1252" and 2 * len(others) < len(strange):
        said = f"{path.name} is in utf-8, but for {len(others):,} lines, read as {encoding}"
        return "\n".join(map(decode_text, lines)), "utf-8", (said,)
    return decode_text(data), encoding, (f"{path.name} is in {encoding}, and was read so",)


def _rectangle(cells: list[list[str]], path: Path) -> tuple[list[str], dict[int, dict[str, str]]]:
    if not any(cells[1:]):
        raise UserError(f"{path} has no rows below its header.", "Add a row per picture or text.")
    header = [name.strip() for name in cells[0]]
    twins = [name for name in header if name and header.count(name) > 1]
    if twins:
        raise UserError(f"{path} has two columns named {twins[0]!r}.", "Rename one of them.")
    rows = {}
    for number, row in enumerate(cells[1:], 2):
        if row and len(row) != len(header):
            raise UserError(
                f"{path}, row {number} has {len(row)} cells, the header {len(header)}.",
                "Quote cells that hold the delimiter.",
            )
        if row:
            rows[number] = dict(zip(header, row))
    return header, rows


def _cells(text: str, path: Path) -> tuple[list[list[str]], tuple[str, ...]]:
    tabs = path.suffix.lower() == ".tsv"
    if tabs:
        plain = [line[:-1].split("\t") if line != "\n" else [] for line in _lines(text)]
        if _quotes_are_text(plain):
            remark = "quotes are part of the text: they do not enclose whole cells"
            return plain, (remark,) if '"' in text else ()
    mark, said = _delimiter(text, tabs)
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        return list(csv.reader(io.StringIO(text, ""), delimiter=mark)), said
    except csv.Error as error:
        raise UserError(f"{path} cannot be read: {error}", "Mend the file.") from None
    finally:
        csv.field_size_limit(before)


def _delimiter(text: str, tabs: bool) -> tuple[str, tuple[str, ...]]:
    """Between cells, and what is to be said of it."""
    header = next(filter(str.strip, _lines(text)), "")
    if not tabs and "," not in header:
        for mark, name in (("\t", "tabs"), (";", "semicolons")):
            if mark in header:
                return mark, (f"its cells are parted by {name}",)
    return "\t" if tabs else ",", ()


def _lines(text: str) -> list[str]:
    """Lines by line feeds and carriage returns alone; other breaks belong to the text."""
    ends = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [f"{line}\n" for line in (ends[:-1] if ends[-1] == "" else ends)]


def _quotes_are_text(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table parted at tabs alone is a rectangle, and some quoted cell is no whole one."""
    if any(row and len(row) != len(rows[0]) for row in rows):
        return False
    quoted = [cell for row in rows for cell in row if cell.startswith('"')]
    return not quoted or any(not _encloses(cell) for cell in quoted)


def _encloses(cell: str) -> bool:
    return len(cell) > 1 and cell.endswith('"') and '"' not in cell[1:-1].replace('""', "")


def _objects(text: str, path: Path) -> tuple[list[str], dict[int, dict[str, str]]]:
    rows: dict[int, dict[str, str]] = {}
    for number, line in enumerate(_lines(text), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"{path}, line {number} is not JSON: {error}", "Give one object a line."
            ) from None
        if not isinstance(found, dict):
            raise UserError(f"{path}, line {number} is no JSON object.", "Give one object a line.")
        rows[number] = {str(key): _said(value) for key, value in found.items()}
    if not rows:
        raise UserError(f"{path} has no rows.", "Add a line per example.")
    header = list(dict.fromkeys(name for row in rows.values() for name in row))
    return header, {
        number: {name: row.get(name, "") for name in header} for number, row in rows.items()
    }


def _said(value: Any) -> str:
    """A JSON value as a cell: several names are parted by |."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(each, (str, int)) for each in value):
        return "|".join(map(str, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # 0 and 0.0 are one number
    return value if isinstance(value, str) else json.dumps(value)
