"""Strings in memory that name files: they are read as files, never in silence as texts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tftransfer.data.table_paths import FoundFiles
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError

# Longer strings are texts: file systems have no longer paths.
_MAX_PATH_BYTES = 4096
_MEDIA_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    *(".wav", ".flac", ".ogg", ".mp3", ".aiff"),
)


def listed_files(values: Sequence[object]) -> FoundFiles | None:
    """Returns the files that values name, or None if they are texts or encoded bytes.

    Values are names of files if they are `pathlib.Path`s, if half of them exist, or if half of them
    end like the names of images or sounds.

    Args:
      values: Strings, bytes or `pathlib.Path`s, [n].

    Raises:
      UserError: The values name files, and none exists.
    """
    names = [_name(value) for value in values]
    paths = {n: name for n, name in enumerate(names) if _is_file(name)}
    are_paths = all(isinstance(value, os.PathLike) for value in values)
    like_media = sum(name.lower().endswith(_MEDIA_SUFFIXES) for name in names)
    if not are_paths and max(len(paths), like_media) * 2 < len(values):
        return None
    problems = {n: _problem(name) for n, name in enumerate(names) if n not in paths}
    if not paths:
        raise UserError(
            printable(f"None of these {len(values):,} files exists: {names[0]}, ..."),
            f"Give absolute paths, or paths relative to {Path.cwd()}.",
        )
    warnings = () if are_paths else (_warning(len(paths), next(iter(paths.values()))),)
    return FoundFiles(paths=paths, problems=problems, warnings=warnings)


def text_warnings(values: Sequence[object]) -> tuple[str, ...]:
    """Returns that some texts are the names of files, if they are.

    Args:
      values: Texts, [n].
    """
    names = [name for name in map(_name, values) if _is_file(name)]
    if not names:
        return ()
    text = f"{len(names):,} of {len(values):,} texts are names of existing files and are read as "
    return (printable(f"{text}texts: {names[0]!r}; pathlib.Path gives a file"),)


def _warning(count: int, first: str) -> str:
    return printable(
        f"{count:,} strings are names of existing files, which are read: {first}; for the strings "
        "themselves as texts give a table or data frame and columns='text=NAME'"
    )


def _problem(name: str) -> str:
    return f"{printable(name)} does not exist" if name else "it is not the name of a file"


def _name(value: object) -> str:
    """Returns a value as a path that may exist, or ""."""
    if isinstance(value, bytes):
        try:
            value = value.decode() if len(value) < _MAX_PATH_BYTES else ""
        except UnicodeDecodeError:
            return ""
    if not isinstance(value, (str, os.PathLike)):
        return ""
    name = os.fspath(value)
    usable = isinstance(name, str) and 0 < len(name) < _MAX_PATH_BYTES and "\0" not in name
    return os.fspath(Path(name).expanduser()) if usable else ""


def _is_file(name: str) -> bool:
    try:
        return bool(name) and Path(name).is_file()
    except (OSError, ValueError):  # a name that is too long, or not in the file system's encoding
        return False
