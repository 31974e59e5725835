"""Weights as plain arrays in .npz files: by block, in order, never a pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tftransfer.utils.errors import UserError
from tftransfer.utils.files import fsync
from tftransfer.utils.keras_internals import layers_inside


def variables_of(layers: Iterable[Any]) -> list[Any]:
    """All weights of the layers in order, frozen ones and statistics included."""
    return [variable for layer in layers for variable in layer.weights]


def collect(blocks: Mapping[str, Sequence[Any]]) -> dict[str, np.ndarray]:
    """Block name to layers becomes `block/0007/path` to array."""
    return {
        f"{block}/{number:04d}/{variable.path}": variable.numpy()
        for block, layers in blocks.items()
        for number, variable in enumerate(variables_of(layers))
    }


def assign_blocks(
    blocks: Mapping[str, Sequence[Any]], stored: Mapping[str, np.ndarray], source: Path
) -> None:
    """Puts `collect`ed arrays back, by block and position; shapes must agree.

    Raises:
      UserError: a block lacks arrays, or a shape differs; the weight is named.
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
    settle(layer for layers in blocks.values() for layer in layers)


def settle(layers: Iterable[Any]) -> None:
    """Lets layers that keep values derived from their weights derive them again."""
    for layer in layers:
        for each in layers_inside(layer):
            if isinstance(each, keras.layers.Normalization):
                each.finalize_state()


def write(path: Path, values: Mapping[str, np.ndarray]) -> None:
    """Writes arrays to an uncompressed .npz file."""
    with path.open("wb") as file:
        np.savez(file, **values)  # type: ignore[arg-type]


def store(path: Path, values: Mapping[str, np.ndarray]) -> None:
    """As `write`, but the file is there whole and on the disk, or as it was."""
    part = path.with_name(f".{path.name}.part")
    write(part, values)
    fsync(part)
    part.replace(path)


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an .npz file.

    Raises:
      UserError: the file is absent or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except Exception as error:  # of NumPy, zipfile, zlib and tokenize, whose classes are their own
        raise UserError(f"{path} cannot be read: {error}", "Restore it, or train again.") from None


def digest(values: Iterable[Any]) -> str:
    """sha256 over the bytes of variables or arrays, in order."""
    total = hashlib.sha256()
    for value in values:
        array = np.ascontiguousarray(value.numpy() if hasattr(value, "numpy") else value)
        total.update(str((array.shape, array.dtype.name)).encode())
        total.update(array.data if array.size else b"")
    return total.hexdigest()
