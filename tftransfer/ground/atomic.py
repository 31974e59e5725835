"""Files and folders that are there as they were, or as they are to be, and never in between."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def fsync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(part: Path, folder: Path) -> None:
    """Puts the folder `part`, made beside `folder`, in its place; what was there is deleted.

    Everything in it is on disk before. On Linux the two change places in one step; elsewhere the
    old one is moved aside first, as `.NAME.old`.
    """
    for top, _, names in os.walk(part):
        for name in names:
            fsync(Path(top, name))
        fsync(Path(top))
    if not folder.exists():
        part.rename(folder)
    elif _exchange(part, folder):
        shutil.rmtree(part)
    else:
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old)
    fsync(folder.parent)


def _exchange(first: Path, second: Path) -> bool:
    """Whether the two changed places: Linux and its file systems can, others cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0
