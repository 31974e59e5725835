"""Labels in arrays and lists: their problem type, classes and checks, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array, ArrayLike
from tftransfer.labels.cells import labels_from_cells, labels_from_sets
from tftransfer.labels.flags import flags_of_cells, read_flags
from tftransfer.labels.numbers import read_numbers, why_amounts
from tftransfer.labels.reading import CLASS_REMEDY, GIVEN, LabelReading
from tftransfer.labels.rows import read_rows
from tftransfer.labels.tasks import labels_of_tasks
from tftransfer.preprocessing import get_modality
from tftransfer.utils.errors import UserError

_SOURCE = "The labels"
_SETS = (list, tuple, set, frozenset, np.ndarray)


def label_array(labels: ArrayLike | Sequence[ArrayLike], count: int, modality: str) -> Array:
    """Returns labels as an array [n] or [n, k], one per example.

    Lists of several lengths and sets become an array of objects [n].

    Args:
      labels: Labels, [n] or [n, k].
      count: Number of examples.
      modality: Modality of the examples, for messages.

    Raises:
      UserError: The number of labels is not `count`, or some are missing or of other types or
        lengths than the rest.
    """
    try:
        found = np.asarray(labels)
    except ValueError:  # rows of several lengths
        found = _objects(labels)
    singular, plural = get_modality(modality).singular, get_modality(modality).plural
    if not found.ndim:
        raise UserError(
            "The labels are not an array.", f"Give one for each of the {count} {plural}."
        )
    if len(found) != count:
        raise UserError(
            f"{count} {plural} but {len(found)} labels.", f"Give one label per {singular}."
        )
    return _plain(found) if found.dtype.kind == "O" else found


def labels_from_array(
    labels: Array, problem_type: str, classes: tuple[str, ...] = ()
) -> LabelReading:
    """Returns checked labels, their problem type and their classes.

    Args:
      labels: Numbers or names, [n] or [n, k]; or lists or sets of names, object [n].
      problem_type: Problem type; `auto` infers it from the labels.
      classes: Names of the classes that the labels index; () infers them.

    Raises:
      UserError: A label is out of range, not finite, or of another type than the problem needs.
    """
    read = _read(_decoded(labels) if labels.dtype.kind == "S" else labels, problem_type, classes)
    if read.problem_type is ProblemType.SINGLE_LABEL and len(read.classes) < 2:
        raise UserError(
            f"The labels have one class, {read.classes[0]}.", "Give at least two classes."
        )
    return read


def _read(labels: Array, problem_type: str, classes: tuple[str, ...]) -> LabelReading:
    if labels.dtype.kind not in "biufUO":
        raise UserError(
            f"The labels are of {labels.dtype}.",
            "Give names, such as labels.astype(str), or numbers, such as labels.astype(int).",
        )
    if labels.dtype.kind == "O" and all(isinstance(label, dict) for label in labels.flat):
        return _from_dicts(labels.reshape(-1).tolist(), problem_type)
    if labels.dtype.kind == "O" and any(isinstance(label, _SETS) for label in labels.flat):
        return labels_from_sets([_names_of(label) for label in labels], problem_type, _SOURCE)
    if labels.dtype.kind in "UO" and problem_type != ProblemType.MULTI_TASK:
        return _from_names(labels, problem_type)
    if problem_type == "auto":
        return _from_numbers(labels, classes)
    problem = ProblemType(problem_type)
    if problem is ProblemType.MULTI_TASK:
        return _task_labels(labels, classes, GIVEN)
    if problem is ProblemType.SINGLE_LABEL:
        rows = _rows(labels, classes, problem_type)
        return rows or _single_labels(labels, classes, GIVEN)
    return _with_columns(labels, problem, classes, GIVEN)


def _objects(labels: ArrayLike | Sequence[ArrayLike]) -> Array:
    rows = list(labels)  # type: ignore[arg-type]
    found: Array = np.full(len(rows), None)
    for number, label in enumerate(rows):
        found[number] = label
    return found


def _plain(labels: Array) -> Array:
    """Returns objects as an array of numbers or names where all are such.

    Raises:
      UserError: Some labels are missing, or of other types than the rest.
    """
    for row, label in enumerate(labels):
        values = list(label) if isinstance(label, (set, frozenset)) else np.ravel(label)
        missing = [x for x in values if x is None or x != x]  # NaN differs from itself
        if missing:
            raise UserError(
                f"The label of example {row} is {missing[0]}.",
                "Fix the label, or remove the example.",
            )
    found = {isinstance(label, (str, bytes)) for label in labels.flat}
    if len(found) > 1 and any(isinstance(label, _SETS) for label in labels.flat):
        return labels
    if len(found) > 1:
        raise UserError("Some labels are names and some are numbers.", "Give all as names.")
    return labels


def _decoded(labels: Array) -> Array:
    try:
        return np.char.decode(labels, "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"The labels are bytes, and {bytes(error.object)!r} is not UTF-8.",
            "Give the labels as str.",
        ) from None


def _names_of(label: object) -> list[str]:
    values = label if isinstance(label, _SETS) else [label]
    names = [x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in values]
    return sorted(names) if isinstance(label, (set, frozenset)) else names


def _from_names(labels: Array, problem_type: str) -> LabelReading:
    """Returns labels that are strings, with the same reading as the cells of a table."""
    rows = labels.reshape(len(labels), -1)
    cells = [[_names_of(value)[0] for value in row] for row in rows.tolist()]
    if rows.shape[1] == 1:
        if problem_type == ProblemType.REGRESSION:
            _check_numbers(labels)
        read = labels_from_cells(dict(enumerate(cells)), ["y0"], problem_type, _SOURCE)
        return _in_code_point_order(read)
    flags = flags_of_cells(cells)
    if flags is not None and not np.isnan(flags).any():
        return read_flags(flags, _columns(flags), problem_type)
    repeated = any(len(set(row)) < len(row) for row in cells)
    columns = [set(column) - {""} for column in zip(*cells)]
    shared = len(set.union(*columns)) < sum(map(len, columns))
    if problem_type == ProblemType.MULTI_LABEL or (
        problem_type == "auto" and shared and not repeated
    ):
        return labels_from_sets(cells, problem_type, _SOURCE)
    if problem_type == ProblemType.REGRESSION:
        _check_numbers(labels)
    if problem_type == ProblemType.SINGLE_LABEL:
        raise _not_one_per_example(labels)
    reason = f"{len(columns)} names for each example, each of a separate task"
    return _task_labels(labels, (), f"{reason}; --problem_type=multi_label reads them as a set")


def _from_dicts(labels: Sequence[Mapping[str, object]], problem_type: str) -> LabelReading:
    """Returns dictionaries, one per example, as the columns of a table."""
    names = list(dict.fromkeys(str(name) for label in labels for name in label))
    rows = [{str(name): _names_of(value)[0] for name, value in label.items()} for label in labels]
    cells = {number: [row.get(name, "") for name in names] for number, row in enumerate(rows)}
    return labels_from_cells(cells, names, problem_type, _SOURCE)


def _in_code_point_order(read: LabelReading) -> LabelReading:
    """Returns single labels with their classes in the order of arrays: 10 before 9."""
    if read.problem_type is not ProblemType.SINGLE_LABEL:
        return read
    order = np.argsort(np.array(read.classes))
    places = np.argsort(order)
    return LabelReading(
        labels=places[read.labels].astype(np.int64),
        problem_type=read.problem_type,
        classes=tuple(read.classes[k] for k in order.tolist()),
        reason=read.reason.replace("in each cell of the column y0", "per example").replace(
            " in the column y0", ""
        ),
        warnings=read.warnings,
    )


def _from_numbers(labels: Array, classes: tuple[str, ...]) -> LabelReading:
    if labels.ndim == 2 and labels.shape[1] > 1:
        rows = _rows(labels, classes, "auto")
        if rows:
            return rows
        if _are_class_numbers(labels):
            reason = (
                f"{labels.shape[1]} class numbers for each example, each of a separate task; for "
                "amounts give --problem_type=regression"
            )
            return _task_labels(labels, (), reason)
        reason = f"{labels.shape[1]} numbers for each example, which are not classes"
        return _with_columns(labels, ProblemType.REGRESSION, classes, reason)
    if classes:
        return _single_labels(labels, classes, "the labels index the given classes")
    whole = labels.dtype.kind in "iub" or np.array_equal(labels, np.round(labels))
    if not whole:
        reason = "numbers with a fraction; for classes give --problem_type=single_label"
        return _with_columns(labels, ProblemType.REGRESSION, classes, reason)
    if labels.ndim > 2 or not labels.size:
        return _single_labels(labels, classes, "")
    amounts = "" if labels.dtype.kind == "b" else why_amounts(labels)
    if amounts:
        reason = f"{amounts}; for classes give --problem_type=single_label"
        return _with_columns(labels, ProblemType.REGRESSION, classes, reason)
    low, high = labels.min(), labels.max()
    if labels.dtype.kind == "b":
        return _single_labels(labels, classes, "True and False")
    reason = f"whole numbers from {low} to {high}; for amounts give --problem_type=regression"
    return _single_labels(labels, classes, reason)


def _rows(labels: Array, classes: tuple[str, ...], problem_type: str) -> LabelReading | None:
    """Returns labels of 0 and 1, or smoothed ones, in rows; None if they are not such."""
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "biuf":
        return None
    if classes and len(classes) != labels.shape[1]:
        return None
    return read_rows(labels, classes, problem_type)


def _are_class_numbers(labels: Array) -> bool:
    """Returns whether each column has few different whole numbers that recur; -1 is unknown."""
    if labels.dtype.kind not in "iu" or labels.min() < -1:
        return False
    columns = [np.unique(column[column >= 0]) for column in labels.T]
    recur = all(len(values) > 1 and 2 * len(values) <= len(labels) for values in columns)
    return recur and not any(why_amounts(column[column >= 0]) for column in labels.T)


def _single_labels(labels: Array, classes: tuple[str, ...], reason: str) -> LabelReading:
    if labels.ndim != 1 and labels.shape[1:] != (1,):
        raise _not_one_per_example(labels)
    labels = labels.reshape(-1)
    if not classes:
        classes, labels = _infer_classes(labels)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        raise UserError(
            f"Label {labels[wrong[0]]} of example {wrong[0]} is outside 0 to {len(classes) - 1}.",
            "Give labels that index the classes, from 0.",
        )
    return LabelReading(
        labels=labels.astype(np.int64),
        problem_type=ProblemType.SINGLE_LABEL,
        classes=classes,
        reason=reason,
    )


def _not_one_per_example(labels: Array) -> UserError:
    whole = labels.dtype.kind in "biuUO"
    several = "--problem_type=multi_task for several tasks" if whole and labels.ndim == 2 else ""
    if whole and np.isin(labels, (0, 1)).all():
        several = "--problem_type=multi_label"
    numbers = "--problem_type=regression for amounts" if labels.dtype.kind in "biuf" else ""
    flags = " or ".join(filter(None, (several, numbers)))
    return UserError(
        f"Labels of shape {labels.shape} are not one per example.",
        f"Give labels [n]{f', or {flags}' if flags else ''}.",
    )


def _infer_classes(labels: Array) -> tuple[tuple[str, ...], Array]:
    """Returns the distinct labels as names, and the index of each label."""
    numbers = labels if labels.dtype.kind in "if" else np.zeros(len(labels))
    wrong = np.flatnonzero(~((numbers >= 0) & np.isfinite(numbers)))
    if np.array_equal(np.unique(numbers), (-1, 1)):  # the two classes of some data sets
        wrong = wrong[:0]
    if len(wrong):
        raise UserError(
            f"Label {labels[wrong[0]]} of example {wrong[0]} is negative or not finite.",
            CLASS_REMEDY,
        )
    values = np.unique(labels)
    return tuple(str(value) for value in values), np.searchsorted(values, labels)


def _task_labels(labels: Array, classes: tuple[str, ...], reason: str) -> LabelReading:
    whole = labels.dtype.kind in "biu"
    if classes or labels.ndim != 2 or not (whole or labels.dtype.kind in "UO"):
        because = ", and --problem_type=multi_task takes no names of classes" if classes else ""
        raise UserError(
            f"Labels of {labels.dtype} and shape {labels.shape} are not those of several "
            f"tasks{because}.",
            "Give whole numbers (-1: unknown) or names (empty: unknown), [n, tasks].",
        )
    if whole and (labels < -1).any():
        row, column = np.argwhere(labels < -1)[0]
        raise UserError(f"Label {labels[row, column]} of example {row} is below -1.", CLASS_REMEDY)
    unknown = -1 if whole else ""
    rows = {
        number: ["" if value == unknown else _names_of(value)[0] for value in row]
        for number, row in enumerate(labels.tolist())
    }
    names = [f"task{number}" for number in range(labels.shape[1])]
    indices, found = labels_of_tasks(names, rows, "The array of labels")
    return LabelReading(
        labels=indices, problem_type=ProblemType.MULTI_TASK, classes=found, reason=reason
    )


def _columns(labels: Array) -> tuple[str, ...]:
    return tuple(f"y{k}" for k in range(labels.shape[1]))


def _with_columns(
    labels: Array, problem_type: ProblemType, classes: tuple[str, ...], reason: str
) -> LabelReading:
    numbers = _numbers(labels, problem_type)
    return LabelReading(
        labels=numbers,
        problem_type=problem_type,
        classes=classes or _columns(numbers),
        reason=reason,
    )


def _check_numbers(labels: Array) -> None:
    cells = [str(value) for value in labels.reshape(-1).tolist()]
    if read_numbers(cells, _SOURCE) is None:
        raise UserError(
            f"Labels such as {cells[0]!r} are not numbers.",
            "Give numbers for --problem_type=regression.",
        )


def _numbers(labels: Array, problem_type: ProblemType) -> Array:
    """Returns labels as float32 [n, k], finite, and 0 or 1 for `multi_label`."""
    if labels.dtype.kind not in "biuf":
        raise UserError(
            f"Labels such as {labels.reshape(-1).tolist()[0]!r} are not numbers.",
            f"Give numbers for --problem_type={problem_type}.",
        )
    with np.errstate(over="ignore"):  # infinite after the conversion, which is refused below
        labels = labels.astype(np.float32).reshape(len(labels), -1)
    binary = problem_type is ProblemType.MULTI_LABEL
    valid = np.isin(labels, (0, 1)) if binary else np.isfinite(labels)
    if not valid.all():
        row = np.flatnonzero(~valid.all(axis=1))[0]
        expected = "0 or 1" if binary else "a finite number"
        remedy = "Fix the label, or remove the example."
        if binary and labels.shape[1] == 1:
            remedy = "Give a column of 0 and 1 per class, or a list of names for each example."
        raise UserError(f"The label of example {row} is not {expected}.", remedy)
    return labels
