"""Features by example on disk, shared by runs and processes.

An entry is a folder named by all values that its features depend on. It holds shards, each written
to a temporary folder, flushed to the disk and renamed. Hence two processes may fill an entry at
once (at worst both compute the same features), and a killed process leaves nothing that is read.
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

import numpy as np

from tftransfer.core.typing import Array, DTypeLike
from tftransfer.utils.cache_dir import tag_cache, user_cache_dir
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import fsync

DEFAULT_CACHE_BYTES = 20 << 30
# Raised when the meaning of stored features changes.
_FORMAT = 4
# Temporary folders of this age belong to processes that were killed.
_ABANDONED_SECONDS = 24 * 3600
_IDS_FILE = "ids.npy"


@dataclass(frozen=True)
class FeatureCache:
    """A folder of cached features, with a limited size.

    Attributes:
      folder: The folder; it is created when it is first written to.
      max_bytes: Limit of the folder's size; the entries used longest ago are deleted first.
    """

    folder: Path
    max_bytes: int = DEFAULT_CACHE_BYTES

    @classmethod
    def open(cls, folder: str = "", max_bytes: int = DEFAULT_CACHE_BYTES) -> FeatureCache | None:
        """Opens the cache in a folder, and creates the folder.

        Args:
          folder: Path of the folder; empty means `$TFTRANSFER_CACHE`, else the user's cache folder.
          max_bytes: Limit of the folder's size in bytes; 0 turns the cache off.

        Returns:
          The cache, or None where it is off.

        Raises:
          UserError: The folder cannot be created or written to.
        """
        if max_bytes <= 0:
            return None
        path = user_cache_dir(folder)
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise UserError(
                f"The cache folder {path} cannot be created: {error.strerror}.",
                "Give another folder by --cache_dir, or turn the cache off by --cache_bytes=0.",
            ) from None
        if not os.access(path, os.W_OK | os.X_OK):
            raise UserError(
                f"The cache folder {path} cannot be written to.",
                "Give another folder by --cache_dir, or turn the cache off by --cache_bytes=0.",
            )
        tag_cache(path)
        return cls(path, max_bytes)

    @property
    def autotune_file(self) -> Path:
        """The JSON file of the forward functions that were selected on this machine."""
        return self.folder / "autotune.json"

    def entry(self, *parts: object) -> Path:
        """Returns the folder of the features that depend on `parts`, by their `repr`."""
        text = repr((_FORMAT, *parts))
        return self.folder / "features" / hashlib.sha256(text.encode()).hexdigest()[:32]

    def values_file(self, *parts: object) -> Path:
        """Returns the JSON file of values that depend on `parts`, by their `repr`."""
        folder = self.folder / "values"
        folder.mkdir(exist_ok=True)
        return folder / f"{self.entry(*parts).name}.json"

    def shards(self, entry: Path) -> list[tuple[Array, list[Array]]]:
        """Returns ids and memory-mapped arrays of each complete shard, and marks the entry used."""
        found = []
        for folder in sorted(entry.glob("shard-*")):
            try:
                ids = np.load(folder / _IDS_FILE)
                files = sorted(folder.glob("[0-9]*.npy"))
                found.append((ids, [np.load(file, mmap_mode="r") for file in files]))
            except (OSError, ValueError):
                continue  # another process has just deleted it
        if found:
            os.utime(entry)
        return found

    def start_shard(
        self,
        entry: Path,
        ids: Sequence[bytes] | Array,
        shapes: Sequence[tuple[int, ...]],
        dtype: DTypeLike,
    ) -> Shard:
        """Reserves disk space for the features of some examples.

        Args:
          entry: Folder of the entry.
          ids: Content hash of each example.
          shapes: Shape of each array, without the batch axis.
          dtype: Type of the arrays.

        Raises:
          UserError: The disk is full.
        """
        folder = entry / f".{os.getpid()}-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        np.save(folder / _IDS_FILE, np.asarray(ids))
        rows = len(ids)
        arrays: list[Array] = [
            np.lib.format.open_memmap(folder / f"{k}.npy", "w+", np.dtype(dtype), (rows, *shape))
            for k, shape in enumerate(shapes)
        ]
        try:
            for file in folder.glob("[0-9]*.npy"):
                _reserve(file)
        except OSError as error:
            shutil.rmtree(folder)
            raise UserError(
                f"The cache folder {self.folder} is out of disk space: {error.strerror}.",
                "Give another folder by --cache_dir, or turn the cache off by --cache_bytes=0.",
            ) from None
        return Shard(folder, arrays)

    def make_room(self, needed_bytes: int, *, keep: Iterable[Path] = ()) -> None:
        """Deletes entries, those used longest ago first, until further bytes fit.

        Args:
          needed_bytes: Number of bytes to be written.
          keep: Entries that are not deleted.
        """
        kept = set(keep)
        entries = [path for path in (self.folder / "features").glob("*") if path.is_dir()]
        for entry in entries:
            _remove_abandoned(entry)
        used = {entry: _size(entry) for entry in entries}
        total = sum(used.values())
        for entry in sorted(used, key=_last_used):
            if total + needed_bytes <= self.max_bytes:
                break
            if entry not in kept:
                shutil.rmtree(entry, ignore_errors=True)
                total -= used[entry]


@dataclass(frozen=True)
class Shard:
    """Arrays that are being written; no other process reads them before `commit`.

    Attributes:
      folder: Temporary folder of the arrays' files.
      arrays: Memory-mapped arrays.
    """

    folder: Path
    arrays: list[Array]

    def commit(self) -> None:
        """Flushes the shard to the disk, then makes it visible to all processes."""
        for array in self.arrays:
            array.flush()  # type: ignore[attr-defined]
        for path in self.folder.iterdir():
            fsync(path)
        self.folder.rename(self.folder.with_name(f"shard-{uuid.uuid4().hex}"))


def _reserve(file: Path) -> None:
    """Allocates the disk space now: later, a full disk would kill the process by SIGBUS."""
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
    # os.walk skips what another process renames or deletes meanwhile; Path.rglob raises.
    for folder, _, names in os.walk(entry):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(folder, name).stat().st_size
    return total


def _remove_abandoned(entry: Path) -> None:
    for folder in entry.glob(".*"):
        if time.time() - _last_used(folder) > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
