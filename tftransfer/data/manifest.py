"""Examples from a table with labels and paths of files, or texts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.data.columns import columns_of, item_column, item_warnings
from tftransfer.data.examples import (
    CLASS_REMEDY,
    SPLIT_DTYPE,
    SPLIT_NAMES,
    Examples,
    Quarantined,
    first_of,
)
from tftransfer.data.label_tasks import labels_of_tasks, natural
from tftransfer.data.table_paths import find_files
from tftransfer.data.tables import Table, read_table
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError, unknown_name

# If more cells than this fraction contain a delimiter, each has several labels; fewer may be names
# that contain the character themselves.
_MIN_FRACTION_OF_SEVERAL = 0.05

_Cells = Mapping[int, Sequence[str]]


def from_manifest(
    path: Path,
    *,
    problem_type: str = "auto",
    group_by: str = "",
    columns: str = "",
    to_train: bool = True,
) -> Examples:
    """Returns the examples of a table with paths or texts, labels, and perhaps splits and groups.

    Several names in a cell, separated by `|` or `;`, are several labels. Numbers with a fraction or
    below 0 are a regression. Several label columns of names or whole numbers are tasks, in which
    an empty cell is an unknown label. Paths are relative to the table. Rows that cannot be read and
    those whose file does not exist are quarantined.

    Args:
      path: Path of the table.
      problem_type: Problem type; `auto` infers it from the cells.
      group_by: Column of groups that a split keeps together, or a pattern, which is ignored here.
      columns: Roles of the columns, as in `tftransfer.Experiment`; usual names need none.
      to_train: Whether the data are for training. Only then must they have two classes and all
        named columns.

    Raises:
      UserError: A column is missing, or a cell is invalid.
    """
    table = read_table(path)
    rows, roles = table.rows, columns_of(table, columns, group_by, to_train=to_train)
    items = _items(table, roles.item, texts=roles.texts, columns=columns)
    splits = [_split(row[roles.split], path, n) if roles.split else "" for n, row in rows.items()]
    cells = {n: [row[name].strip() for name in roles.labels] for n, row in rows.items()}
    labels, problem, classes = _labels_from_cells(cells, roles.labels, problem_type, path)
    if problem is ProblemType.SINGLE_LABEL and len(classes) < 2 and to_train:
        raise UserError(f"{path} has one class, {classes[0]}.", "Add examples of a second class.")
    unused = ", ".join(roles.unused)
    examples = Examples(
        names=[items.names.get(number, "") for number in rows],
        items=[items.items.get(number, "") for number in rows],
        labels=labels,
        problem_type=problem,
        classes=classes,
        splits=np.array(splits, SPLIT_DTYPE),
        modality="text" if roles.texts else "image",
        warnings=(
            *items.warnings,
            *([f"columns that are not used: {unused}"] if unused else []),
            *_task_warnings(roles.labels, problem),
            *(_delimiter_warnings(cells, problem) if problem_type == "auto" else ()),
        ),
        groups=_groups(table, roles.groups, to_train) if roles.groups else (),
    )
    found = np.array([number in items.items for number in rows], bool)
    _check_classes_have_files(examples, found, path)
    return examples.keep(np.flatnonzero(found), quarantine=tuple(items.quarantine.values()))


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


def read_items(path: Path, columns: str = "") -> TableItems:
    """Returns the paths or texts of the rows of a table.

    Args:
      path: Path of the table.
      columns: Roles of the columns, as in `tftransfer.Experiment`.

    Raises:
      UserError: The table cannot be read, or has no column of paths or texts.
    """
    table = read_table(path)
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
            f"Fix the column {column}, whose paths are relative to "
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
    counts = zip(examples.classes, examples.targets()[found].sum(axis=0))
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


def _task_warnings(columns: Sequence[str], problem_type: ProblemType) -> tuple[str, ...]:
    if problem_type is not ProblemType.MULTI_TASK:
        return ()
    text = f"each label column is a task: {', '.join(columns)}; for numbers to predict give "
    return (printable(f"{text}--problem_type=regression"),)


def _has_several(cell: str) -> bool:
    return "|" in cell or ";" in cell


def _delimiter_warnings(cells: _Cells, problem_type: ProblemType) -> tuple[str, ...]:
    """Returns how labels that contain a delimiter were read."""
    several = [row[0] for row in cells.values() if _has_several(row[0])]
    if not several or problem_type in (ProblemType.REGRESSION, ProblemType.MULTI_TASK):
        return ()
    count = f"{len(several):,} of {len(cells):,} labels contain | or ; (such as {several[0]!r})"
    if problem_type is ProblemType.MULTI_LABEL:
        text = f"{count} and are split into several labels; --problem_type=single_label does not"
    else:
        text = f"{count}, too few to be split into several; --problem_type=multi_label does so"
    return (printable(text),)


def _labels_from_cells(
    cells: _Cells, columns: Sequence[str], problem_type: str, path: Path
) -> tuple[Array, ProblemType, tuple[str, ...]]:
    problem = _infer(cells) if problem_type == "auto" else ProblemType(problem_type)
    if problem is ProblemType.REGRESSION:
        return _numbers(cells, path), problem, tuple(columns)
    if problem is ProblemType.MULTI_TASK:
        _check_class_numbers(cells, path)
        labels, classes = labels_of_tasks(columns, cells, str(path))
        return labels, problem, classes
    if len(columns) > 1:
        raise UserError(
            f"{path} has {len(columns)} label columns of names: {', '.join(columns)}.",
            "Keep one, with several names in a cell separated by |, or give "
            "--problem_type=multi_task.",
        )
    texts = [row[0] for row in cells.values()]
    if problem is ProblemType.MULTI_LABEL:
        return _several_labels(texts, path)
    missing = [n for n, row in cells.items() if not row[0]]
    if missing:
        raise UserError(
            f"{path}, row {missing[0]}: the label is empty.", "Fill the cell, or remove the row."
        )
    _check_class_numbers(cells, path)
    classes = tuple(sorted(set(texts), key=natural))
    return np.array([classes.index(text) for text in texts], np.int64), problem, classes


def _several_labels(texts: Sequence[str], path: Path) -> tuple[Array, ProblemType, tuple[str, ...]]:
    sets = [{n.strip() for n in t.replace(";", "|").split("|") if n.strip()} for t in texts]
    classes = tuple(sorted(set().union(*sets), key=natural))
    if not classes:
        raise UserError(f"{path} has no label in any row.", "Fill the label column.")
    labels = np.array([[name in names for name in classes] for names in sets], np.float32)
    return labels, ProblemType.MULTI_LABEL, classes


def _check_class_numbers(cells: _Cells, path: Path) -> None:
    for number, row in cells.items():
        for text in row:
            if not _can_be_class(text):
                raise UserError(
                    f"{path}, row {number}: the label {text} is negative or not finite.",
                    CLASS_REMEDY,
                )


def _can_be_class(text: str) -> bool:
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return True


def _infer(cells: _Cells) -> ProblemType:
    several = sum(_has_several(row[0]) for row in cells.values())
    if several > _MIN_FRACTION_OF_SEVERAL * len(cells):
        return ProblemType.MULTI_LABEL
    return _infer_from_numbers(list(cells.values()))


def _infer_from_numbers(cells: Sequence[Sequence[str]]) -> ProblemType:
    columns = len(cells[0])
    classes = ProblemType.SINGLE_LABEL if columns == 1 else ProblemType.MULTI_TASK
    try:
        numbers = np.array([float(cell) for row in cells for cell in row if cell or columns == 1])
    except ValueError:
        return classes
    whole = np.array_equal(numbers, np.round(numbers))
    are_classes = whole and (columns == 1 or not (numbers < 0).any())
    return classes if are_classes else ProblemType.REGRESSION


def _numbers(cells: _Cells, path: Path) -> Array:
    rows = []
    for number, row in cells.items():
        try:
            values = [float(cell) for cell in row]
        except ValueError:
            values = [np.nan]
        if not np.isfinite(values).all():
            raise UserError(
                f"{path}, row {number}: {', '.join(row)!r} is not a finite number.",
                "Fix the cell, or give --problem_type=single_label for names.",
            )
        rows.append(values)
    return np.array(rows, np.float32)
