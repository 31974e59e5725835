"""Examples from a table of labels and paths of files, or texts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tftransfer.ground.errors import UserError, unknown_name
from tftransfer.ground.terminal import printable
from tftransfer.parts.data.examples import NO_CLASS, PART_DTYPE, PART_NAMES, Examples
from tftransfer.parts.data.groups import column_of_groups
from tftransfer.parts.data.tables import Table, read_table
from tftransfer.parts.data.tasks import labels_of_tasks, natural

_PATH_COLUMNS = ("path", "file", "filename", "filepath", "image", "image_path")
_TEXT_COLUMNS = (
    "text", "sentence", "review", "content", "document", "comment", "message", "question",
    "tweet", "post", "utterance", "query",
)  # fmt: skip
_LABEL_COLUMNS = ("label", "labels", "class", "target", "category", "y")
_PART_COLUMNS = ("split", "part", "subset", "set")


def from_manifest(path: Path, *, target: str = "auto", group_by: str = "") -> Examples:
    """A table with a column of paths or of texts, one or more of labels, perhaps one of parts.

    Several names in one cell, parted by `|` or `;`, make the target multi-label;
    numbers with a fraction or below 0 make it a regression. Several columns of names or of whole
    numbers are a task each, and an empty cell a label that nobody knows. Paths are relative to
    the table. `group_by` may name a column of groups that a split must not part.
    """
    table = read_table(path)
    header, rows = table.header, table.rows
    column = _item_column(table, path)
    label_columns = [name for name in header if name.lower() in _LABEL_COLUMNS]
    part_columns = [name for name in header if name.lower() in _PART_COLUMNS]
    groups = column_of_groups(header, group_by)
    if not label_columns:
        others = {column, groups, *part_columns}
        label_columns = [name for name in header if name not in others]
    if not label_columns:
        raise UserError(
            f"{path} has no label column; it has: {', '.join(header)}.", "Add one named label."
        )
    names, items = _items(table, column, path)
    parts = [_part(row[part_columns[0]], path, n) if part_columns else ""
             for n, row in rows.items()]  # fmt: skip
    cells = {n: [row[name].strip() for name in label_columns] for n, row in rows.items()}
    labels, target, classes = _labels_from_cells(cells, label_columns, target, path)
    return Examples(
        names=names,
        items=items,
        labels=labels,
        target=target,
        classes=classes,
        parts=np.array(parts, PART_DTYPE),
        kind="text" if holds_texts(column) else "image",
        remarks=(
            *table.remarks,
            *_unused(header, {column, groups, *label_columns, *part_columns[:1]}),
            *_tasks_said(label_columns, target),
        ),
        groups=[row[groups] for row in rows.values()] if groups else (),
    )


def texts_of(path: Path) -> tuple[list[str], list[bytes]] | None:
    """Names and texts of a table's rows, whatever its other columns; None where it holds paths."""
    table = read_table(path)
    column = _item_column(table, path)
    return _items(table, column, path) if holds_texts(column) else None  # type: ignore[return-value]


def holds_texts(column: str) -> bool:
    """Whether a column of this name holds texts themselves."""
    return column.lower() in _TEXT_COLUMNS


def _item_column(table: Table, path: Path) -> str:
    """The column of paths, or else of texts.

    Raises:
      UserError: there is none, or paths in another encoding than UTF-8.
    """
    of_paths = [name for name in table.header if name.lower() in _PATH_COLUMNS]
    of_texts = [name for name in table.header if holds_texts(name)]
    if of_texts and not of_paths:
        return of_texts[0]
    if table.encoding != "utf-8":
        raise UserError(f"{path} is not UTF-8 text.", "Save it as UTF-8.")
    return of_paths[0] if of_paths else _column(table.header, _PATH_COLUMNS, path)


def _items(table: Table, column: str, path: Path) -> tuple[list[str], list[str | bytes]]:
    rows = table.rows
    if holds_texts(column):
        names = [printable(f"{path.name}, row {number}") for number in rows]
        return names, [row[column].strip().encode("utf-8", "replace") for row in rows.values()]
    files: list[str | bytes] = [_inside(path, row[column], n) for n, row in rows.items()]
    return [printable(row[column]) for row in rows.values()], files


def _unused(header: Sequence[str], used: set[str]) -> tuple[str, ...]:
    names = [name for name in header if name and name not in used]
    return (printable(f"columns that are not used: {', '.join(names)}"),) if names else ()


def _tasks_said(columns: Sequence[str], target: str) -> tuple[str, ...]:
    if target != "multi_task":
        return ()
    said = f"each label column is a task: {', '.join(columns)}; numbers to predict are "
    return (printable(said + "--target=regression"),)


def _labels_from_cells(
    cells: dict[int, list[str]], columns: Sequence[str], target: str, path: Path
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    if target == "auto":
        several = any("|" in row[0] or ";" in row[0] for row in cells.values())
        target = "multi_label" if several else _guess_from_text(list(cells.values()))
    if target == "regression":
        return _numbers(cells, path), target, tuple(columns)
    if target == "multi_task":
        _check_counts(cells, path)
        tasks = labels_of_tasks(columns, cells, str(path))
        return tasks[0], target, tasks[1]
    if len(columns) > 1:
        raise UserError(
            f"{path} has {len(columns)} label columns of names: {', '.join(columns)}.",
            "Keep one; several names in one cell are parted by |. For several tasks give "
            "--target=multi_task.",
        )
    texts = [row[0] for row in cells.values()]
    missing = [n for n, row in cells.items() if not row[0]]
    if missing and target == "single_label":
        raise UserError(f"{path}, row {missing[0]}: the label is empty.", "Fill it or remove it.")
    if target == "single_label":
        _check_counts(cells, path)
        classes = tuple(sorted(set(texts), key=natural))
        if len(classes) < 2:
            raise UserError(f"{path} has one class, {classes[0]}.", "Give at least two.")
        return np.array([classes.index(text) for text in texts], np.int64), target, classes
    sets = [{n.strip() for n in t.replace(";", "|").split("|") if n.strip()} for t in texts]
    classes = tuple(sorted(set().union(*sets), key=natural))
    if not classes:
        raise UserError(f"{path} has no label in any row.", "Fill the label column.")
    labels = np.array([[name in names for name in classes] for names in sets], np.float32)
    return labels, target, classes


def _check_counts(cells: dict[int, list[str]], path: Path) -> None:
    for number, row in cells.items():
        for text in row:
            if not _can_be_class(text):
                raise UserError(
                    f"{path}, row {number}: the label {text} is negative or not finite.", NO_CLASS
                )


def _can_be_class(text: str) -> bool:
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return True


def _guess_from_text(cells: list[list[str]]) -> str:
    columns = len(cells[0])
    classes = "single_label" if columns == 1 else "multi_task"
    try:
        numbers = np.array([float(cell) for row in cells for cell in row if cell or columns == 1])
    except ValueError:
        return classes
    whole = np.array_equal(numbers, np.round(numbers))
    return classes if whole and (columns == 1 or not (numbers < 0).any()) else "regression"


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
                "Mend the cell, or give --target=single_label for names.",
            )
        rows.append(values)
    return np.array(rows, np.float32)


def _column(header: Sequence[str], names: Iterable[str], path: Path) -> str:
    for name in header:
        if name.lower() in names:
            return name
    error = unknown_name("column", "path", header)
    raise UserError(
        f"{path} has no column of picture paths. {error.remedy}",
        "Name it path; a column of texts, text.",
    )


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
    if name and name not in PART_NAMES:
        raise unknown_name(f"part ({table}, row {row})", cell, PART_NAMES)
    return PART_NAMES.get(name, "")
