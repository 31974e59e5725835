"""Checkpoints: arrays + JSON + a manifest of sha256, complete or absent, never half."""

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
from tftransfer.utils.files import file_sha256, publish

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to resume: groups of arrays, and the position and history as JSON."""

    groups: Mapping[str, Mapping[str, np.ndarray]]
    state: Mapping[str, Any]


def save(folder: Path, number: int, checkpoint: Checkpoint) -> Path:
    """Writes `folder/NUMBER`: into a temporary folder, fsynced, then renamed; keeps the last two.

    Args:
      folder: the run's `checkpoints/`.
      number: rises from save to save.
      checkpoint: what to store.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final, temporary = folder / f"{number:08d}", folder / f".{number:08d}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, values in checkpoint.groups.items():
        weights.write(temporary / f"{name}.npz", values)
    write_json(temporary / "state.json", checkpoint.state)
    write_json(
        temporary / "manifest.json",
        {path.name: file_sha256(path) for path in sorted(temporary.iterdir())},
    )
    publish(temporary, final)
    for abandoned in folder.glob(".*.part"):
        shutil.rmtree(abandoned, ignore_errors=True)
    for old in numbers(folder)[:-KEPT]:
        shutil.rmtree(folder / f"{old:08d}", ignore_errors=True)
    return final


def numbers(folder: Path) -> list[int]:
    """The numbers of the complete checkpoints, rising."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def load_newest(folder: Path) -> tuple[Checkpoint, list[str]] | None:
    """The newest undamaged checkpoint and remarks on damaged ones; None when there is none.

    Raises:
      UserError: checkpoints are there but all are damaged.
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
