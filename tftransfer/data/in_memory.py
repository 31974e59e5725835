"""Examples from arrays and `tf.data` datasets; they are kept as encoded bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.encode import encoded
from tftransfer.data.examples import CLASS_REMEDY, SPLIT_DTYPE, Examples
from tftransfer.data.label_tasks import labels_of_tasks
from tftransfer.preprocessing import get_modality
from tftransfer.utils.errors import UserError

_INFINITE = -1  # tf.data.INFINITE_CARDINALITY


def from_arrays(
    images: Any, labels: Any, *, problem_type: str = "auto", classes: Any = ()
) -> Examples:
    """Images [n, h, w], [n, h, w, 1] or [n, h, w, 3], texts (str or bytes), or waveforms at 16 kHz
    [n, samples] or [n, samples, channels] (also a list of such of several lengths), and labels [n]
    or [n, k]. The first one tells which of them they are.

    With the target `multi_task`, labels are int or str [n, tasks]: -1 or "" where unknown.
    uint8 images are taken as they are; floating ones must lie in [0, 1].
    They are kept as PNG, which loses nothing of 8 bits.
    """
    modality, items = encoded(images)
    labels = label_array(labels, len(items), modality)
    found = _from_memory(items, labels, problem_type, tuple(classes), _normalised(images, modality))
    return replace(found, modality=modality)


def _normalised(values: Any, modality: str) -> tuple[str, ...]:
    if modality == "image" and isinstance(values, np.ndarray) and values.dtype != np.uint8:
        return (f"images of {values.dtype} in [0, 1] were stored as 8 bits",)
    if modality == "audio" and getattr(values[0], "dtype", None) == np.int16:
        return ("samples of int16 were divided by 32,768",)
    return ()


def from_dataset(dataset: Any, *, problem_type: str = "auto") -> Examples:
    """A finite, unbatched `tf.data.Dataset` of (image, label), or of dictionaries with those keys.

    An image is a picture of any size or a waveform as in `from_arrays`, a string of encoded bytes,
    or a text.
    """
    if int(dataset.cardinality()) == _INFINITE:
        raise UserError("The dataset never ends.", "Add take(n), or leave repeat() out.")
    labels = []

    def values() -> Iterator[Any]:
        for element in dataset.as_numpy_iterator():
            value, label = _value_and_label(element)
            labels.append(label.decode() if isinstance(label, bytes) else label)
            yield value

    modality, items = encoded(values())
    found = _from_memory(items, label_array(labels, len(items), modality), problem_type, ())
    return replace(found, modality=modality)


def label_array(labels: Any, count: int, modality: str) -> np.ndarray:
    """Labels as an array [n] or [n, k], of so many examples of a kind.

    Raises:
      UserError: there are more or fewer, or some are missing or of several types or lengths.
    """
    try:
        found = np.asarray(labels)
    except ValueError:
        found = np.zeros((), object)
    one, many = get_modality(modality).singular, get_modality(modality).plural
    if not found.ndim:
        raise UserError("The labels are no array.", f"Give one for each of the {count} {many}.")
    if len(found) != count:
        raise UserError(f"{count} {many} but {len(found)} labels.", f"Give one label per {one}.")
    if found.dtype.kind == "O":
        _check_objects(found)
    return found


def _check_objects(labels: np.ndarray) -> None:
    for row, label in enumerate(labels):
        missing = [x for x in np.ravel(label) if x is None or x != x]
        if missing:
            raise UserError(
                f"The label of example {row} is {missing[0]}.", "Mend it or leave both out."
            )
    if len({isinstance(label, (str, bytes)) for label in labels.flat}) > 1:
        raise UserError("Some labels are names and some are numbers.", "Give all as names.")


def _from_memory(
    items: list[bytes],
    labels: np.ndarray,
    problem_type: str,
    classes: tuple[str, ...],
    warnings: tuple[str, ...] = (),
) -> Examples:
    labels, problem, classes = labels_from_array(labels, problem_type, classes)
    names = [f"#{number}" for number in range(len(items))]
    splits = np.full(len(items), "", SPLIT_DTYPE)
    return Examples(
        names=names,
        items=items,
        labels=labels,
        problem_type=problem,
        classes=classes,
        splits=splits,
        warnings=warnings,
    )


def labels_from_array(
    labels: np.ndarray, problem_type: str, classes: tuple[str, ...]
) -> tuple[np.ndarray, ProblemType, tuple[str, ...]]:
    """Checked labels, their kind and their classes, from numbers or names [n] or [n, k].

    Raises:
      UserError: a label out of range or not finite.
    """
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    problem = _guess_problem_type(labels) if problem_type == "auto" else ProblemType(problem_type)
    if problem is ProblemType.SINGLE_LABEL:
        labels = _one_each(labels)
        if not classes:
            classes, labels = _counted(labels)
        wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if len(wrong):
            raise UserError(
                f"Label {labels[wrong[0]]} of example {wrong[0]} is outside 0 to "
                f"{len(classes) - 1}.",
                "Give labels that count the classes from 0.",
            )
        if len(classes) < 2:
            raise UserError(f"The labels have one class, {classes[0]}.", "Give at least two.")
        return labels.astype(np.int64), problem, classes
    if problem is ProblemType.MULTI_TASK:
        return _tasks(labels, classes)
    labels = _numbers(labels, problem)
    return labels, problem, classes or tuple(f"y{k}" for k in range(labels.shape[1]))


def _tasks(
    labels: np.ndarray, classes: tuple[str, ...]
) -> tuple[np.ndarray, ProblemType, tuple[str, ...]]:
    whole = labels.dtype.kind in "biu"
    if classes or labels.ndim != 2 or not (whole or labels.dtype.kind in "UO"):
        raise UserError(
            f"Labels of {labels.dtype} and the shape {labels.shape} are not those of several tasks"
            + (" when classes are named apart." if classes else "."),
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
    labels, classes = labels_of_tasks(names, rows, "The array of labels")
    return labels, ProblemType.MULTI_TASK, classes


def _counted(labels: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """The different labels as names, and which of them each is."""
    numbers = labels if labels.dtype.kind in "if" else np.zeros(len(labels))
    wrong = np.flatnonzero(~((numbers >= 0) & np.isfinite(numbers)))
    if len(wrong):
        raise UserError(
            f"Label {labels[wrong[0]]} of example {wrong[0]} is negative or not finite.",
            CLASS_REMEDY,
        )
    values = np.unique(labels)
    return tuple(str(value) for value in values), np.searchsorted(values, labels)


def _one_each(labels: np.ndarray) -> np.ndarray:
    """Labels [n] from [n] or [n, 1]."""
    if labels.ndim != 1 and labels.shape[1:] != (1,):
        raise UserError(
            f"Labels of the shape {labels.shape} are not one per example.",
            "Give labels [n], or --problem_type=multi_label or --problem_type=regression.",
        )
    return labels.reshape(-1)


def _numbers(labels: np.ndarray, problem_type: ProblemType) -> np.ndarray:
    """Labels as float32 [n, k], finite, and 0 or 1 for `multi_label`."""
    if labels.dtype.kind not in "biuf":
        raise UserError(
            f"Labels {labels.flat[0]!r}, ... are no numbers.", f"{problem_type} needs them."
        )
    labels = labels.astype(np.float32).reshape(len(labels), -1)
    several = problem_type is ProblemType.MULTI_LABEL
    good = np.isin(labels, (0, 1)) if several else np.isfinite(labels)
    if not good.all():
        row, wanted = (
            np.flatnonzero(~good.all(axis=1))[0],
            "0 or 1" if several else "a finite number",
        )
        raise UserError(f"Label of example {row} is not {wanted}.", "Mend or remove it.")
    return labels


def _guess_problem_type(labels: np.ndarray) -> ProblemType:
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "UO":
        return ProblemType.MULTI_TASK
    if labels.ndim == 2 and labels.shape[1] > 1:
        binary = np.isin(labels, (0, 1)).all()
        return ProblemType.MULTI_LABEL if binary else ProblemType.REGRESSION
    whole = labels.dtype.kind in "iubUSO" or np.array_equal(labels, np.round(labels))
    return ProblemType.SINGLE_LABEL if whole else ProblemType.REGRESSION


def _value_and_label(element: Any) -> tuple[Any, Any]:
    for key in ("image", "text", "sentence", "audio"):
        if isinstance(element, dict) and {key, "label"} <= set(element):
            return element[key], element["label"]
    if isinstance(element, (tuple, list)) and len(element) == 2:
        return element[0], element[1]
    raise UserError(
        f"The dataset yields {type(element).__name__}.",
        "Yield pairs (image, label), or dictionaries with the keys image, text or audio and label.",
    )
