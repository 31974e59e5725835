"""Features by picture on disk, shared by runs and processes; complete or absent, never half.

An entry is a folder named by everything that its numbers depend on. It holds shards, each
written in a temporary folder, fsynced and renamed; so two processes can fill an entry at once
(at worst one computes what the other does), and one that is killed leaves nothing that is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.utils.cache_dir import user_cache_dir
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import fsync

DEFAULT_BYTES = 20 << 30
# Raised when the meaning of stored numbers changes.
_FORMAT = 3
_ABANDONED_SECONDS = 24 * 3600
_IDS = "ids.npy"


@dataclass(frozen=True)
class FeatureCache:
    """A folder of entries.

    Attributes:
      folder: made when first written to.
      limit: bytes that the folder may take; what was used longest ago is deleted first.
    """

    folder: Path
    limit: int = DEFAULT_BYTES

    @classmethod
    def of_user(cls, folder: str = "", limit: int = DEFAULT_BYTES) -> FeatureCache | None:
        """The cache in `folder`, else `$TFTRANSFER_CACHE`, else the user's; None when off.

        Raises:
          UserError: the folder cannot be written to.
        """
        if limit <= 0:
            return None
        path = user_cache_dir(folder)
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise UserError(
                f"The cache folder {path} cannot be made: {error.strerror}.",
                "Name another by --cache_dir, or do without: --cache_bytes=0.",
            ) from None
        if not os.access(path, os.W_OK | os.X_OK):
            raise UserError(
                f"The cache folder {path} cannot be written to.",
                "Name another by --cache_dir, or do without: --cache_bytes=0.",
            )
        return cls(path, limit)

    @property
    def autotune_file(self) -> Path:
        """The JSON file of the forward functions that were selected on this machine."""
        return self.folder / "autotune.json"

    def entry(self, *parts: Any) -> Path:
        """The folder for what depends on `parts`, whose texts tell it from all others."""
        text = repr((_FORMAT, *parts))
        return self.folder / "features" / hashlib.sha256(text.encode()).hexdigest()[:32]

    def values_file(self, *parts: Any) -> Path:
        """Returns the JSON file for values that depend on `parts`."""
        folder = self.folder / "values"
        folder.mkdir(exist_ok=True)
        return folder / f"{self.entry(*parts).name}.json"

    def shards(self, entry: Path) -> list[tuple[np.ndarray, list[np.ndarray]]]:
        """Ids and memory-mapped arrays of each complete shard; marks the entry as used."""
        found = []
        for folder in sorted(entry.glob("shard-*")):
            try:
                ids = np.load(folder / _IDS)
                files = sorted(folder.glob("[0-9]*.npy"))
                found.append((ids, [np.load(file, mmap_mode="r") for file in files]))
            except (OSError, ValueError):
                continue  # evicted by another process just now
        if found:
            os.utime(entry)
        return found

    def start_shard(self, entry: Path, ids: Sequence[str], shapes: Any, dtype: Any) -> Shard:
        """Room for rows of the examples with these ids, one array per shape.

        Raises:
          UserError: the disk is full.
        """
        folder = entry / f".{os.getpid()}-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        np.save(folder / _IDS, np.asarray(ids))
        rows = len(ids)
        arrays: list[np.ndarray] = [
            np.lib.format.open_memmap(folder / f"{k}.npy", "w+", dtype, (rows, *shape))
            for k, shape in enumerate(shapes)
        ]
        try:
            for file in folder.glob("[0-9]*.npy"):
                _reserve(file)
        except OSError as error:
            shutil.rmtree(folder)
            raise UserError(
                f"The cache folder {self.folder} has no room: {error.strerror}.",
                "Name another by --cache_dir, or do without: --cache_bytes=0.",
            ) from None
        return Shard(folder, arrays)

    def make_room(self, needed: int, *, keep: Iterable[Path] = ()) -> None:
        """Deletes entries, the one used longest ago first, until `needed` more bytes fit."""
        kept = set(keep)
        entries = [path for path in (self.folder / "features").glob("*") if path.is_dir()]
        for entry in entries:
            _remove_abandoned(entry)
        used = {entry: _size(entry) for entry in entries}
        total = sum(used.values())
        for entry in sorted(used, key=_last_used):
            if total + needed <= self.limit:
                break
            if entry not in kept:
                shutil.rmtree(entry, ignore_errors=True)
                total -= used[entry]


@dataclass(frozen=True)
class Shard:
    """Arrays being written; nobody else sees them before `commit`."""

    folder: Path
    arrays: list[np.ndarray]

    def commit(self) -> None:
        """Makes the shard visible to all, on disk for certain."""
        for array in self.arrays:
            array.flush()  # type: ignore[attr-defined]
        for path in self.folder.iterdir():
            fsync(path)
        self.folder.rename(self.folder.with_name(f"shard-{uuid.uuid4().hex}"))


def _reserve(file: Path) -> None:
    """Takes the disk space now: later, a full disk would kill the process that writes."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _last_used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0


def _size(entry: Path) -> int:
    total = 0
    # Of what is renamed or deleted meanwhile, os.walk says nothing; Path.rglob raises.
    for folder, _, names in os.walk(entry):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(folder, name).stat().st_size
    return total


def _remove_abandoned(entry: Path) -> None:
    for folder in entry.glob(".*"):
        if time.time() - _last_used(folder) > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
