"""Paths that TensorFlow would take for patterns."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

# TensorFlow matches the names of checkpoint files as a glob pattern.
_GLOB_CHARACTERS = frozenset("[]*?\\")


def is_pattern(path: Path) -> bool:
    """Returns whether TensorFlow would take a path for a pattern."""
    return bool(_GLOB_CHARACTERS & set(str(path)))


def literal_path(path: Path) -> str:
    """Returns a path of the same folder or file that TensorFlow reads as it is.

    It is a link in a temporary folder where the path itself has characters of patterns; the link
    exists until the process ends, since a loaded SavedModel may read its assets later.

    Args:
      path: Path of a SavedModel or a checkpoint.
    """
    absolute = path.absolute()
    return _link(absolute) if is_pattern(absolute) else str(path)


@functools.cache
def _link(path: Path) -> str:
    folder = tempfile.mkdtemp(prefix="tftransfer-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = Path(folder) / "model"
    link.symlink_to(path)
    return str(link)
