"""Loads weight files layer by layer, and reports every layer that does not fit."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from tftransfer.checkpoints.weights import update_derived_values
from tftransfer.core.typing import Array, KerasLayer, KerasModel, Variable
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import file_sha256
from tftransfer.utils.keras_internals import duplicate_container_ignored

if TYPE_CHECKING:
    import h5py

# Weights compress little: an array that claims to be much larger than its file fills the memory.
_MAX_SIZE_RATIO = 20
# Layers that one message reports.
_MAX_REPORTED = 3
_MESSAGE_CHARACTERS = 300


def load_weights(model: KerasModel, path: Path, *, sha256: str = "") -> str:
    """Assigns the weights of an HDF5 file to a model.

    Args:
      model: A built model. Its layers are matched by name (`/` in the file's names is `_`), or
        in order if no name is known and all shapes agree. Further layers of the file are ignored.
      path: A legacy Keras HDF5 file (`.h5`, weights or whole model) or `.weights.h5`.
      sha256: Expected hash of the file; "" for any.

    Returns:
      The file's sha256.

    Raises:
      UserError: The file does not exist, is not the expected one, cannot be read, or belongs to
        another model.
    """
    if not path.is_file():
        raise UserError(f"The weights file {path} does not exist.", "Check --weights.")
    digest = file_sha256(path)
    if sha256 and digest != sha256:
        raise UserError(
            f"The weights file {path} is not the expected one: sha256 {digest}, not {sha256}.",
            "Download it again from its source.",
        )
    import h5py

    if zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is a whole model, which may contain code, and not weights alone.",
            "Load it where you trust it, and give what model.save_weights('NAME.weights.h5') "
            "writes.",
        )
    try:
        with h5py.File(path, "r") as file:
            check_bounds(file, path)
            if "layer_names" in file.attrs or "model_weights" in file:
                _load_legacy(model, file, path)
                return digest
    except UserError:
        raise
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            f"The weights file {path} cannot be read: {error}", "Download it again."
        ) from None
    _load_keras3(model, path)
    return digest


def check_bounds(file: h5py.File, path: Path) -> None:
    """Refuses links to other files, and arrays that are too large for the file to hold.

    Args:
      file: The open file.
      path: Its path.

    Raises:
      UserError: The name of the entry, and why it is refused.
    """
    import h5py

    limit, total = _MAX_SIZE_RATIO * path.stat().st_size, 0
    folders, seen = [file], set()
    while folders:
        folder = folders.pop()
        address = h5py.h5o.get_info(folder.id).addr
        if address in seen:
            _refuse(path, folder.name, "in the file twice")
        seen.add(address)
        for name in folder:
            link = folder.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                _refuse(path, f"{folder.name}/{name}", "a link")
            entry = folder[name]
            if isinstance(entry, h5py.Group):
                folders.append(entry)
                continue
            if not isinstance(entry, h5py.Dataset):
                _refuse(path, entry.name, "not an array")
            if entry.external or entry.is_virtual:
                _refuse(path, entry.name, "in another file")
            if entry.dtype.hasobject and h5py.check_string_dtype(entry.dtype) is None:
                _refuse(path, entry.name, f"of type {entry.dtype}")
            total += entry.size * entry.dtype.itemsize
            if total > limit:
                _refuse(path, entry.name, f"more than the file of {path.stat().st_size:,} bytes")


def _refuse(path: Path, name: str, reason: str) -> NoReturn:
    raise UserError(
        f"The weights file {path} is refused: its entry {name} is {reason}.",
        "Download it from its source, or save the weights again.",
    )


def _load_keras3(model: KerasModel, path: Path) -> None:
    try:
        with duplicate_container_ignored():
            model.load_weights(path)
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path} does not fit {model.name}: {_misfit_of_keras(str(error))}.",
            "Give the weights of this backbone, or another --backbone.",
        ) from None


def _misfit_of_keras(message: str) -> str:
    """Returns layer and shapes from Keras's message, which also lists values."""
    message = " ".join(message.partition("List of objects")[0].split())
    layer, shapes = re.search(r"name=([^,>]+)", message), re.findall(r"shape=(\(.*?\))", message)
    if layer and len(shapes) > 1:
        return f"layer {layer[1]} has shape {shapes[0]}, the file's has {shapes[1]}"
    if layer and "received 0 variables" in message:
        return f"layer {layer[1]} is missing in the file"
    return message[:_MESSAGE_CHARACTERS].rstrip(".")


def _load_legacy(model: KerasModel, file: h5py.File, path: Path) -> None:
    stored = _legacy_arrays(file)
    layers = [layer for layer in model.layers if layer.weights]
    names = {layer: _stored_name(stored, layer) for layer in layers}
    if any(names.values()):
        pairs = [(layer, name or layer.name, stored.get(name)) for layer, name in names.items()]
    else:
        order = list(stored)[: len(layers)]
        order += [""] * (len(layers) - len(order))
        pairs = [(layer, name, stored.get(name)) for layer, name in zip(layers, order)]
    problems = [p for layer, name, arrays in pairs if (p := _misfit(layer, name, arrays))]
    if problems:
        unreported = len(problems) - _MAX_REPORTED
        more = f" (and {unreported} more)" if unreported > 0 else ""
        raise UserError(
            f"{path} does not fit {model.name}: {'; '.join(problems[:_MAX_REPORTED])}{more}.",
            "Give the weights of this backbone with the same options, or another --backbone.",
        )
    for layer, _, fitting in pairs:
        for variable, array in zip(_file_order(layer), fitting or ()):
            variable.assign(array)
    update_derived_values(model.layers)


def _legacy_arrays(file: h5py.File) -> dict[str, list[Array]]:
    """Returns the arrays of each layer that has any, by the layer's name."""
    group = file.get("model_weights", file)
    stored = {}
    for name in group.attrs["layer_names"]:
        name = name.decode() if isinstance(name, bytes) else name
        arrays = [np.asarray(group[name][key]) for key in group[name].attrs["weight_names"]]
        if arrays:
            stored[name.replace("/", "_")] = arrays  # Keras 3 allows no slash in a layer's name
    return stored


def _stored_name(stored: Mapping[str, Sequence[Array]], layer: KerasLayer) -> str:
    """Returns the layer's name in the file, without the number that Keras appends to its own."""
    bare = re.sub(r"_\d+$", "", layer.name)
    named_by_keras = bare.replace("_", "") == type(layer).__name__.lower()
    known = [name for name in (layer.name, bare if named_by_keras else "") if name in stored]
    return known[0] if known else ""


def _file_order(layer: KerasLayer) -> Sequence[Variable]:
    variables: Sequence[Variable] = layer.trainable_weights + layer.non_trainable_weights
    return variables


def _misfit(layer: KerasLayer, name: str, arrays: Sequence[Array] | None) -> str:
    """Returns why arrays of the file do not fit a layer; "" if they do."""
    if arrays is None:
        return f"layer {layer.name} is missing in the file"
    ours = [tuple(variable.shape) for variable in _file_order(layer)]
    stored = [array.shape for array in arrays]
    if ours == stored:
        return ""
    return f"layer {layer.name} has shapes {ours}, the file's {name} has {stored}"
