"""Where examples come from: a folder here, the other sources by what is given."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.download import fetch, is_archive, unpack_cached
from tftransfer.data.encode import encoded
from tftransfer.data.examples import SPLIT_DTYPE, SPLIT_NAMES, Examples
from tftransfer.data.file_types import modality_of_files
from tftransfer.data.files import is_system_file
from tftransfer.data.in_memory import from_arrays, from_dataset
from tftransfer.data.manifest import from_manifest, read_items
from tftransfer.data.tables import SUFFIXES
from tftransfer.utils.cache_dir import user_cache_dir
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError, unknown_name


def read_source(
    data: Any,
    *,
    problem_type: str = "auto",
    cache: Path | None = None,
    group_by: str = "",
    columns: str = "",
    to_train: bool = True,
) -> Examples:
    """The examples of a folder or an archive, a manifest, `tfds:NAME`, arrays, or a dataset.

    Args:
      data: see `tftransfer.Experiment`.
      problem_type: `auto` takes the kind of label from the data.
      cache: where downloads and unpacked archives are kept; the user's when None.
      group_by: see `tftransfer.Experiment`.
      columns: see `tftransfer.Experiment`.
      to_train: whether these are to have two classes and, in a table, all columns that are named.

    Raises:
      UserError: nothing there, or not of a form that is understood.
    """
    if isinstance(data, Examples):
        return data
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return from_arrays(*data, problem_type=problem_type)
    if hasattr(data, "as_numpy_iterator"):
        return from_dataset(data, problem_type=problem_type)
    text = os.fspath(data) if data else ""
    if not text:
        raise UserError("No data were given.", "Give a folder or a manifest by --data.")
    if text.startswith("tfds:"):
        from tftransfer.data.tfds import from_tfds

        return from_tfds(text.removeprefix("tfds:"), problem_type=problem_type)
    path = _local(text, cache or user_cache_dir())
    if path.is_dir():
        if problem_type not in ("auto", ProblemType.SINGLE_LABEL):
            raise UserError(
                f"--problem_type={problem_type}, but a folder has one label per example.",
                "Give a .csv or .tsv manifest.",
            )
        return _with_kind(from_folder(path, to_train=to_train))
    if path.suffix.lower() in SUFFIXES and path.is_file():
        found = from_manifest(
            path, problem_type=problem_type, group_by=group_by, columns=columns, to_train=to_train
        )
        return found if found.modality == "text" else _with_kind(found)
    if path.exists():
        raise UserError(
            f"--data={text} is a file of a kind that is not understood.",
            "Give a folder with one sub-folder per class, an archive of it, or a table: .csv, .tsv "
            "or .jsonl.",
        )
    raise UserError(f"--data={text} does not exist.", _nearby(path))


def _with_kind(found: Examples) -> Examples:
    return replace(found, modality=modality_of_files(found.items))


def read_unlabelled(data: Any, *, cache: Path | None = None, columns: str = "") -> Examples:
    """Examples without labels: all below a folder or in an archive, images [n, h, w(, c)],
    waveforms, a list of texts, a table, or what `read_source` reads, its labels put away.

    Raises:
      UserError: nothing there, or not of a form that is understood.
    """
    if _are_values(data):
        modality, items = encoded(data)
        names = [f"#{number}" for number in range(len(items))]
        return replace(_without_labels(names, items), modality=modality)
    if isinstance(data, (str, os.PathLike)) and not str(data).startswith("tfds:"):
        path = _local(os.fspath(data), cache or user_cache_dir())
        if path.is_dir():
            files = list_files(path)
            names = [os.path.relpath(file, path) for file in files]
            return _with_kind(_without_labels(names, [os.fspath(file) for file in files]))
        is_table = path.suffix.lower() in SUFFIXES and path.is_file()
        if is_table:
            names, rows, texts = read_items(path, columns)
            found = _without_labels(names, rows)
            return replace(found, modality="text") if texts else _with_kind(found)
    found = read_source(data, cache=cache, columns=columns)
    return replace(_without_labels(found.names, found.items), modality=found.modality)


def _are_values(data: Any) -> bool:
    """Whether these are examples themselves, and not a pair of examples and labels."""
    if isinstance(data, list):
        return len(data) != 2 or all(isinstance(each, (str, bytes)) for each in data)
    return isinstance(data, np.ndarray) or hasattr(data, "numpy")  # of TensorFlow


def _without_labels(names: Sequence[str], items: Sequence[Any]) -> Examples:
    if not len(items):
        raise UserError("There are no examples without labels.", "Check the folder.")
    return Examples(
        names=names,
        items=items,
        labels=np.full(len(items), -1, np.int64),
        problem_type=ProblemType.SINGLE_LABEL,
        classes=(),
        splits=np.full(len(items), "", SPLIT_DTYPE),
    )


def _local(text: str, cache: Path) -> Path:
    """The path of a file or folder; downloaded, and unpacked, where it has to be."""
    path = _fetched(text, cache) if "://" in text else Path(text).expanduser()
    if path.is_file() and is_archive(path):
        path = _only_folder(unpack_cached(path, cache / "unpacked"))
    return path


def _fetched(url: str, cache: Path) -> Path:
    path = fetch(url, cache / "downloads")
    if not is_archive(path):
        raise UserError(f"--data={url} is no archive.", "Give the address of a .zip or .tar.gz.")
    return path


def _only_folder(root: Path) -> Path:
    """Archives often hold one folder, and the classes in that."""
    inside = [entry for entry in root.iterdir() if not is_system_file(entry.name)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else root


def from_folder(root: Path, *, to_train: bool = True) -> Examples:
    """One sub-folder per class, or `train/`, `val/`, `test/` with such sub-folders in them.

    Data to train on need two classes.
    """
    folders = _subfolders(root)
    splits = {f: SPLIT_NAMES[f.name.lower()] for f in folders if f.name.lower() in SPLIT_NAMES}
    if splits and len(splits) == len(folders):
        roots = [(folder, part) for folder, part in splits.items()]
    else:
        _refuse_parts_beside_classes(folders, list(splits))
        roots = [(root, "")]
    for folder in (f for top, _ in roots for f in _subfolders(top)):
        if root.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{folder} is a link to a folder above it.", "Remove the link.")
    rows = [
        (os.fspath(file), class_folder.name, part)
        for folder, part in roots
        for class_folder in _subfolders(folder)
        for file in list_files(class_folder)
    ]
    classes = tuple(sorted({f.name for folder, _ in roots for f in _subfolders(folder)}))
    if len(classes) < (2 if to_train else 1):
        raise UserError(
            f"{root} has {len(classes)} class folders{f' ({classes[0]})' if classes else ''}.",
            "Put the examples of each class in a folder of its own, at least two.",
        )
    counts = Counter(label for _, label, _ in rows)
    empty = [name for name in classes if not counts[name]]
    if empty:
        raise UserError(
            f"The class folder {root / empty[0]} has no files.", "Fill it or remove it."
        )
    return Examples(
        names=[printable(os.path.relpath(path, root)) for path, _, _ in rows],
        items=[path for path, _, _ in rows],
        labels=np.array([classes.index(label) for _, label, _ in rows], np.int64),
        problem_type=ProblemType.SINGLE_LABEL,
        classes=classes,
        splits=np.array([part for _, _, part in rows], SPLIT_DTYPE),
        warnings=(
            *_case_twins(classes),
            *_links(root, [folder for folder, _ in roots], rows),
            *_left_by_systems(root),
        ),
    )


def _links(root: Path, tops: Sequence[Path], rows: Sequence[tuple]) -> tuple[str, ...]:
    """Links that lead out of the root, and those to folders below a class, which nobody follows."""
    inside, warnings = os.path.realpath(root), []
    folders = [folder for top in tops for folder in _subfolders(top)]
    links = [path for path in folders if path.is_symlink()]
    links += [Path(path) for path, _, _ in rows if Path(path).is_symlink()]
    out = [path for path in links if not Path(os.path.realpath(path)).is_relative_to(inside)]
    if out:
        warnings.append(f"{len(out):,} links lead out of {root}: {out[0]}{' ...' * (len(out) > 1)}")
    unseen = [
        Path(top, name)
        for folder in folders
        for top, names, _ in os.walk(folder)
        for name in names
        if Path(top, name).is_symlink()
    ]
    if unseen:
        warnings.append(f"{len(unseen):,} linked folders are not looked into: {unseen[0]}")
    return tuple(map(printable, warnings))


def _left_by_systems(root: Path) -> tuple[str, ...]:
    """Files and folders that nobody put there on purpose, and that are passed over."""
    found: list[Path] = []
    for top, folders, files in os.walk(root):
        found += [Path(top, name) for name in (*folders, *files) if is_system_file(name)]
        folders[:] = [name for name in folders if not is_system_file(name)]
    if not found:
        return ()
    first = printable(os.fspath(min(found).relative_to(root)))
    return (f"{len(found):,} that systems leave are ignored: {first}{' ...' * (len(found) > 1)}",)


def _refuse_parts_beside_classes(folders: list[Path], splits: list[Path]) -> None:
    for part in splits:
        if _subfolders(part):
            other = next(folder for folder in folders if folder not in splits)
            raise UserError(
                f"{part} holds class folders, but {other.name} stands beside it.",
                "Keep only train/, val/ and test/ at the top, or only class folders.",
            )


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(
            entry for entry in folder.iterdir() if entry.is_dir() and not is_system_file(entry.name)
        )
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> NoReturn:
    raise UserError(
        f"{error.filename} cannot be read: {error.strerror}.", "Mend its rights."
    ) from None


def list_files(folder: Path) -> list[Path]:
    """All files below a folder in order, without those that systems leave there."""
    found: list[Path] = []
    for top, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not is_system_file(name))
        found.extend(Path(top, name) for name in sorted(files) if not is_system_file(name))
    return found


def _case_twins(classes: Sequence[str]) -> tuple[str, ...]:
    lower = Counter(name.lower() for name in classes)
    twins = [name for name in classes if lower[name.lower()] > 1]
    return (f"classes that differ only in case: {', '.join(twins)}",) if twins else ()


def _nearby(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"Nor does {parent}: check the path."
    return unknown_name("folder", path.name, [p.name for p in parent.iterdir()]).remedy
