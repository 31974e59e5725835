"""Examples from arrays and `tf.data` datasets; they are kept as encoded bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tftransfer.ground.errors import UserError
from tftransfer.parts.data.examples import NO_CLASS, PART_DTYPE, Examples
from tftransfer.parts.data.sniff import kind_of_files
from tftransfer.parts.data.tasks import labels_of_tasks

_INFINITE = -1  # tf.data.INFINITE_CARDINALITY


def from_arrays(images: Any, labels: Any, *, target: str = "auto", classes: Any = ()) -> Examples:
    """Images [n, h, w], [n, h, w, 1] or [n, h, w, 3], or texts, and labels [n] or [n, k].

    With the target `multi_task`, labels are int or str [n, tasks]: -1 or "" where unknown.
    uint8 images are taken as they are; floating ones must lie in [0, 1].
    They are kept as PNG, which loses nothing of 8 bits.
    """
    labels = np.asarray(labels)
    if len(images) != len(labels):
        raise UserError(
            f"{len(images)} images but {len(labels)} labels.", "Give one label per image."
        )
    if len(images) and all(isinstance(each, str) for each in images):
        texts = [str(each).encode("utf-8", "replace") for each in images]
        names = [f"#{index}" for index in range(len(texts))]
        found = _from_memory(names, texts, labels, target, tuple(classes), "")
        return replace(found, kind="text")
    remarks: tuple[str, ...] = ()
    if isinstance(images, np.ndarray) and images.dtype != np.uint8:
        remarks = (f"images of {images.dtype} in [0, 1] were stored as 8 bits",)
    items = [encode_png(image, index) for index, image in enumerate(images)]
    names = [f"#{index}" for index in range(len(items))]
    return _from_memory(names, items, labels, target, tuple(classes), "", remarks)


def from_dataset(dataset: Any, *, target: str = "auto") -> Examples:
    """A finite, unbatched `tf.data.Dataset` of (image, label), or of dictionaries with those keys.

    An image is a picture of any size as in `from_arrays`, a string of encoded bytes, or a text.
    """
    if int(dataset.cardinality()) == _INFINITE:
        raise UserError("The dataset never ends.", "Add take(n), or leave repeat() out.")
    items, labels = [], []
    for index, element in enumerate(dataset.as_numpy_iterator()):
        image, label = _image_and_label(element)
        items.append(image if isinstance(image, bytes) else encode_png(image, index))
        labels.append(label.decode() if isinstance(label, bytes) else label)
    names = [f"#{index}" for index in range(len(items))]
    found = _from_memory(names, items, np.asarray(labels), target, (), "")
    return replace(found, kind=kind_of_files(items))


def _from_memory(
    names: list[str],
    items: list[bytes],
    labels: np.ndarray,
    target: str,
    classes: tuple[str, ...],
    part: str,
    remarks: tuple[str, ...] = (),
) -> Examples:
    labels, target, classes = labels_from_array(labels, target, classes)
    parts = np.full(len(items), part, PART_DTYPE)
    return Examples(
        names=names, items=items, labels=labels, target=target, classes=classes,
        parts=parts, remarks=remarks,
    )  # fmt: skip


def labels_from_array(
    labels: np.ndarray, target: str, classes: tuple[str, ...]
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Checked labels, their kind and their classes, from numbers or names [n] or [n, k].

    Raises:
      UserError: a label out of range or not finite.
    """
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if target == "auto":
        target = _guess_target(labels)
    if target == "single_label":
        labels = _one_each(labels)
        if not classes:
            classes, labels = _counted(labels)
        wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if len(wrong):
            raise UserError(
                f"Label {labels[wrong[0]]} of example {wrong[0]} is outside 0 to "
                f"{len(classes) - 1}.", "Give labels that count the classes from 0.",
            )  # fmt: skip
        if len(classes) < 2:
            raise UserError(f"The labels have one class, {classes[0]}.", "Give at least two.")
        return labels.astype(np.int64), target, classes
    if target == "multi_task":
        return _tasks(labels, classes)
    labels = _numbers(labels, target)
    return labels, target, classes or tuple(f"y{k}" for k in range(labels.shape[1]))


def _tasks(labels: np.ndarray, classes: tuple[str, ...]) -> tuple[Any, str, tuple[str, ...]]:
    whole = labels.dtype.kind in "biu"
    if classes or labels.ndim != 2 or not (whole or labels.dtype.kind in "UO"):
        raise UserError(
            f"Labels of {labels.dtype} and the shape {labels.shape} are not those of several tasks"
            + (" when classes are named apart." if classes else "."),
            "Give whole numbers (-1: unknown) or names (empty: unknown), [n, tasks].",
        )
    if whole and (labels < -1).any():
        row, column = np.argwhere(labels < -1)[0]
        raise UserError(f"Label {labels[row, column]} of example {row} is below -1.", NO_CLASS)
    unknown = -1 if whole else ""
    rows = {
        number: ["" if value == unknown else str(value) for value in row]
        for number, row in enumerate(labels.tolist())
    }
    names = [f"task{number}" for number in range(labels.shape[1])]
    labels, classes = labels_of_tasks(names, rows, "The array of labels")
    return labels, "multi_task", classes


def _counted(labels: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """The different labels as names, and which of them each is."""
    numbers = labels if labels.dtype.kind in "if" else np.zeros(len(labels))
    wrong = np.flatnonzero(~((numbers >= 0) & np.isfinite(numbers)))
    if len(wrong):
        raise UserError(
            f"Label {labels[wrong[0]]} of example {wrong[0]} is negative or not finite.", NO_CLASS
        )
    values = np.unique(labels)
    return tuple(str(value) for value in values), np.searchsorted(values, labels)


def _one_each(labels: np.ndarray) -> np.ndarray:
    """Labels [n] from [n] or [n, 1]."""
    if labels.ndim != 1 and labels.shape[1:] != (1,):
        raise UserError(
            f"Labels of the shape {labels.shape} are not one per example.",
            "Give labels [n], or --target=multi_label or --target=regression.",
        )
    return labels.reshape(-1)


def _numbers(labels: np.ndarray, target: str) -> np.ndarray:
    """Labels as float32 [n, k], finite, and 0 or 1 for `multi_label`."""
    if labels.dtype.kind not in "biuf":
        raise UserError(f"Labels {labels.flat[0]!r}, ... are no numbers.", f"{target} needs them.")
    labels = labels.astype(np.float32).reshape(len(labels), -1)
    several = target == "multi_label"
    good = np.isin(labels, (0, 1)) if several else np.isfinite(labels)
    if not good.all():
        row, kind = np.flatnonzero(~good.all(axis=1))[0], "0 or 1" if several else "a finite number"
        raise UserError(f"Label of example {row} is not {kind}.", "Mend or remove it.")
    return labels


def _guess_target(labels: np.ndarray) -> str:
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "UO":
        return "multi_task"
    if labels.ndim == 2 and labels.shape[1] > 1:
        binary = np.isin(labels, (0, 1)).all()
        return "multi_label" if binary else "regression"
    whole = labels.dtype.kind in "iubUSO" or np.array_equal(labels, np.round(labels))
    return "single_label" if whole else "regression"


def _image_and_label(element: Any) -> tuple[Any, Any]:
    for key in ("image", "text", "sentence"):
        if isinstance(element, dict) and {key, "label"} <= set(element):
            return element[key], element["label"]
    if isinstance(element, (tuple, list)) and len(element) == 2:
        return element[0], element[1]
    raise UserError(
        f"The dataset yields {type(element).__name__}.",
        "Yield pairs (image, label), or dictionaries with the keys image (or text) and label.",
    )


def encode_png(image: Any, index: int) -> bytes:
    """A picture as PNG bytes, which lose nothing of 8 bits.

    Args:
      image: [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]; uint8, or floating in [0, 1].
      index: for the message.

    Raises:
      UserError: another shape or range.
    """
    import tensorflow as tf

    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or not image.size:
        raise UserError(
            f"Image {index} has the shape {image.shape}.", "Give [h, w], [h, w, 1] or [h, w, 3]."
        )
    if image.dtype != np.uint8:
        if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
            raise UserError(
                f"Image {index} is {image.dtype} with values outside [0, 1].",
                "Give uint8 in 0 to 255, or floating point in [0, 1].",
            )
        image = np.round(image * 255).astype(np.uint8)
    return tf.io.encode_png(image).numpy()
