"""Deletion of runs and comparisons: only what they wrote, nothing where other files are found."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Iterator
from pathlib import Path

from tftransfer.core.run_files import CONFIG, is_run
from tftransfer.utils.errors import UserError

# Paths in a run's folder, as patterns of each part; `**` stands for anything below.
_RUN_FILES = (
    ".gitkeep",
    ".lock",
    ".probe*",
    ".*.part",
    ".phase-*.npz",
    "reference-*.npz",
    CONFIG,
    "environment.json",
    "forwards.json",
    "incidents.jsonl",
    "metrics.jsonl",
    "predictions.csv",
    "quarantine.csv",
    "report.md",
    "result.json",
    "split.json",
    "weights.npz",
    "assets/*",
    "checkpoints/[0-9]*/*.json",
    "checkpoints/[0-9]*/*.npz",
    "checkpoints/.*.part/**",
    "export/saved_model.pb",
    "export/fingerprint.pb",
    "export/variables/*",
    "export/assets/**",
    "export/assets.extra/*",
    ".export.part/**",
    ".export.old/**",
    "plots/*.png",
    "tensorboard/*/events.out.tfevents.*",
    "tensorboard/**/plugins/**",
)
_COMPARISON_FILES = ("comparison.json", "comparison.md", "comparison.png", ".comparison.*.part")
_MAX_NAMED_FILES = 3


def check_deletable(folder: Path) -> None:
    """Checks that a folder can be deleted as a run; a folder that does not exist can.

    Raises:
      UserError: If the folder is not a run, or holds files that a run does not write.
    """
    if not folder.exists() or _is_unused(folder):
        return
    if not folder.is_dir() or not is_run(folder):
        raise UserError(
            f"--workdir={folder} is not the folder of a run, so --overwrite does not delete it.",
            "Give a new or empty folder, or the folder of a run.",
        )
    _check_files(folder, [path for path in _files(folder) if not _is_of_run(path, folder)])


def delete_run(folder: Path) -> None:
    """Deletes the files of a run; the folder and its lock remain.

    Args:
      folder: The folder, checked by `check_deletable`, whose lock the caller holds.
    """
    check_deletable(folder)
    if not folder.exists():
        return
    kept = (".lock", CONFIG)
    for path in [each for each in folder.iterdir() if each.name not in kept]:
        _delete(path)
    # Last: until then a killed deletion leaves a folder that is known as a run's.
    (folder / CONFIG).unlink(missing_ok=True)


def check_comparison_deletable(folder: Path) -> None:
    """Checks that a folder can be deleted as a comparison: its own files, and runs in subfolders.

    Raises:
      UserError: If the folder holds something else.
    """
    if not folder.exists():
        return
    others = []
    for path in folder.iterdir() if folder.is_dir() else [folder]:
        if path.is_dir() and not path.is_symlink():
            check_deletable(path)
        elif not _matches_any(path.name, _COMPARISON_FILES):
            others.append(path)
    _check_files(folder, others)


def delete_comparison(folder: Path) -> None:
    """Deletes the files of a comparison and its runs; the folder remains.

    Args:
      folder: The folder, checked by `check_comparison_deletable`.
    """
    check_comparison_deletable(folder)
    for path in list(folder.iterdir()) if folder.exists() else []:
        if path.is_dir():
            delete_run(path)
        _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_unused(folder: Path) -> bool:
    """Whether a folder is empty, but for what is created before a run starts."""
    names = (".gitkeep", ".lock", ".probe*", f".{CONFIG}.*")
    return folder.is_dir() and all(_matches_any(p.name, names) for p in folder.iterdir())


def _files(folder: Path) -> Iterator[Path]:
    """Yields all files below a folder; a link is a file, wherever it leads."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        else:
            yield path


def _is_of_run(path: Path, folder: Path) -> bool:
    return _matches_any(path.relative_to(folder).as_posix(), _RUN_FILES)


def _matches_any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(_matches(name.split("/"), pattern.split("/")) for pattern in patterns)


def _matches(parts: list[str], patterns: list[str]) -> bool:
    """Whether the parts of a path match, part by part; `**` matches any number of parts."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_matches(parts[k:], patterns[1:]) for k in range(len(parts) + 1))
    return (
        bool(parts)
        and fnmatch.fnmatchcase(parts[0], patterns[0])
        and _matches(parts[1:], patterns[1:])
    )


def _check_files(folder: Path, others: list[Path]) -> None:
    if others:
        names = ", ".join(str(path.relative_to(folder)) for path in others[:_MAX_NAMED_FILES])
        raise UserError(
            f"--workdir={folder} holds {len(others):,} files that a run does not write: {names}.",
            "Move them elsewhere, or give another --workdir; nothing was deleted.",
        )
