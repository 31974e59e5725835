"""Tables without a header, and columns of texts that have no usual name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tftransfer.data.tables import JSON_SUFFIXES, Table
from tftransfer.labels.numbers import is_number
from tftransfer.utils.console import printable

_FILE = re.compile(r".*\.[A-Za-z][A-Za-z0-9]{1,4}")
_MOST = 0.9
# Texts have more words than names of classes, and differ.
_MIN_WORDS = 3
_MAX_NAME_CHARACTERS = 60


def with_header(table: Table) -> Table:
    """Returns the table with names of its columns if its first row is an example.

    The first row is an example if one of its cells is a path like those below, a number above
    numbers, or recurs in its column. The column of paths is named `path`, that of texts `text`, the
    only other one `label`, and several others `column1` and so on by their place.

    Args:
      table: Table whose first row was taken for its header; one of JSON has names.
    """
    if (2 not in table.rows and table.rows) or table.path.suffix.lower() in JSON_SUFFIXES:
        return table
    cells = {name: [row[name].strip() for row in table.rows.values()] for name in table.header}
    if not cells or not any(_is_example(name, column) for name, column in cells.items()):
        return table
    names = _names({name: [name, *column] for name, column in cells.items()})
    first = dict(zip(names, table.header))
    rows = {n: dict(zip(names, row.values())) for n, row in table.rows.items()}
    remark = printable(
        f"{table.path.name} has no header: its first row is an example, and its columns are named "
        f"{', '.join(names)}"
    )
    warnings = (*table.warnings, remark)
    return replace(table, header=names, rows={1: first} | rows, warnings=warnings)


def column_of_texts(cells: Mapping[str, Sequence[str]]) -> str:
    """Returns the column with the longest texts, or "" if none has texts.

    Args:
      cells: Name of each column to its cells.
    """
    words = {
        name: sum(len(cell.split()) for cell in column) / len(column)
        for name, column in cells.items()
        if column and 2 * len(set(column)) > len(column)
    }
    longest = max(words, key=words.__getitem__, default="")
    return longest if longest and words[longest] >= _MIN_WORDS else ""


def _is_example(first: str, column: Sequence[str]) -> bool:
    """Returns whether the first cell of a column is like those below it."""
    filled = [cell for cell in column if cell]
    if not first or not filled or len(set(filled)) == 1 == len(filled):
        return False
    if _FILE.fullmatch(first):
        return sum(bool(_FILE.fullmatch(cell)) for cell in filled) > _MOST * len(filled)
    if is_number(first):
        return all(map(is_number, filled))
    recurs = len(first) <= _MAX_NAME_CHARACTERS and filled.count(first) > 1
    return recurs and 2 * len(set(filled)) <= len(filled)


def _names(cells: Mapping[str, Sequence[str]]) -> list[str]:
    files = [
        name
        for name, column in cells.items()
        if sum(bool(_FILE.fullmatch(cell)) for cell in column) > _MOST * len(column)
    ]
    item = files[0] if files else column_of_texts(cells)
    others = [name for name in cells if name != item]
    named = {item: "path" if files else "text"} if item else {}
    if len(others) == 1:
        named[others[0]] = "label"
    return [named.get(name, f"column{place}") for place, name in enumerate(cells, 1)]
