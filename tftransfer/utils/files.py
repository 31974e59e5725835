"""Files and folders that are there as they were, or as they are to be, and never in between."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from tftransfer.utils import signals

try:
    import fcntl
except ImportError:  # Windows has no such locks: two processes at once are then not seen
    fcntl = None  # type: ignore[assignment]

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def fsync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds a file's lock, which the system frees when its owner dies; whether it could be had.

    Args:
      path: of the file, which is made and stays.
      wait: until another process frees it; a signal that asks to stop ends that.
    """
    with path.open("w") as file:
        while fcntl:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not wait:
                    yield False
                    return
            signals.check()
            time.sleep(0.05)
        yield True


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
