"""Labels in arrays: their problem type, classes and checks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array, ArrayLike
from tftransfer.data.examples import CLASS_REMEDY
from tftransfer.data.label_tasks import labels_of_tasks
from tftransfer.preprocessing import get_modality
from tftransfer.utils.errors import UserError

Labels = tuple[Array, ProblemType, tuple[str, ...]]


def label_array(labels: ArrayLike | Sequence[ArrayLike], count: int, modality: str) -> Array:
    """Returns labels as an array [n] or [n, k], one per example.

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
        found = np.zeros((), object)
    singular, plural = get_modality(modality).singular, get_modality(modality).plural
    if not found.ndim:
        raise UserError(
            "The labels are not an array.", f"Give one for each of the {count} {plural}."
        )
    if len(found) != count:
        raise UserError(
            f"{count} {plural} but {len(found)} labels.", f"Give one label per {singular}."
        )
    if found.dtype.kind == "O":
        _check_objects(found)
    return found


def labels_from_array(labels: Array, problem_type: str, classes: tuple[str, ...]) -> Labels:
    """Returns checked labels, their problem type and their classes.

    Args:
      labels: Numbers or names, [n] or [n, k].
      problem_type: Problem type; `auto` infers it from the labels.
      classes: Names of the classes that the labels index; () infers them.

    Raises:
      UserError: A label is out of range, not finite, or of another type than the problem needs.
    """
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    problem = _infer_problem_type(labels) if problem_type == "auto" else ProblemType(problem_type)
    if problem is ProblemType.SINGLE_LABEL:
        return _single_labels(labels, classes)
    if problem is ProblemType.MULTI_TASK:
        return _task_labels(labels, classes)
    labels = _numbers(labels, problem)
    return labels, problem, classes or tuple(f"y{k}" for k in range(labels.shape[1]))


def _check_objects(labels: Array) -> None:
    for row, label in enumerate(labels):
        missing = [x for x in np.ravel(label) if x is None or x != x]  # NaN differs from itself
        if missing:
            raise UserError(
                f"The label of example {row} is {missing[0]}.",
                "Fix the label, or remove the example.",
            )
    if len({isinstance(label, (str, bytes)) for label in labels.flat}) > 1:
        raise UserError("Some labels are names and some are numbers.", "Give all as names.")


def _single_labels(labels: Array, classes: tuple[str, ...]) -> Labels:
    if labels.ndim != 1 and labels.shape[1:] != (1,):
        raise UserError(
            f"Labels of shape {labels.shape} are not one per example.",
            "Give labels [n], or --problem_type=multi_label or --problem_type=regression.",
        )
    labels = labels.reshape(-1)
    if not classes:
        classes, labels = _infer_classes(labels)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        raise UserError(
            f"Label {labels[wrong[0]]} of example {wrong[0]} is outside 0 to {len(classes) - 1}.",
            "Give labels that index the classes, from 0.",
        )
    if len(classes) < 2:
        raise UserError(f"The labels have one class, {classes[0]}.", "Give at least two classes.")
    return labels.astype(np.int64), ProblemType.SINGLE_LABEL, classes


def _infer_classes(labels: Array) -> tuple[tuple[str, ...], Array]:
    """Returns the distinct labels as names, and the index of each label."""
    numbers = labels if labels.dtype.kind in "if" else np.zeros(len(labels))
    wrong = np.flatnonzero(~((numbers >= 0) & np.isfinite(numbers)))
    if len(wrong):
        raise UserError(
            f"Label {labels[wrong[0]]} of example {wrong[0]} is negative or not finite.",
            CLASS_REMEDY,
        )
    values = np.unique(labels)
    return tuple(str(value) for value in values), np.searchsorted(values, labels)


def _task_labels(labels: Array, classes: tuple[str, ...]) -> Labels:
    whole = labels.dtype.kind in "biu"
    if classes or labels.ndim != 2 or not (whole or labels.dtype.kind in "UO"):
        reason = ", and --problem_type=multi_task takes no names of classes" if classes else ""
        raise UserError(
            f"Labels of {labels.dtype} and shape {labels.shape} are not those of several "
            f"tasks{reason}.",
            "Give whole numbers (-1: unknown) or names (empty: unknown), [n, tasks].",
        )
    if whole and (labels < -1).any():
        row, column = np.argwhere(labels < -1)[0]
        raise UserError(f"Label {labels[row, column]} of example {row} is below -1.", CLASS_REMEDY)
    unknown = -1 if whole else ""
    rows = {
        number: ["" if value == unknown else str(value) for value in row]
        for number, row in enumerate(labels.tolist())
    }
    names = [f"task{number}" for number in range(labels.shape[1])]
    indices, classes = labels_of_tasks(names, rows, "The array of labels")
    return indices, ProblemType.MULTI_TASK, classes


def _numbers(labels: Array, problem_type: ProblemType) -> Array:
    """Returns labels as float32 [n, k], finite, and 0 or 1 for `multi_label`."""
    if labels.dtype.kind not in "biuf":
        raise UserError(
            f"Labels such as {labels.reshape(-1).tolist()[0]!r} are not numbers.",
            f"Give numbers for --problem_type={problem_type}.",
        )
    labels = labels.astype(np.float32).reshape(len(labels), -1)
    binary = problem_type is ProblemType.MULTI_LABEL
    valid = np.isin(labels, (0, 1)) if binary else np.isfinite(labels)
    if not valid.all():
        row = np.flatnonzero(~valid.all(axis=1))[0]
        expected = "0 or 1" if binary else "a finite number"
        raise UserError(
            f"The label of example {row} is not {expected}.",
            "Fix the label, or remove the example.",
        )
    return labels


def _infer_problem_type(labels: Array) -> ProblemType:
    if labels.ndim == 2 and labels.shape[1] > 1:
        if labels.dtype.kind in "UO":
            return ProblemType.MULTI_TASK
        binary = np.isin(labels, (0, 1)).all()
        return ProblemType.MULTI_LABEL if binary else ProblemType.REGRESSION
    whole = labels.dtype.kind in "iubUSO" or np.array_equal(labels, np.round(labels))
    return ProblemType.SINGLE_LABEL if whole else ProblemType.REGRESSION
