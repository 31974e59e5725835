"""The folder near a table in which the files of its rows are, for a remedy that names it."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

_MAX_FOLDERS = 1000
_MAX_DEPTH = 2
_MAX_NAMES = 50


def remedy_nearby(table: Path, cells: Sequence[str]) -> str:
    """Returns a command that copies the table to the folder with its files, or "" if none has any.

    Searched are the folders above the table and those next to it, two levels down.

    Args:
      table: Path of the table.
      cells: Paths in its rows, none of which exists.
    """
    names = [cell.strip() for cell in itertools.islice(cells, _MAX_NAMES) if cell.strip()]
    root = Path(os.path.realpath(table.parent)).parent
    folders = itertools.islice(_folders(root, _MAX_DEPTH), _MAX_FOLDERS)
    counts = {folder: sum((folder / name).is_file() for name in names) for folder in folders}
    best = max(counts, key=counts.__getitem__, default=root)
    if not counts.get(best):
        return ""
    source, target = shlex.quote(os.fspath(table)), shlex.quote(os.fspath(_free(best, table)))
    return (
        f"{best} has {counts[best]:,} of the first {len(names):,} files; copy the table there and "
        f"give that one: cp {source} {target}"
    )


def _free(folder: Path, table: Path) -> Path:
    """Returns a path in a folder for a copy of a table that overwrites nothing."""
    numbered = (folder / f"{table.stem}-{number}{table.suffix}" for number in itertools.count(2))
    return next(p for p in itertools.chain([folder / table.name], numbered) if not p.exists())


def _folders(root: Path, depth: int) -> Iterator[Path]:
    yield root
    if not depth:
        return
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield from _folders(entry, depth - 1)
