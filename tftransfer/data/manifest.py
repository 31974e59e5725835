"""Examples from a table with labels and paths of files, or texts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.data.columns import columns_of, item_column, item_warnings
from tftransfer.data.examples import SPLIT_DTYPE, SPLIT_NAMES, Examples, Quarantined, first_of
from tftransfer.data.nearby_files import remedy_nearby
from tftransfer.data.repeated_rows import joined
from tftransfer.data.table_header import with_header
from tftransfer.data.table_paths import find_files
from tftransfer.data.tables import Table, read_table
from tftransfer.labels.cells import labels_from_cells
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError, unknown_name


def from_manifest(
    path: Path,
    *,
    problem_type: str = "auto",
    group_by: str = "",
    columns: str = "",
    to_train: bool = True,
    encoding: str = "auto",
) -> Examples:
    """Returns the examples of a table with paths or texts, labels, and perhaps splits and groups.

    How labels are read is described in `tftransfer.labels.cells`. Paths are relative to the table.
    Rows that cannot be read and those whose file does not exist are quarantined.

    Args:
      path: Path of the table.
      problem_type: Problem type; `auto` infers it from the cells.
      group_by: Column of groups that a split keeps together, or a pattern, which is ignored here.
      columns: Roles of the columns, as in `tftransfer.Experiment`; usual names need none.
      to_train: Whether the data are for training. Only then must they have two classes and all
        named columns.
      encoding: Encoding of the table; `auto` detects it.

    Raises:
      UserError: A column is missing, or a cell is invalid.
    """
    return from_table(
        with_header(read_table(path, encoding)),
        problem_type=problem_type,
        group_by=group_by,
        columns=columns,
        to_train=to_train,
    )


def from_table(
    table: Table,
    *,
    problem_type: str = "auto",
    group_by: str = "",
    columns: str = "",
    to_train: bool = True,
) -> Examples:
    """Returns the examples of a table, as `from_manifest` does.

    Args:
      table: Table with paths or texts, and labels.
      problem_type: Problem type; `auto` infers it from the cells.
      group_by: Column of groups, as in `from_manifest`.
      columns: Roles of the columns, as in `from_manifest`.
      to_train: Whether the data are for training, as in `from_manifest`.

    Raises:
      UserError: A column is missing, or a cell is invalid.
    """
    path = table.path
    rows, roles = table.rows, columns_of(table, columns, group_by, to_train=to_train)
    items = _items(table, roles.item, texts=roles.texts, columns=columns)
    splits = [_split(row[roles.split], path, n) if roles.split else "" for n, row in rows.items()]
    cells = {n: [row[name].strip() for name in roles.labels] for n, row in rows.items()}
    read = labels_from_cells(cells, roles.labels, problem_type, str(path))
    single = read.problem_type is ProblemType.SINGLE_LABEL
    if single and len(read.classes) < 2 and to_train:
        raise UserError(
            f"{path} has one class, {read.classes[0]}.", "Add examples of a second class."
        )
    unused = ", ".join(roles.unused)
    examples = Examples(
        names=[items.names.get(number, "") for number in rows],
        items=[items.items.get(number, "") for number in rows],
        labels=read.labels,
        problem_type=read.problem_type,
        classes=read.classes,
        splits=np.array(splits, SPLIT_DTYPE),
        modality="text" if roles.texts else "image",
        warnings=(
            *items.warnings,
            *([f"columns that are not used: {unused}"] if unused else []),
            *roles.notes,
            *read.warnings,
        ),
        modality_reason=f"texts in the column {printable(roles.item)}" if roles.texts else "",
        problem_reason=read.reason,
        groups=_groups(table, roles.groups, to_train) if roles.groups else (),
    )
    found = np.array([number in items.items for number in rows], bool)
    _check_classes_have_files(examples, found, path)
    kept = examples.keep(np.flatnonzero(found), quarantine=tuple(items.quarantine.values()))
    return joined(kept, problem_type)


@dataclass(frozen=True, kw_only=True)
class TableItems:
    """Paths or texts of the rows of a table.

    Attributes:
      names: Row number to name of the example; rows without a file have none.
      items: Row number to path or encoded text.
      texts: Whether the items are texts.
      quarantine: Row number to the row that cannot be read or has no file.
      warnings: How the table was read, where that is not obvious.
    """

    names: dict[int, str]
    items: dict[int, str | bytes]
    texts: bool
    quarantine: dict[int, Quarantined]
    warnings: tuple[str, ...]


def read_items(path: Path, columns: str = "", encoding: str = "auto") -> TableItems:
    """Returns the paths or texts of the rows of a table.

    Args:
      path: Path of the table.
      columns: Roles of the columns, as in `tftransfer.Experiment`.
      encoding: Encoding of the table; `auto` detects it.

    Raises:
      UserError: The table cannot be read, or has no column of paths or texts.
    """
    return items_of(with_header(read_table(path, encoding)), columns)


def items_of(table: Table, columns: str = "") -> TableItems:
    """Returns the paths or texts of the rows of a table.

    Args:
      table: Table with paths or texts.
      columns: Roles of the columns, as in `tftransfer.Experiment`.

    Raises:
      UserError: The table has no column of paths or texts.
    """
    column, texts = item_column(table, columns, to_train=False)
    return _items(table, column, texts=texts, columns=columns)


def _items(table: Table, column: str, *, texts: bool, columns: str) -> TableItems:
    warnings = (*table.warnings, *item_warnings(table, columns, column, texts=texts))
    cells = {number: row[column] for number, row in table.rows.items()}
    if texts:
        return TableItems(
            names={n: printable(f"{table.path.name}, row {n}") for n in cells},
            items={n: cell.strip().encode("utf-8", "replace") for n, cell in cells.items()},
            texts=True,
            quarantine=table.quarantine(table.unusable),
            warnings=warnings,
        )
    found = find_files(table.path, cells)
    quarantine = table.quarantine(table.unusable | found.problems)
    if not found.paths:
        raise UserError(
            f"{table.path}: none of {len(cells):,} rows names an existing file: "
            f"{first_of(list(quarantine.values()))}.",
            remedy_nearby(table.path, list(cells.values()))
            or f"Fix the column {column}, whose paths are relative to "
            f"{os.path.realpath(table.path.parent)}, or name another by --columns=path=NAME.",
        )
    return TableItems(
        names={n: printable(cells[n].strip()) for n in found.paths},
        items=dict(found.paths),
        texts=False,
        quarantine=quarantine,
        warnings=(*warnings, *found.warnings),
    )


def _check_classes_have_files(examples: Examples, found: Array, path: Path) -> None:
    if not examples.problem_type.has_exclusive_classes:
        return
    counts = zip(examples.classes, examples.class_counts(found))
    for name in (name for name, count in counts if not count):
        raise UserError(
            f"{path}: no file of the class {name!r} exists.",
            "Fix the paths of the class, or remove its rows.",
        )


def _split(cell: str, table: Path, row: int) -> str:
    name = cell.strip().lower()
    if name and name not in SPLIT_NAMES:
        raise unknown_name(f"split ({table}, row {row})", cell, SPLIT_NAMES)
    return SPLIT_NAMES.get(name, "")


def _groups(table: Table, column: str, required: bool) -> list[str]:
    groups = {number: row[column].strip() for number, row in table.rows.items()}
    for number, group in groups.items():
        if required and not group:
            raise UserError(
                f"{table.path}, row {number}: the group in {column} is empty.",
                "Fill the cell; an example without a group may have a unique name there.",
            )
    return list(groups.values())
