"""Checkpoints of a run: arrays, JSON and hashes in a folder, written atomically."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.checkpoints import weights
from tftransfer.core.serialization import read_json, write_json
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import atomic_folder, file_sha256

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to resume.

    Attributes:
      groups: Arrays by name, by the name of their group, such as `best`.
      state: The position in the run and its history, as JSON.
    """

    groups: Mapping[str, Mapping[str, np.ndarray]]
    state: Mapping[str, Any]


def save(folder: Path, number: int, checkpoint: Checkpoint) -> Path:
    """Writes a checkpoint into `folder/NUMBER` and deletes all but the last two.

    Args:
      folder: The folder `checkpoints/` of the run.
      number: Number of the checkpoint; it rises from one call to the next.
      checkpoint: The checkpoint to write.

    Returns:
      The folder of the checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{number:08d}"
    with atomic_folder(final) as temporary:
        for name, values in checkpoint.groups.items():
            weights.write(temporary / f"{name}.npz", values)
        write_json(temporary / "state.json", checkpoint.state)
        digests = {path.name: file_sha256(path) for path in sorted(temporary.iterdir())}
        write_json(temporary / "manifest.json", digests)
    for abandoned in folder.glob(".*.part"):
        shutil.rmtree(abandoned, ignore_errors=True)
    for old in numbers(folder)[:-KEPT]:
        shutil.rmtree(folder / f"{old:08d}", ignore_errors=True)
    return final


def numbers(folder: Path) -> list[int]:
    """Returns the numbers of the complete checkpoints in a folder, in ascending order."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def load_newest(folder: Path) -> tuple[Checkpoint, list[str]] | None:
    """Reads the newest checkpoint that is not damaged.

    Returns:
      The checkpoint and a remark on each damaged one; None if the folder has no checkpoint.

    Raises:
      UserError: If all checkpoints are damaged.
    """
    remarks: list[str] = []
    for number in reversed(numbers(folder)):
        path = folder / f"{number:08d}"
        damage = _damage(path)
        if not damage:
            return _read(path), remarks
        remarks.append(f"checkpoint {path.name} is damaged ({damage}); the one before it is used")
    if remarks:
        raise UserError(f"All checkpoints in {folder} are damaged.", "Start in a new --workdir.")
    return None


def _damage(path: Path) -> str:
    """Returns what is wrong with a checkpoint; "" if nothing is."""
    try:
        manifest = read_json(path / "manifest.json")
        for name, digest in manifest.items():
            if not (path / name).is_file():
                return f"{name} is missing"
            if file_sha256(path / name) != digest:
                return f"{name} does not match its sha256"
    except (UserError, AttributeError) as error:
        return str(error).splitlines()[0]
    return ""


def _read(path: Path) -> Checkpoint:
    groups = {file.stem: weights.read(file) for file in sorted(path.glob("*.npz"))}
    return Checkpoint(groups, read_json(path / "state.json"))
