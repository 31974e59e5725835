"""Types of tensors, arrays, paths and JSON for signatures; no package is imported here.

TensorFlow and Keras have no type stubs, so a type checker reads `tf.Tensor` as `Any`. `Tensor` is
a protocol with what the package uses of a tensor, hence a misspelled attribute is still found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union

# NumPy takes most of the time that `tftransfer --help` may take; the recipes import this module.
if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Array: TypeAlias = np.ndarray
    FloatArray: TypeAlias = NDArray[np.floating]
    IntArray: TypeAlias = NDArray[np.integer]
    BoolArray: TypeAlias = NDArray[np.bool_]
else:
    Array = FloatArray = IntArray = BoolArray = ArrayLike = DTypeLike = Any

__all__ = [
    "JSON",
    "Array",
    "ArrayLike",
    "BoolArray",
    "DTypeLike",
    "Dataset",
    "FloatArray",
    "IntArray",
    "JSONObject",
    "KerasLayer",
    "KerasModel",
    "PathLike",
    "Result",
    "Shape",
    "Tensor",
    "TensorLike",
    "Tensors",
    "Variable",
]

Shape: TypeAlias = tuple[int | None, ...]
PathLike: TypeAlias = str | os.PathLike[str]
# Strings, since these classes exist only for a type checker.
KerasLayer: TypeAlias = "keras.layers.Layer"
KerasModel: TypeAlias = "keras.Model"
Dataset: TypeAlias = "tf.data.Dataset"
# What `json` reads and writes; mappings and sequences, so that narrower types are accepted.
JSON: TypeAlias = Union[str, int, float, bool, "Mapping[str, JSON]", "Sequence[JSON]", None]
JSONObject: TypeAlias = dict[str, "JSON"]
# The content of `result.json`, or of one of its objects; the keys are those of reports.
Result: TypeAlias = Mapping[str, Any]
# A narrower type would exclude NumPy arrays, whose operators are overloaded by dtype.
_Operand: TypeAlias = Any


class Tensor(Protocol):
    """A TensorFlow or Keras tensor, eager or symbolic; a NumPy array is one too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""

    @property
    def dtype(self) -> DTypeLike:
        """Type of the entries."""

    def __array__(self) -> Array: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __getitem__(self, key: _Operand, /) -> Tensor: ...
    def __neg__(self) -> Tensor: ...
    def __add__(self, other: _Operand, /) -> Tensor: ...
    def __radd__(self, other: _Operand, /) -> Tensor: ...
    def __sub__(self, other: _Operand, /) -> Tensor: ...
    def __rsub__(self, other: _Operand, /) -> Tensor: ...
    def __mul__(self, other: _Operand, /) -> Tensor: ...
    def __rmul__(self, other: _Operand, /) -> Tensor: ...
    def __truediv__(self, other: _Operand, /) -> Tensor: ...
    def __rtruediv__(self, other: _Operand, /) -> Tensor: ...
    def __pow__(self, other: _Operand, /) -> Tensor: ...
    def __lt__(self, other: _Operand, /) -> Tensor: ...
    def __gt__(self, other: _Operand, /) -> Tensor: ...
    def __le__(self, other: _Operand, /) -> Tensor: ...
    def __ge__(self, other: _Operand, /) -> Tensor: ...
    def __eq__(self, other: _Operand, /) -> Tensor: ...  # type: ignore[override]
    def __ne__(self, other: _Operand, /) -> Tensor: ...  # type: ignore[override]
    def __and__(self, other: _Operand, /) -> Tensor: ...
    def __or__(self, other: _Operand, /) -> Tensor: ...
    def __invert__(self) -> Tensor: ...
    def __mod__(self, other: _Operand, /) -> Tensor: ...
    def __floordiv__(self, other: _Operand, /) -> Tensor: ...
    def __matmul__(self, other: _Operand, /) -> Tensor: ...


class Variable(Tensor, Protocol):
    """A `keras.Variable`."""

    trainable: bool

    @property
    def name(self) -> str:
        """Its own name, such as `kernel`."""

    @property
    def path(self) -> str:
        """The names of its layers and its own, such as `stage1/conv/kernel`."""

    @property
    def value(self) -> Tensor:
        """The present value."""

    def assign(self, value: TensorLike) -> Tensor:
        """Sets a new value of the same shape."""

    def numpy(self) -> Array:
        """The present value as an array."""


class Tensors(Protocol):
    """What a loss reads in one step: tensors by path, heads and weights."""

    @property
    def progress(self) -> Tensor:
        """Progress of the phase, a scalar from 0 to 1."""

    def __getitem__(self, path: str, /) -> Tensor:
        """The tensor of a path such as `train.logits` or `train.reference.stage4`."""

    def weights(self, pattern: str) -> Sequence[tuple[Tensor, Tensor]]:
        """Trained weights of the matching blocks, each with its value in the reference."""

    def apply_head(self, head: str, tensor: Tensor, *, frozen: bool = False) -> Tensor:
        """Returns the output of a head.

        Args:
          head: Name of the head.
          tensor: Input of the head, [n, d].
          frozen: Whether no gradient reaches the weights of the head.
        """


TensorLike: TypeAlias = Tensor | ArrayLike
