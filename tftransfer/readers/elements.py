"""Elements of `tf.data` and Keras datasets, generators and lists: batches are split."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tftransfer.core.typing import ArrayLike, Dataset
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError

_INFINITE = -1  # tf.data.INFINITE_CARDINALITY
# An array, a text, or several of them by position or name.
_Element: TypeAlias = Any
_MAX_ELEMENTS = 1_000_000
_MAX_BYTES = 16 << 30
_INPUT_KEYS = (
    *("image", "images", "text", "texts", "sentence", "audio", "waveform", "speech"),
    *("input", "inputs", "x", "path", "file"),
)
_LABEL_KEYS = ("label", "labels", "y", "target", "targets", "class")
# Last axes of single images: gray, RGB, RGBA.
_CHANNELS = (1, 3, 4)
_WEIGHTS_REMEDY = (
    "Give pairs, in tf.data by map(lambda x, y, weight: (x, y)); the recipe's option "
    "class_weight=balanced weights classes."
)


@dataclass
class Elements:
    """The examples of a dataset, which can be read once.

    Attributes:
      source: Dataset, sequence of batches or of elements, or iterator.
      labels: Labels of the inputs that `inputs` yielded so far.
      warnings: How the elements were read.
    """

    source: Dataset
    labels: list[ArrayLike] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of a dataset that Keras made from folders, else none."""
        return tuple(map(str, getattr(self.source, "class_names", None) or ()))

    def inputs(self, *, labeled: bool = True) -> Iterator[ArrayLike]:
        """Yields the inputs one by one and appends their labels to `labels`.

        Args:
          labeled: Whether each element must have a label; labels are ignored otherwise.

        Raises:
          UserError: The dataset is infinite, or an element is no example.
        """
        is_batch: bool | None = None
        weights, size = set[float](), 0
        for count, element in enumerate(self._elements()):
            value, label, weight = _divided(element, labeled)
            if is_batch is None:
                is_batch = self._yields_batches(value, label)
                if is_batch:
                    self.warnings.append(
                        f"batches, of {len(value)} in the first one, are split into examples"
                    )
            size += getattr(value, "nbytes", 0)
            if count >= _MAX_ELEMENTS or size > _MAX_BYTES:
                raise UserError(
                    f"{type(self.source).__name__} yields more than {count:,} elements, and may "
                    "not end.",
                    "Give tf.data's take(n), or itertools.islice(generator, n).",
                )
            if weight is not None:
                weights |= set(np.unique(weight).tolist())
                check_weights(list(weights))
            values, labels = (value, label) if is_batch else ([value], [label])
            if labeled and labels is not None:
                self.labels += [_text(each) for each in labels]
            yield from map(_dense, values)
        if weights:
            self.warnings.append("weights of examples are all equal, and are not used")

    def _elements(self) -> Iterable[_Element]:
        if hasattr(self.source, "as_numpy_iterator"):
            if int(self.source.cardinality()) == _INFINITE:
                raise UserError("The dataset is infinite.", "Add take(n), or remove repeat().")
            try:
                elements: Iterable[_Element] = self.source.as_numpy_iterator()
                return elements
            except TypeError as error:
                raise UserError(
                    f"The dataset cannot be read: {str(error).splitlines()[0]}",
                    "Yield dense tensors; in tf.data map to_tensor() or sparse.to_dense.",
                ) from None
        if hasattr(self.source, "__getitem__"):
            return self._items()
        return itertools.islice(self.source, _MAX_ELEMENTS + 1)

    def _items(self) -> Iterator[_Element]:
        for number in range(_length(self.source)):
            try:
                yield self.source[number]
            except KeyError:
                raise UserError(
                    f"{type(self.source).__name__} has no element {number}.",
                    "Give a sequence that is indexed from 0, a data frame, or (inputs, labels).",
                ) from None

    def _yields_batches(self, value: ArrayLike, label: ArrayLike | None) -> bool:
        """Returns whether an element has several examples, from its shape and the dataset's."""
        if is_keras_dataset(self.source):
            return True
        shape, labels = np.shape(value), np.shape(label) if label is not None else None
        if not shape or labels == () or (labels and labels[0] != shape[0]):
            return False
        if len(shape) == 1:
            return np.asarray(value).dtype.kind in "OSU"
        if len(shape) == 3:
            return shape[-1] not in _CHANNELS
        return len(shape) > 3 or self._has_open_first_axis(labels)

    def _has_open_first_axis(self, labels: tuple[int, ...] | None) -> bool:
        """Returns whether rows of numbers [n, k] are n examples."""
        spec = getattr(self.source, "element_spec", None)
        if spec is None:
            return labels is not None
        if isinstance(spec, Mapping):
            spec = _first_of(spec, _INPUT_KEYS), _first_of(spec, _LABEL_KEYS)
        first, label = (*spec, None)[:2] if isinstance(spec, tuple) else (spec, None)
        shape, labels_shape = _spec_shape(first), _spec_shape(label)
        if len(shape) != 2 or shape[0] is not None:
            return False
        return shape[1] is not None or (labels_shape[:1] == (None,) and bool(labels))


def _dense(value: _Element) -> _Element:
    """Returns a slice of a ragged tensor, which is an array of arrays, as one array."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "O" or not value.ndim:
        return value
    rows = [_dense(row) for row in value]
    same = (
        all(isinstance(row, np.ndarray) for row in rows) and len({np.shape(r) for r in rows}) == 1
    )
    return np.stack(rows) if same else value


def _spec_shape(spec: object) -> tuple[int | None, ...]:
    """Returns the shape of a `tf.TensorSpec` or another, with None where it varies."""
    shape = getattr(spec, "shape", None)
    return () if shape is None or shape.rank is None else tuple(shape)


def is_keras_dataset(data: object) -> bool:
    """Returns whether data are a `keras.utils.PyDataset`, whose items are batches."""
    return any(
        each.__name__ in ("PyDataset", "Sequence") and each.__module__.startswith("keras")
        for each in type(data).__mro__
    )


def has_elements(data: object) -> bool:
    """Returns whether data yield examples one by one or in batches."""
    if hasattr(data, "as_numpy_iterator") or hasattr(data, "__next__") or is_keras_dataset(data):
        return True
    if isinstance(data, list) and len(data) > 2:
        return all(isinstance(each, tuple) and len(each) in (2, 3) for each in data)
    is_known = isinstance(data, (str, bytes, Sequence, Mapping)) or hasattr(data, "__array__")
    return not is_known and hasattr(data, "__getitem__") and hasattr(data, "__len__")


def _length(source: Dataset) -> int:
    try:
        return len(source)
    except TypeError:
        raise UserError(
            f"{type(source).__name__} has no length.", "Give a finite dataset."
        ) from None


def _divided(element: _Element, labeled: bool) -> tuple[_Element, _Element | None, _Element | None]:
    """Returns input, label and weight of an element; label and weight may be None."""
    if isinstance(element, Mapping):
        value = _first_of(element, _INPUT_KEYS)
        label = _first_of(element, _LABEL_KEYS)
        if value is None or (labeled and label is None):
            raise _unknown_element(f"dictionaries with the keys {', '.join(map(str, element))}")
        return value, label, None
    if isinstance(element, (tuple, list)) and 2 <= len(element) <= 3:
        value, label, weight = (*element, None)[:3]
        if isinstance(value, (Mapping, tuple)) or isinstance(label, (Mapping, tuple)):
            raise UserError(
                "The elements have several inputs or several labels by name.",
                "Give one input, and labels as one array; several tasks are labels [n, tasks].",
            )
        return value, label, weight
    if not labeled and not isinstance(element, (tuple, list)):
        return element, None, None
    raise _unknown_element(type(element).__name__)


def _first_of(element: Mapping[str, _Element], keys: Sequence[str]) -> _Element | None:
    return next((element[key] for key in keys if key in element), None)


def _unknown_element(what: str) -> UserError:
    return UserError(
        printable(f"The dataset yields {what}."),
        "Yield pairs (image, label), or dictionaries with the keys image, text or audio and label. "
        "Examples without labels can be given as target_data and unlabelled_data.",
    )


def check_weights(weights: ArrayLike) -> None:
    """Checks that weights of examples are equal, so that they may be ignored.

    Args:
      weights: Weights, [n].

    Raises:
      UserError: The weights differ.
    """
    try:
        different = len(np.unique(np.asarray(weights)))
    except (ValueError, TypeError):  # of several shapes or types
        raise UserError(
            "The third of the three values is no array of weights.",
            "Give (inputs, labels); other labeled data are test_data=(inputs, labels).",
        ) from None
    if different > 1:
        raise UserError("Weights of examples are not supported.", _WEIGHTS_REMEDY)


def _text(label: _Element) -> _Element:
    return label.decode() if isinstance(label, bytes) else label
