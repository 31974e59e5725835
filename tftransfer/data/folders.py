"""Examples in folders: one sub-folder per class, or `train/`, `val/`, `test/` with such ones."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import SPLIT_DTYPE, SPLIT_NAMES, Examples
from tftransfer.data.file_types import is_system_file
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError


def from_folder(root: Path, *, to_train: bool = True) -> Examples:
    """Returns the examples of a folder, whose sub-folders are the classes.

    Args:
      root: Folder with one sub-folder per class, or with `train/`, `val/` and `test/` that have
        one sub-folder per class.
      to_train: Whether the examples are for training; only then must there be two classes.

    Raises:
      UserError: A class has no files, there are too few classes, or a folder cannot be read.
    """
    folders = _subfolders(root)
    splits = {f: SPLIT_NAMES[f.name.lower()] for f in folders if f.name.lower() in SPLIT_NAMES}
    if splits and len(splits) == len(folders):
        roots = [(folder, split) for folder, split in splits.items()]
    else:
        _refuse_splits_next_to_classes(folders, list(splits))
        roots = [(root, "")]
    class_folders = [(each, split) for top, split in roots for each in _subfolders(top)]
    for folder, _ in class_folders:
        if root.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{folder} is a link to a folder above it.", "Remove the link.")
    rows = [
        (os.fspath(file), folder.name, split)
        for folder, split in class_folders
        for file in list_files(folder)
    ]
    classes = tuple(sorted({folder.name for folder, _ in class_folders}))
    _check_classes(root, classes, Counter(label for _, label, _ in rows), 2 if to_train else 1)
    paths = [Path(path) for path, _, _ in rows]
    return Examples(
        names=[printable(os.path.relpath(path, root)) for path, _, _ in rows],
        items=[path for path, _, _ in rows],
        labels=np.array([classes.index(label) for _, label, _ in rows], np.int64),
        problem_type=ProblemType.SINGLE_LABEL,
        classes=classes,
        splits=np.array([split for _, _, split in rows], SPLIT_DTYPE),
        warnings=(
            *_same_but_for_case(classes),
            *_link_warnings(root, [folder for folder, _ in class_folders], paths),
            *_system_file_warnings(root),
        ),
        problem_reason="each folder is a class",
    )


def list_files(folder: Path) -> list[Path]:
    """Returns all files below a folder in sorted order, without system files.

    Raises:
      UserError: A folder cannot be read.
    """
    found: list[Path] = []
    for top, folders, files in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = sorted(name for name in folders if not is_system_file(name))
        found.extend(Path(top, name) for name in sorted(files) if not is_system_file(name))
    return found


def _check_classes(
    root: Path, classes: Sequence[str], counts: Counter[str], min_classes: int
) -> None:
    if len(classes) < min_classes:
        names = f" ({classes[0]})" if classes else ""
        raise UserError(
            f"{root} has {len(classes)} class folders{names}.",
            "Put the examples of each class into a separate folder; at least two are needed.",
        )
    empty = [name for name in classes if not counts[name]]
    if empty:
        raise UserError(
            f"The class folder {root / empty[0]} has no files.", "Add files, or remove the folder."
        )


def _link_warnings(
    root: Path, class_folders: Sequence[Path], files: Sequence[Path]
) -> tuple[str, ...]:
    """Returns warnings of links that leave the root, and of linked folders, which are not read."""
    real_root, warnings = os.path.realpath(root), []
    links = [path for path in (*class_folders, *files) if path.is_symlink()]
    out = [path for path in links if not Path(os.path.realpath(path)).is_relative_to(real_root)]
    if out:
        warnings.append(f"{len(out):,} links lead out of {root}: {_first(out)}")
    skipped = [
        Path(top, name)
        for folder in class_folders
        for top, names, _ in os.walk(folder)
        for name in names
        if Path(top, name).is_symlink()
    ]
    if skipped:
        warnings.append(f"{len(skipped):,} linked folders are skipped: {_first(skipped)}")
    return tuple(map(printable, warnings))


def _system_file_warnings(root: Path) -> tuple[str, ...]:
    found: list[Path] = []
    for top, folders, files in os.walk(root):
        found += [Path(top, name) for name in (*folders, *files) if is_system_file(name)]
        folders[:] = [name for name in folders if not is_system_file(name)]
    if not found:
        return ()
    first = _first(sorted(path.relative_to(root) for path in found))
    return (printable(f"{len(found):,} system files and folders are skipped: {first}"),)


def _first(paths: Sequence[Path]) -> str:
    return f"{paths[0]}{' ...' * (len(paths) > 1)}"


def _refuse_splits_next_to_classes(folders: Sequence[Path], splits: Sequence[Path]) -> None:
    for folder in splits:
        if _subfolders(folder):
            other = next(each for each in folders if each not in splits)
            raise UserError(
                f"{folder} has class folders, but {other.name} next to it is not a split.",
                "Keep only train/, val/ and test/ at the top, or only class folders.",
            )


def _subfolders(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        _raise_unreadable(error)
    return [entry for entry in entries if entry.is_dir() and not is_system_file(entry.name)]


def _raise_unreadable(error: OSError) -> NoReturn:
    raise UserError(
        f"{error.filename} cannot be read: {error.strerror}.",
        "Fix the permissions, then rerun the same command.",
    ) from None


def _same_but_for_case(classes: Sequence[str]) -> tuple[str, ...]:
    lower = Counter(name.lower() for name in classes)
    same = [name for name in classes if lower[name.lower()] > 1]
    return (f"classes that differ only in case: {', '.join(same)}",) if same else ()
