"""Weights of blocks as arrays in .npz files, which are never pickles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tftransfer.utils.errors import UserError
from tftransfer.utils.files import atomic_file
from tftransfer.utils.keras_internals import layers_inside


def variables_of(layers: Iterable[Any]) -> list[Any]:
    """Returns all weights of the layers in order, including frozen ones and statistics."""
    return [variable for layer in layers for variable in layer.weights]


def collect(blocks: Mapping[str, Sequence[Any]]) -> dict[str, np.ndarray]:
    """Returns the weights of the layers of each block, as arrays by `BLOCK/0007/PATH`."""
    return {
        f"{block}/{number:04d}/{variable.path}": variable.numpy()
        for block, layers in blocks.items()
        for number, variable in enumerate(variables_of(layers))
    }


def assign_blocks(
    blocks: Mapping[str, Sequence[Any]], stored: Mapping[str, np.ndarray], source: Path
) -> None:
    """Assigns arrays of `collect` to the layers, by block and position.

    Args:
      blocks: The layers of each block.
      stored: Arrays by the keys of `collect`.
      source: Where they come from, for messages.

    Raises:
      UserError: If a block lacks arrays, or a shape differs.
    """
    by_place = {"/".join(key.split("/")[:2]): key for key in stored}
    pairs = []
    for block, layers in blocks.items():
        for number, variable in enumerate(variables_of(layers)):
            key = by_place.get(f"{block}/{number:04d}")
            if key is None:
                raise UserError(
                    f"{source} holds no weights for {block} ({variable.path}).",
                    "It belongs to another backbone, or is damaged.",
                )
            if stored[key].shape != tuple(variable.shape):
                raise UserError(
                    f"{source}: {key} has the shape {stored[key].shape}, "
                    f"the network's {variable.path} has {tuple(variable.shape)}.",
                    "Use the same backbone and options as the run that wrote it.",
                )
            pairs.append((variable, stored[key]))
    for variable, array in pairs:
        variable.assign(array)
    update_derived_values(layer for layers in blocks.values() for layer in layers)


def update_derived_values(layers: Iterable[Any]) -> None:
    """Computes again what layers derive from their weights, after an assignment."""
    for layer in layers:
        for each in layers_inside(layer):
            if isinstance(each, keras.layers.Normalization):
                each.finalize_state()


def write(path: Path, values: Mapping[str, np.ndarray]) -> None:
    """Writes arrays to an uncompressed .npz file, atomically."""
    with atomic_file(path, exclusive=True) as temporary, temporary.open("wb") as file:
        np.savez(file, **values)  # type: ignore[arg-type]


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an .npz file.

    Raises:
      UserError: If the file is absent or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except Exception as error:  # of NumPy, zipfile, zlib and tokenize, whose classes are their own
        raise UserError(f"{path} cannot be read: {error}", "Restore it, or train again.") from None


def digest(values: Iterable[Any]) -> str:
    """Returns the sha256 of the shapes, types and values of variables or arrays, in order."""
    total = hashlib.sha256()
    for value in values:
        array = np.ascontiguousarray(value.numpy() if hasattr(value, "numpy") else value)
        total.update(str((array.shape, array.dtype.name)).encode())
        total.update(array.data if array.size else b"")
    return total.hexdigest()
