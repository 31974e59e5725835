"""From the cells of label columns to labels: what they are, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.labels.delimiters import Delimiter, find_delimiter, split_object
from tftransfer.labels.flags import flags_of_cells, read_flags
from tftransfer.labels.names import MISSING, joined, looks_missing, name_warnings
from tftransfer.labels.numbers import Numbers, is_number, read_numbers, why_amounts
from tftransfer.labels.reading import CLASS_REMEDY, GIVEN, LabelReading, rows_in_words
from tftransfer.labels.tasks import labels_of_tasks, natural
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError

Cells = Mapping[int, Sequence[str]]
# Largest fraction of cells that may be names in a column of numbers that is to be fixed.
_MAX_NAMES = 0.1
_REGRESSION = "for amounts give --problem_type=regression"


def labels_from_cells(
    cells: Cells, columns: Sequence[str], problem_type: str, source: str
) -> LabelReading:
    """Returns the labels of a table with their problem type, their classes and the reason.

    Args:
      cells: Row number to the cells of the label columns, without blanks around them.
      columns: Names of the label columns.
      problem_type: Problem type; `auto` infers it from the cells.
      source: Name of the table in messages.

    Raises:
      UserError: A cell is missing, or of another type than the problem needs.
    """
    given = problem_type != "auto"
    if len(columns) > 1 or problem_type == ProblemType.MULTI_LABEL:
        flags = flags_of_cells(list(cells.values()))
        if flags is not None and _are_flags(flags, problem_type):
            return read_flags(flags, columns, problem_type)
    if given and problem_type in (ProblemType.REGRESSION, ProblemType.MULTI_TASK):
        is_task = problem_type == ProblemType.MULTI_TASK
        return (_tasks if is_task else _regression)(cells, columns, source, GIVEN)
    if len(columns) > 1:
        return _several_columns(cells, columns, problem_type, source)
    texts = [row[0] for row in cells.values()]
    if problem_type == ProblemType.SINGLE_LABEL:
        return _names(cells, source, GIVEN)
    delimiter = find_delimiter(texts, given=given)
    if given:
        return _several_names(texts, delimiter, source, GIVEN)
    return _one_column(cells, columns[0], delimiter, source)


def _are_flags(flags: Array, problem_type: str) -> bool:
    """Returns whether columns of 0 and 1 are labels; unknown ones make them tasks."""
    if problem_type == ProblemType.MULTI_LABEL:
        return True
    return problem_type in ("auto", ProblemType.SINGLE_LABEL) and not np.isnan(flags).any()


def _one_column(cells: Cells, name: str, delimiter: Delimiter | None, source: str) -> LabelReading:
    texts = [row[0] for row in cells.values()]
    if delimiter and delimiter.name == "brackets":
        return _lists(cells, delimiter, source)
    numbers = _numbers_or_error(cells, 0, name, source)
    if numbers:
        return _numbers_of_one_column(cells, name, numbers, source)
    if delimiter and delimiter.certain:
        reason = (
            f"{delimiter.count:,} of {len(texts):,} labels contain {delimiter.name} (such as "
            f"{delimiter.example!r}) and are split into several labels; "
            "--problem_type=single_label does not split them"
        )
        return _several_names(texts, delimiter, source, printable(reason))
    return _names(cells, source, f"one name in each cell of the column {name}", delimiter)


def _numbers_of_one_column(cells: Cells, name: str, numbers: Numbers, source: str) -> LabelReading:
    amounts = why_amounts(numbers.values, name) if numbers.whole else ""
    if amounts or not numbers.whole or (numbers.remark and "," in numbers.remark):
        why = amounts or "numbers with a fraction"
        reason = f"{why} in the column {name}; for classes give --problem_type=single_label"
        if "decimal comma" in numbers.remark:
            reason += ", for several numbers in a cell --problem_type=multi_label"
        return _regression(cells, [name], source, printable(reason))
    low, high = numbers.values.min(), numbers.values.max()
    reason = f"whole numbers from {low:.10g} to {high:.10g} in the column {name}; {_REGRESSION}"
    return _names(cells, source, reason)


def _lists(cells: Cells, delimiter: Delimiter, source: str) -> LabelReading:
    """Returns lists in brackets: several names, or vectors of numbers of one length."""
    objects = [split_object(row[0]) for row in cells.values()]
    if all(each is not None for each in objects):
        return _objects(cells, [each or {} for each in objects], source)
    rows = [delimiter.split(row[0]) for row in cells.values()]
    width = len(rows[0])
    numeric = all(is_number(item) for row in rows for item in row)
    if numeric and width > 1 and {len(row) for row in rows} == {width}:
        values = dict(zip(cells, rows))
        names = [f"y{k}" for k in range(width)]
        flags = flags_of_cells(rows)
        if flags is not None:
            return read_flags(flags, names, "auto")
        if any(not is_whole(item) for row in rows for item in row):
            reason = f"each cell is a list of {width} numbers"
            return _regression(values, names, source, reason)
    if all(len(row) == 1 for row in rows):
        alone = {number: row for number, row in zip(cells, rows)}
        return _names(alone, source, "each cell is a list of one name")
    reason = (
        f"{delimiter.count:,} of {len(rows):,} cells are lists (such as {delimiter.example!r}); "
        "--problem_type=single_label does not split them"
    )
    return _several_names([row[0] for row in cells.values()], delimiter, source, printable(reason))


def _objects(cells: Cells, objects: Sequence[dict[str, str]], source: str) -> LabelReading:
    """Returns JSON objects in cells as columns, one for each key."""
    names = list(dict.fromkeys(name for each in objects for name in each))
    if not names:
        raise UserError(f"{source} has no label in any row.", "Add labels.")
    columns = {n: [each.get(name, "") for name in names] for n, each in zip(cells, objects)}
    return labels_from_cells(columns, names, "auto", source)


def is_whole(cell: str) -> bool:
    """Returns whether a number in a cell is whole."""
    return float(cell) == round(float(cell))


def _several_columns(
    cells: Cells, columns: Sequence[str], problem_type: str, source: str
) -> LabelReading:
    if problem_type != "auto":
        raise UserError(
            f"{source} has {len(columns)} label columns of names: {', '.join(columns)}.",
            "Keep one, with several names in a cell separated by |, or give "
            "--problem_type=multi_task.",
        )
    _check_uncertain(cells, source)
    found = [_numbers_or_error(cells, k, name, source) for k, name in enumerate(columns)]
    numbers = {name: each for name, each in zip(columns, found) if each}
    amounts = [name for name, each in numbers.items() if _is_amount(each, name)]
    negative = any((each.values < 0).any() for each in numbers.values())
    if len(numbers) == len(columns) and (negative or _has_fraction(numbers, amounts)):
        reason = "numbers in each label column; --problem_type=multi_task makes each a task"
        return _regression(cells, columns, source, reason)
    if amounts:
        classes = [name for name in columns if name not in amounts]
        raise UserError(
            f"{source} has label columns of numbers to predict, {', '.join(amounts)}, and of "
            f"classes, {', '.join(classes)}.",
            f"Give --columns=label={amounts[0]} --problem_type=regression, or --columns="
            + ",".join(f"label={name}" for name in classes)
            + ".",
        )
    text = f"each label column is a task: {', '.join(columns)}"
    if numbers:
        only = "" if len(numbers) == len(columns) else f"--columns=label={next(iter(numbers))} "
        text += f"; for numbers to predict give {only}--problem_type=regression"
    return _tasks(cells, columns, source, printable(text))


def _check_uncertain(cells: Cells, source: str) -> None:
    """Raises an error if labels are -1, 0 and 1, such as uncertain, absent and present."""
    found = {cell for row in cells.values() for cell in row} - {""}
    if {float(cell) for cell in found if is_number(cell)} == {-1.0, 0.0, 1.0} and all(
        map(is_number, found)
    ):
        rows = [n for n, row in cells.items() if any(c and float(c) < 0 for c in row)]
        raise UserError(
            f"{source}, {rows_in_words(rows)}: the label columns hold -1 next to 0 and 1.",
            "Empty the cells with -1 if these labels are unknown, or write 0 or 1; for numbers "
            "give --problem_type=regression.",
        )


def _has_fraction(numbers: Mapping[str, Numbers], amounts: Sequence[str]) -> bool:
    """Returns whether columns are a regression: one has fractions, or all have amounts."""
    return len(amounts) == len(numbers) or any(not each.whole for each in numbers.values())


def _is_amount(numbers: Numbers, name: str) -> bool:
    return not numbers.whole or bool(why_amounts(numbers.values, name))


def _numbers_or_error(cells: Cells, column: int, name: str, source: str) -> Numbers | None:
    """Returns the numbers of a column without its empty cells, or None if it has names.

    Raises:
      UserError: Only some cells are not finite numbers but stand for a missing value, or are few.
    """
    rows = {number: row[column] for number, row in cells.items() if row[column]}
    where = f"{source}, column {name}"
    names = {n: cell for n, cell in rows.items() if not is_number(cell)}
    bad = {n: cell for n, cell in names.items() if looks_missing(cell)}
    rest = [cell for number, cell in rows.items() if number not in bad]
    numbers = read_numbers(rest, where)
    if numbers is None and _are_few(names, rows):
        bad, rest = names, [cell for number, cell in rows.items() if number not in names]
        numbers = read_numbers(rest, where)
    if numbers is None or not bad:
        return numbers
    if not _is_amount(numbers, name):
        return None
    first = next(iter(bad.values()))
    raise UserError(
        f"{source}, {rows_in_words(list(bad))}: {first!r} is not a finite number.",
        "Fix the cells or remove the rows, or give --problem_type=single_label for names.",
    )


def _are_few(names: Mapping[int, str], rows: Mapping[int, str]) -> bool:
    """Returns whether cells are a few names among numbers that are mostly different."""
    different = {cell for number, cell in rows.items() if number not in names}
    return len(names) <= _MAX_NAMES * len(rows) and 2 * len(different) > len(rows)


def _regression(cells: Cells, columns: Sequence[str], source: str, reason: str) -> LabelReading:
    remarks: dict[str, None] = {}
    read = [
        _numbers_by_row(cells, k, f"{source}, column {name}", remarks)
        for k, name in enumerate(columns)
    ]
    rows = np.array([[column.get(n, np.nan) for column in read] for n in cells], np.float32)
    bad = [number for number, row in zip(cells, rows) if not np.isfinite(row).all()]
    if bad:
        shown = ", ".join(cells[bad[0]])
        raise UserError(
            f"{source}, {rows_in_words(bad)}: {shown!r} is not a finite number.",
            "Fix the cell, or give --problem_type=single_label for names.",
        )
    return LabelReading(
        labels=rows,
        problem_type=ProblemType.REGRESSION,
        classes=tuple(columns),
        reason=reason,
        warnings=tuple(remarks),
    )


def _numbers_by_row(
    cells: Cells, column: int, where: str, remarks: dict[str, None]
) -> dict[int, float]:
    """Returns row number to number, without the rows that have none; adds remarks."""
    rows = {number: row[column] for number, row in cells.items() if row[column]}
    numbers = read_numbers(list(rows.values()), where)
    if numbers is None:
        return {number: float(cell) for number, cell in rows.items() if is_number(cell)}
    if numbers.remark:
        remarks[printable(numbers.remark)] = None
    return dict(zip(rows, numbers.values.tolist()))


def _tasks(cells: Cells, columns: Sequence[str], source: str, reason: str) -> LabelReading:
    if flags_of_cells(list(cells.values())) is None:  # -1 may be the other of two classes
        _check_class_numbers(cells, source)
    labels, classes = labels_of_tasks(columns, cells, source)
    empty = sum(not cell for row in cells.values() for cell in row)
    warnings = [f"{empty:,} empty cells are unknown labels of a task"] if empty else []
    return LabelReading(
        labels=labels,
        problem_type=ProblemType.MULTI_TASK,
        classes=classes,
        reason=reason,
        warnings=(*warnings, *map(printable, name_warnings(classes))),
    )


def _names(
    cells: Cells, source: str, reason: str, delimiter: Delimiter | None = None
) -> LabelReading:
    missing = [number for number, row in cells.items() if not row[0]]
    if missing:
        raise UserError(
            f"{source}, {rows_in_words(missing)}: the label is empty.",
            "Fill the cell, or remove the row.",
        )
    _check_class_numbers(cells, source)
    texts, warnings = joined([row[0] for row in cells.values()])
    classes = tuple(sorted(set(texts), key=natural))
    index = {name: number for number, name in enumerate(classes)}
    return LabelReading(
        labels=np.array([index[text] for text in texts], np.int64),
        problem_type=ProblemType.SINGLE_LABEL,
        classes=classes,
        reason=printable(reason),
        warnings=tuple(
            map(printable, (*_unsplit(delimiter, len(texts)), *warnings, *name_warnings(texts)))
        ),
    )


def _unsplit(delimiter: Delimiter | None, count: int) -> list[str]:
    if not delimiter:
        return []
    few = ", too few to be split" if delimiter.name == "| or ;" else " and are not split"
    return [
        f"{delimiter.count:,} of {count:,} labels contain {delimiter.name} (such as "
        f"{delimiter.example!r}){few} into several; --problem_type=multi_label does so"
    ]


def _several_names(
    texts: Sequence[str], delimiter: Delimiter | None, source: str, reason: str
) -> LabelReading:
    sets = [delimiter.split(text) if delimiter else [text] for text in texts]
    split = f"cells are split at {delimiter.name}" if delimiter and reason == GIVEN else ""
    return _sets(sets, source, reason, split)


def labels_from_sets(sets: Sequence[Sequence[str]], problem_type: str, source: str) -> LabelReading:
    """Returns lists of names, one list per example, as several labels, or as one if all have one.

    Args:
      sets: Names of each example.
      problem_type: `auto`, `multi_label` or `single_label`.
      source: Name of the labels in messages.

    Raises:
      UserError: The problem type takes no several names.
    """
    alone = all(len(each) == 1 for each in sets)
    if alone and problem_type in ("auto", ProblemType.SINGLE_LABEL):
        return _names(dict(enumerate(sets)), source, "each label is a list of one name")
    if problem_type not in ("auto", ProblemType.MULTI_LABEL):
        raise UserError(
            f"{source} have several names for an example, and the problem type is {problem_type}.",
            "Give --problem_type=multi_label.",
        )
    reason = "each label is a list of names" if problem_type == "auto" else GIVEN
    return _sets(sets, source, reason)


def _sets(
    lists: Sequence[Sequence[str]], source: str, reason: str, remark: str = ""
) -> LabelReading:
    sets = [set(each) - {""} for each in lists]
    names = [name for each in sets for name in each]
    if not names:
        raise UserError(f"{source} has no label in any row.", "Add labels.")
    kept, warnings = joined(names)
    spelling = dict(zip(names, kept))
    classes = tuple(sorted(set(kept), key=natural))
    index = {name: number for number, name in enumerate(classes)}
    labels = np.zeros((len(sets), len(classes)), np.float32)
    for row, each in enumerate(sets):
        labels[row, [index[spelling[name]] for name in each]] = 1
    empty = int((~labels.any(axis=1)).sum())
    none = f"{empty:,} rows have no label: they are examples of no class" if empty else ""
    found = (remark, none, *warnings, *name_warnings(kept))
    return LabelReading(
        labels=labels,
        problem_type=ProblemType.MULTI_LABEL,
        classes=classes,
        reason=reason,
        warnings=tuple(map(printable, filter(None, found))),
    )


def _check_class_numbers(cells: Cells, source: str) -> None:
    if {float(c) if is_number(c) else c for row in cells.values() for c in row} == {-1.0, 1.0}:
        return  # the two classes of some data sets
    for number, row in cells.items():
        for text in row:
            if text.lower() in MISSING:
                raise UserError(
                    f"{source}, {rows_in_words(_rows_with(cells, text))}: the label {text} stands "
                    "for a missing value.",
                    "Fill the cell or remove the row; if it is a class, name it differently.",
                )
            if is_number(text) and float(text) < 0:
                raise UserError(
                    f"{source}, row {number}: the label {text} is negative.", CLASS_REMEDY
                )


def _rows_with(cells: Cells, text: str) -> list[int]:
    return [number for number, row in cells.items() if text in row]
