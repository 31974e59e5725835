"""The tree of a folder, read once: without what systems, tools and this package leave in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tftransfer.core.run_files import CONFIG, is_run
from tftransfer.data.file_name_encoding import check_names
from tftransfer.data.file_types import is_system_file
from tftransfer.utils.cache_dir import CACHE_TAG
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed

_EXPORT = "saved_model.pb"
_COMPARISON = "comparison.json"


@dataclass(kw_only=True)
class Folder:
    """A folder with what may be examples.

    Attributes:
      path: Path of the folder.
      files: Names of its files, sorted.
      folders: Its subfolders, sorted by name.
      linked: Whether it is a link below a class folder, whose content was not read.
    """

    path: str
    files: list[str] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    linked: bool = False

    @property
    def name(self) -> str:
        """Name of the folder, without those above it."""
        return Path(self.path).name

    def all_files(self) -> Iterator[str]:
        """Yields the paths of all files below the folder, its own files first."""
        for name in self.files:
            yield f"{self.path}{os.sep}{name}"
        for folder in self.folders:
            yield from folder.all_files()

    def all_folders(self) -> Iterator[Folder]:
        """Yields all folders below this one."""
        for folder in self.folders:
            yield folder
            yield from folder.all_folders()


@dataclass
class Skipped:
    """What was found and not read.

    Attributes:
      system: Name of hidden files, and those of systems and tools, to their number.
      own: Paths of runs, comparisons, exports and caches.
      links: Paths of links to files, and of linked class folders.
    """

    system: Counter[str] = field(default_factory=Counter)
    own: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def add(self, other: Skipped) -> None:
        """Adds what was found elsewhere."""
        self.system.update(other.system)
        self.own += other.own
        self.links += other.links


def read_folder(root: str, skipped: Skipped, *, links: bool = True) -> Folder:
    """Reads the tree of a folder.

    Args:
      root: Path of the folder.
      skipped: What is skipped is added here.
      links: Whether links to folders in `root` are followed; those further below are not.

    Raises:
      UserError: A folder cannot be read, or is a link to a folder above it.
    """
    found = Folder(path=root)
    entries = _entries(root)
    check_names((entry.name for entry in entries), root)
    for entry in entries:
        if is_system_file(entry.name):
            skipped.system["._*" if entry.name.startswith("._") else entry.name] += 1
        elif not _is_folder(entry):
            found.files.append(entry.name)
            if entry.is_symlink():
                skipped.links.append(entry.path)
        elif not entry.is_symlink():
            inner = Skipped()
            below = read_folder(entry.path, inner, links=False)
            if _is_own(below) or (inner.own and not below.files and not below.folders):
                inner = Skipped(own=[entry.path])
            else:
                found.folders.append(below)
            skipped.add(inner)
        else:
            found.folders.append(Folder(path=entry.path, linked=True))
    if links:
        found.folders = [open_link(folder, root, skipped) for folder in found.folders]
    return found


def open_link(folder: Folder, root: str, skipped: Skipped) -> Folder:
    """Returns a folder that is a link with its content; others are returned as they are.

    Args:
      folder: The folder.
      root: Path of the data, which a link must not contain.
      skipped: Record of what is skipped, and of links.

    Raises:
      UserError: If it is a link to a folder above it.
    """
    if not folder.linked:
        return folder
    target = os.path.realpath(folder.path)
    if os.path.commonpath([target, os.path.realpath(root)]) == target:
        raise UserError(f"{folder.path} is a link to a folder above it.", "Remove the link.")
    skipped.links.append(folder.path)
    return read_folder(folder.path, skipped, links=False)


def skipped_remarks(root: str, skipped: Skipped) -> list[str]:
    """Returns what was skipped, by kind and count, in one line for each."""
    remarks = []
    outside = [path for path in skipped.links if not _is_inside(path, root)]
    if outside:
        remarks.append(f"{len(outside):,} links lead out of {root}: {_first(outside)}")
    if skipped.system:
        names = [f"{n} ({k:,})" if k > 1 else n for n, k in sorted(skipped.system.items())]
        remarks.append(
            f"{skipped.system.total():,} system files and folders are skipped: {listed(names)}"
        )
    if skipped.own:
        names = sorted(os.path.relpath(path, root) for path in skipped.own)
        remarks.append(
            f"{len(names):,} folders of runs, exports or caches are skipped: {listed(names)}"
        )
    return [printable(remark) for remark in remarks]


def link_remarks(folders: Sequence[Folder]) -> list[str]:
    """Returns one line about linked folders below class folders."""
    linked = [each.path for folder in folders for each in folder.all_folders() if each.linked]
    if not linked:
        return []
    return [printable(f"{len(linked):,} linked folders are skipped: {_first(linked)}")]


def _first(paths: Sequence[str]) -> str:
    return f"{paths[0]}{' ...' * (len(paths) > 1)}"


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        _raise_unreadable(error)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_inside(path: str, root: str) -> bool:
    real = os.path.realpath(root)
    return os.path.commonpath([os.path.realpath(path), real]) == real


def _is_own(folder: Folder) -> bool:
    """Returns whether this package wrote a folder, or all that it holds.

    Names of files decide; only a `config.json` is read, which other tools write too.
    """
    if _EXPORT in folder.files or _COMPARISON in folder.files or CACHE_TAG in folder.files:
        return True
    if CONFIG not in folder.files:
        return False
    try:
        return is_run(folder.path)
    except UserError:  # no valid JSON
        return False


def _raise_unreadable(error: OSError) -> NoReturn:
    raise UserError(
        f"{error.filename} cannot be read: {error.strerror}.",
        "Fix the permissions, then rerun the same command.",
    ) from None
