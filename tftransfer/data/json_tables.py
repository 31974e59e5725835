"""Tables in JSON: one object per line, a list of objects, or an object of columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeAlias

from tftransfer.core.typing import JSON
from tftransfer.data.examples import SPLIT_NAMES
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed

# Header, row number to cells, and row number to why the row cannot be read.
JsonRows: TypeAlias = tuple[list[str], dict[int, dict[str, str]], dict[int, str]]
_ONE_OBJECT_PER_LINE = "Give one JSON object per line."


def read_json(text: str, path: Path) -> JsonRows:
    """Returns the header, the rows by number, and why others cannot be read.

    Args:
      text: Content of the file.
      path: Path of the file, for messages.

    Raises:
      UserError: There are no rows, or the file has another structure.
    """
    try:
        whole = json.loads(text)
    except ValueError:
        return _read_lines(text, path)
    if isinstance(whole, dict):
        whole = _rows_of(whole, path)
    if isinstance(whole, list) and not whole:
        raise UserError(f"{path} has no rows.", "Add one object per example.")
    if not isinstance(whole, list) or not _is_rows(whole):
        return _read_lines(text, path)
    return _table({number: _row(row) for number, row in enumerate(whole, 1)}, {}, path)


def _rows_of(whole: dict[str, JSON], path: Path) -> list[JSON]:
    """Returns the rows of an object: one row, columns, rows by name, or rows inside of it.

    Raises:
      UserError: The object has another structure.
    """
    inner = [name for name, value in whole.items() if _is_rows(value)]
    cells = list(whole.values())
    if {"images", "annotations", "categories"} <= set(whole):
        raise UserError(
            f"{path} is an annotation file of COCO, not a table.",
            "Write a table with the columns path and label, one row per annotation or image.",
        )
    if inner and all(name.lower() in SPLIT_NAMES for name in inner):
        found = [(name, row) for name in inner for row in _values(whole[name])]
        return [{**row, "split": name} for name, row in found if isinstance(row, dict)]
    if len(inner) == 1:
        return _values(whole[inner[0]])
    if _is_columns(whole):
        columns = {name: _values(value) for name, value in whole.items()}
        return [dict(zip(columns, row)) for row in zip(*columns.values())]
    if len(cells) > 1 and all(isinstance(value, dict) for value in cells):
        return [{"name": k, **row} for k, row in whole.items() if isinstance(row, dict)]
    if not any(isinstance(value, (list, dict)) for value in cells):
        if len(whole) > 1 and all(Path(name).suffix for name in whole):
            return [{"path": name, "label": value} for name, value in whole.items()]
        return [whole] if whole else []
    raise UserError(
        f"{path} is one JSON object with the keys {listed(list(whole))}, and no list of rows.",
        "Give a list of objects with the keys path or text, and label.",
    )


def _is_rows(value: JSON) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _is_columns(whole: dict[str, JSON]) -> bool:
    """Returns whether an object has columns of one length, as lists or as pandas writes them."""
    columns = list(whole.values())
    lists = all(isinstance(column, list) for column in columns)
    numbered = all(isinstance(c, dict) and all(key.isdecimal() for key in c) for c in columns)
    sizes = {len(_values(column)) for column in columns}
    return len(columns) > 1 and (lists or numbered) and len(sizes) == 1 and sizes != {0}


def _values(column: JSON) -> list[JSON]:
    if isinstance(column, dict):
        return list(column.values())
    return column if isinstance(column, list) else []


def _read_lines(text: str, path: Path) -> JsonRows:
    rows: dict[int, dict[str, str]] = {}
    unusable: dict[int, str] = {}
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            unusable[number] = f"it is not JSON: {error}"
            continue
        if isinstance(found, dict):
            rows[number] = _row(found)
        else:
            unusable[number] = "it is not a JSON object"
    if unusable and not rows:
        number, reason = next(iter(unusable.items()))
        raise UserError(f"{path}, line {number}: {reason}.", _ONE_OBJECT_PER_LINE)
    return _table(rows, unusable, path)


def _table(rows: dict[int, dict[str, str]], unusable: dict[int, str], path: Path) -> JsonRows:
    if not rows:
        raise UserError(f"{path} has no rows.", "Add one line per example.")
    header = list(dict.fromkeys(name for row in rows.values() for name in row))
    complete = {n: {name: row.get(name, "") for name in header} for n, row in rows.items()}
    return header, complete, unusable


def _row(found: dict[str, JSON]) -> dict[str, str]:
    """Returns the cells of a row; an object with texts in it becomes columns `name.key`."""
    row: dict[str, str] = {}
    for name, value in found.items():
        if isinstance(value, dict) and any(isinstance(each, str) for each in value.values()):
            row |= {f"{name}.{key}": _cell(each) for key, each in value.items()}
        else:
            row[str(name)] = _cell(value)
    return row


def _cell(value: JSON) -> str:
    """Returns a JSON value as a cell; a list of names stays JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # 0 and 0.0 are one number
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
