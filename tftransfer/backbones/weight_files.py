"""Reads weight files layer by layer and names every layer that does not fit."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tftransfer.checkpoints.weights import settle
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import file_sha256
from tftransfer.utils.keras_internals import duplicate_container_ignored

# Weights hardly shrink; an array that says it is much larger than its file would fill the memory.
_MOST_TIMES = 20


def load_weights(model: keras.Model, path: Path, *, sha256: str = "") -> str:
    """Puts the weights of an HDF5 file into `model`; layers that the file has beyond it are left.

    Args:
      model: built; its layers are matched by name (`/` in the file's is `_`), or one
        by one in order when no name is known and all shapes agree.
      path: a legacy Keras HDF5 file (`.h5`, weights or whole model) or `.weights.h5`.
      sha256: what the file must hash to; "" accepts any.

    Returns:
      The file's sha256.

    Raises:
      UserError: absent, altered, unreadable, or for another model.
    """
    if not path.is_file():
        raise UserError(f"The weights file {path} does not exist.", "Check --weights.")
    digest = file_sha256(path)
    if sha256 and digest != sha256:
        raise UserError(
            f"The weights file {path} is not the expected one: sha256 {digest}, not {sha256}.",
            "Fetch it again from its source.",
        )
    import h5py

    if zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is a whole model, which may hold code, and not weights alone.",
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
            f"The weights file {path} cannot be read: {error}", "Fetch it again."
        ) from None
    _load_keras3(model, path)
    return digest


def check_bounds(file: Any, path: Path) -> None:
    """Refuses links to other files, and arrays that the file is too small to hold.

    Raises:
      UserError: naming the entry.
    """
    import h5py

    most, total = _MOST_TIMES * path.stat().st_size, 0
    folders, seen = [file], set()
    while folders:
        folder = folders.pop()
        place = h5py.h5o.get_info(folder.id).addr
        if place in seen:
            _refuse(path, folder.name, "there twice")
        seen.add(place)
        for name in folder:
            link = folder.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                _refuse(path, f"{folder.name}/{name}", "a link")
            entry = folder[name]
            if isinstance(entry, h5py.Group):
                folders.append(entry)
                continue
            if not isinstance(entry, h5py.Dataset):
                _refuse(path, entry.name, "no array")
            if entry.external or entry.is_virtual:
                _refuse(path, entry.name, "kept in another file")
            if entry.dtype.hasobject and h5py.check_string_dtype(entry.dtype) is None:
                _refuse(path, entry.name, f"of {entry.dtype}")
            total += entry.size * entry.dtype.itemsize
            if total > most:
                _refuse(path, entry.name, f"more than the file of {path.stat().st_size:,} bytes")


def _refuse(path: Path, name: str, reason: str) -> None:
    raise UserError(
        f"The weights file {path} is refused: its entry {name} is {reason}.",
        "Fetch it from its source, or save the weights anew.",
    )


def _load_keras3(model: keras.Model, path: Path) -> None:
    try:
        with duplicate_container_ignored():
            model.load_weights(path)
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path} does not fit {model.name}: {_misfit_told(str(error))}.",
            "Give the weights of this backbone, or another --backbone.",
        ) from None


def _misfit_told(text: str) -> str:
    """Layer and shapes out of Keras's own words, which also hold values."""
    text = " ".join(text.partition("List of objects")[0].split())
    layer, shapes = re.search(r"name=([^,>]+)", text), re.findall(r"shape=(\(.*?\))", text)
    if layer and len(shapes) > 1:
        return f"layer {layer[1]} has shape {shapes[0]}, the file's has {shapes[1]}"
    if layer and "received 0 variables" in text:
        return f"layer {layer[1]} is missing in the file"
    return text[:300].rstrip(".")


def _load_legacy(model: keras.Model, file: Any, path: Path) -> None:
    group = file.get("model_weights", file)
    stored = {}
    for name in group.attrs["layer_names"]:
        name = name.decode() if isinstance(name, bytes) else name
        arrays = [np.asarray(group[name][key]) for key in group[name].attrs["weight_names"]]
        if arrays:
            stored[name.replace("/", "_")] = arrays  # Keras 3 allows no slash in a layer's name
    layers = [layer for layer in model.layers if layer.weights]
    names = {layer: _name_in(stored, layer) for layer in layers}
    if any(names.values()):
        pairs = [(layer, name or layer.name, stored.get(name)) for layer, name in names.items()]
    else:
        order = list(stored)[: len(layers)]
        order += [""] * (len(layers) - len(order))
        pairs = [(layer, name, stored.get(name)) for layer, name in zip(layers, order)]
    problems = [p for layer, name, arrays in pairs if (p := _misfit(layer, name, arrays))]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise UserError(
            f"{path} does not fit {model.name}: {'; '.join(problems[:3])}{more}.",
            "Give the weights of this backbone with the same options, or another --backbone.",
        )
    for layer, _, fitting in pairs:
        for variable, array in zip(_file_order(layer), fitting or ()):
            variable.assign(array)
    settle(model.layers)


def _name_in(stored: Any, layer: Any) -> str:
    """The layer's name in the file; Keras counts up the names that it gives itself."""
    bare = re.sub(r"_\d+$", "", layer.name)
    given_by_keras = bare.replace("_", "") == type(layer).__name__.lower()
    known = [name for name in (layer.name, bare if given_by_keras else "") if name in stored]
    return known[0] if known else ""


def _file_order(layer: Any) -> Sequence[Any]:
    return layer.trainable_weights + layer.non_trainable_weights


def _misfit(layer: Any, name: str, arrays: Sequence[np.ndarray] | None) -> str:
    if arrays is None:
        return f"layer {layer.name} is missing in the file"
    ours = [tuple(variable.shape) for variable in _file_order(layer)]
    theirs = [array.shape for array in arrays]
    if ours == theirs:
        return ""
    return f"layer {layer.name} has shapes {ours}, the file's {name} has {theirs}"
