"""Examples from a table of labels and paths of files, or texts."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.columns import columns_of, item_column
from tftransfer.data.examples import CLASS_REMEDY, SPLIT_DTYPE, SPLIT_NAMES, Examples
from tftransfer.data.label_tasks import labels_of_tasks, natural
from tftransfer.data.tables import Table, read_table
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError, unknown_name

# Fewer cells of several names than this share may be names that hold the mark themselves.
_SEVERAL = 0.05


def from_manifest(
    path: Path,
    *,
    problem_type: str = "auto",
    group_by: str = "",
    columns: str = "",
    to_train: bool = True,
) -> Examples:
    """A table with a column of paths or of texts, one or more of labels, perhaps one of parts.

    Several names in one cell, parted by `|` or `;`, make the target multi-label;
    numbers with a fraction or below 0 make it a regression. Several columns of names or of whole
    numbers are a task each, and an empty cell a label that nobody knows. Paths are relative to
    the table. `group_by` may name a column of groups that a split must not part, and `columns`
    says which are which where their names do not. Data to train on must have all that is named,
    and two classes.
    """
    table = read_table(path)
    rows, found = table.rows, columns_of(table, columns, group_by, to_train=to_train)
    names, items = _items(table, found.item, found.texts)
    splits = [_part(row[found.part], path, n) if found.part else "" for n, row in rows.items()]
    cells = {n: [row[name].strip() for name in found.labels] for n, row in rows.items()}
    guessed = problem_type == "auto"
    labels, problem, classes = _labels_from_cells(cells, found.labels, problem_type, path)
    if problem is ProblemType.SINGLE_LABEL and len(classes) < 2 and to_train:
        raise UserError(f"{path} has one class, {classes[0]}.", "Give at least two.")
    return Examples(
        names=names,
        items=items,
        labels=labels,
        problem_type=problem,
        classes=classes,
        splits=np.array(splits, SPLIT_DTYPE),
        modality="text" if found.texts else "image",
        warnings=(
            *table.warnings,
            *([f"columns that are not used: {', '.join(found.unused)}"] if found.unused else []),
            *_tasks_said(found.labels, problem),
            *(_marks_said(cells, problem) if guessed else ()),
        ),
        groups=_groups(table, found.groups, to_train) if found.groups else (),
    )


def read_items(path: Path, columns: str = "") -> tuple[list[str], list[str | bytes], bool]:
    """Names and items of a table's rows, whatever else is in it; whether they are texts."""
    table = read_table(path)
    column, texts = item_column(table, columns, to_train=False)
    return *_items(table, column, texts), texts


def _items(table: Table, column: str, texts: bool) -> tuple[list[str], list[str | bytes]]:
    rows, path = table.rows, table.path
    if texts:
        names = [printable(f"{path.name}, row {number}") for number in rows]
        return names, [row[column].strip().encode("utf-8", "replace") for row in rows.values()]
    files: list[str | bytes] = [_inside(path, row[column], n) for n, row in rows.items()]
    return [printable(row[column]) for row in rows.values()], files


def _groups(table: Table, column: str, required: bool) -> list[str]:
    found = {number: row[column].strip() for number, row in table.rows.items()}
    for number, group in found.items():
        if required and not group:
            raise UserError(
                f"{table.path}, row {number}: the group in {column} is empty.",
                "Fill it; what belongs to no group may have a name of its own.",
            )
    return list(found.values())


def _tasks_said(columns: Sequence[str], problem_type: ProblemType) -> tuple[str, ...]:
    if problem_type is not ProblemType.MULTI_TASK:
        return ()
    said = f"each label column is a task: {', '.join(columns)}; numbers to predict are "
    return (printable(said + "--problem_type=regression"),)


def _holds_several(cell: str) -> bool:
    return "|" in cell or ";" in cell


def _marks_said(cells: dict[int, list[str]], problem_type: ProblemType) -> tuple[str, ...]:
    """What was made of labels with a mark between names."""
    marked = [row[0] for row in cells.values() if _holds_several(row[0])]
    if not marked or problem_type in (ProblemType.REGRESSION, ProblemType.MULTI_TASK):
        return ()
    number = f"{len(marked):,} of {len(cells):,} labels hold | or ; ({marked[0]!r}): "
    if problem_type is ProblemType.MULTI_LABEL:
        return (printable(f"{number}several labels each, or whole by --problem_type=single_label"),)
    return (printable(f"{number}so few are taken whole, or parted by --problem_type=multi_label"),)


def _labels_from_cells(
    cells: dict[int, list[str]], columns: Sequence[str], problem_type: str, path: Path
) -> tuple[np.ndarray, ProblemType, tuple[str, ...]]:
    problem = _guess(cells) if problem_type == "auto" else ProblemType(problem_type)
    if problem is ProblemType.REGRESSION:
        return _numbers(cells, path), problem, tuple(columns)
    if problem is ProblemType.MULTI_TASK:
        _check_counts(cells, path)
        tasks = labels_of_tasks(columns, cells, str(path))
        return tasks[0], problem, tasks[1]
    if len(columns) > 1:
        raise UserError(
            f"{path} has {len(columns)} label columns of names: {', '.join(columns)}.",
            "Keep one; several names in one cell are parted by |. For several tasks give "
            "--problem_type=multi_task.",
        )
    texts = [row[0] for row in cells.values()]
    missing = [n for n, row in cells.items() if not row[0]]
    if missing and problem is ProblemType.SINGLE_LABEL:
        raise UserError(f"{path}, row {missing[0]}: the label is empty.", "Fill it or remove it.")
    if problem is ProblemType.SINGLE_LABEL:
        _check_counts(cells, path)
        classes = tuple(sorted(set(texts), key=natural))
        return np.array([classes.index(text) for text in texts], np.int64), problem, classes
    sets = [{n.strip() for n in t.replace(";", "|").split("|") if n.strip()} for t in texts]
    classes = tuple(sorted(set().union(*sets), key=natural))
    if not classes:
        raise UserError(f"{path} has no label in any row.", "Fill the label column.")
    labels = np.array([[name in names for name in classes] for names in sets], np.float32)
    return labels, problem, classes


def _check_counts(cells: dict[int, list[str]], path: Path) -> None:
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


def _guess(cells: dict[int, list[str]]) -> ProblemType:
    several = sum(_holds_several(row[0]) for row in cells.values())
    if several > _SEVERAL * len(cells):
        return ProblemType.MULTI_LABEL
    return _guess_from_text(list(cells.values()))


def _guess_from_text(cells: list[list[str]]) -> ProblemType:
    columns = len(cells[0])
    classes = ProblemType.SINGLE_LABEL if columns == 1 else ProblemType.MULTI_TASK
    try:
        numbers = np.array([float(cell) for row in cells for cell in row if cell or columns == 1])
    except ValueError:
        return classes
    whole = np.array_equal(numbers, np.round(numbers))
    return (
        classes if whole and (columns == 1 or not (numbers < 0).any()) else ProblemType.REGRESSION
    )


def _numbers(cells: dict[int, list[str]], path: Path) -> np.ndarray:
    rows = []
    for number, row in cells.items():
        try:
            values = [float(cell) for cell in row]
        except ValueError:
            values = [np.nan]
        if not np.isfinite(values).all():
            raise UserError(
                f"{path}, row {number}: {', '.join(row)!r} is not a finite number.",
                "Mend the cell, or give --problem_type=single_label for names.",
            )
        rows.append(values)
    return np.array(rows, np.float32)


def _inside(table: Path, cell: str, row: int) -> str:
    path = Path(os.path.realpath(table.parent / cell))
    if not path.is_relative_to(os.path.realpath(table.parent)) and not Path(cell).is_absolute():
        raise UserError(
            f"{table}, row {row}: {cell} leads out of {table.parent}.",
            "Keep the pictures below the table, or give absolute paths.",
        )
    if not path.exists():
        raise UserError(f"{table}, row {row}: {cell} does not exist.", "Mend the path.")
    return os.fspath(path)


def _part(cell: str, table: Path, row: int) -> str:
    name = cell.strip().lower()
    if name and name not in SPLIT_NAMES:
        raise unknown_name(f"part ({table}, row {row})", cell, SPLIT_NAMES)
    return SPLIT_NAMES.get(name, "")
