"""Atomic writes of files and folders, locks between processes, and hashes."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tftransfer.utils import signals

try:
    import fcntl
except ImportError:  # Windows has no such locks: concurrent processes are not detected there
    fcntl = None  # type: ignore[assignment]

# Arguments of Linux's `renameat2`: paths are relative to the working directory; swap both names.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_LOCK_POLL_SECONDS = 0.05


def file_sha256(path: Path) -> str:
    """Returns the sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync(path: Path) -> None:
    """Blocks until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds the lock of a file; the system releases it when the process dies.

    Args:
      path: Lock file; it is created and remains.
      wait: Whether to wait until another process releases the lock. A stop signal ends the wait.

    Yields:
      Whether the lock is held.
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
            signals.raise_if_stop_requested()
            time.sleep(_LOCK_POLL_SECONDS)
        yield True


@contextlib.contextmanager
def atomic_file(path: Path, *, exclusive: bool = False) -> Iterator[Path]:
    """Yields the name of a temporary file next to `path` that replaces `path` on success.

    Readers find the old content or all of the new one, also after a power failure. If the block
    raises an exception, `path` remains as it was and the temporary file is deleted.

    Args:
      path: File to write.
      exclusive: Whether the caller is the only writer of `path`, for example because it holds a
        lock. The temporary name is then fixed, and the leftover of a killed process is reused.
    """
    writer = "" if exclusive else f".{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}{writer}.part")
    try:
        yield temporary
        fsync(temporary)
        temporary.replace(path)
        fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(folder: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a new temporary folder next to `folder` that takes its place on success.

    One process at a time may write `folder`; the leftover of a killed one is deleted first. If the
    block raises an exception, `folder` remains as it was.

    Args:
      folder: Folder to write; its parent exists.
      durable: Whether to wait until every file is on the disk. A cache of many small files does
        without: one wait per file can take longer than writing them.
    """
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if durable:
            _fsync_tree(temporary)
        _replace_folder(temporary, folder)
        if durable:
            fsync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fsync_tree(folder: Path) -> None:
    for top, _, names in os.walk(folder):
        for name in names:
            fsync(Path(top, name))
        fsync(Path(top))


def _replace_folder(new: Path, folder: Path) -> None:
    """On Linux the two swap names in one step; elsewhere the old one is first renamed `.NAME.old`.

    A rename alone cannot replace a folder that has files.
    """
    if not folder.exists():
        new.rename(folder)
    elif _exchange(new, folder):
        shutil.rmtree(new)
    else:
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old)


def _exchange(first: Path, second: Path) -> bool:
    """Swaps the names of two folders; returns False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    paths = os.fsencode(first), os.fsencode(second)
    exchanged: bool = rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0
    return exchanged
