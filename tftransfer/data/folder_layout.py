"""Which folders of a tree are the classes: usually those at the top, in each split."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tftransfer.data.annotation_layouts import refuse_annotations
from tftransfer.data.examples import SPLIT_NAMES
from tftransfer.data.file_types import is_side_file
from tftransfer.data.folder_tree import Folder
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed

_LABEL_LEVEL = re.compile(r"label=folder([1-9])")
_MIN_CLASSES = 2


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Class folders of a tree.

    Attributes:
      folders: Each class folder with its split, "" where there are no splits.
      remarks: How the tree was read, in words.
    """

    folders: list[tuple[Folder, str]]
    remarks: tuple[str, ...] = ()


def label_level(columns: str) -> int:
    """Returns the level of the class folders that `--columns=label=folder2` gives; 0 for none."""
    found = _LABEL_LEVEL.fullmatch(columns.replace(" ", ""))
    return int(found[1]) if found else 0


def layout_of(root: Folder, opened: Callable[[Folder], Folder], level: int = 0) -> Layout:
    """Returns the class folders of a tree.

    A folder that holds nothing but one folder is passed over. Folders named like splits are splits
    if all folders next to them are too.

    Args:
      root: The tree.
      opened: Returns a folder that is a link with its content, other folders as they are.
      level: Level of the class folders below `root`, from 1; 0 finds it.

    Raises:
      UserError: It is unclear which folders are the classes; the remedy names the candidates.
    """
    if level:
        return _at_level(root, opened, level)
    top = _below_only_folder(root)
    remarks = [] if top is root else [_descended(root, top)]
    folders = [opened(folder) for folder in top.folders]
    described = _without_examples(folders)
    if described:
        folders = [folder for folder in folders if folder not in described]
        names = listed([folder.name for folder in described])
        remarks.append(f"folders without examples next to the splits are skipped: {names}")
    refuse_annotations(top.path, folders)
    if _all_are_splits(folders):
        splits = {f.path: SPLIT_NAMES[f.name.lower()] for f in folders}
        inner = [_below_only_folder(folder, _class_names(folders, folder)) for folder in folders]
        remarks += [_descended(f, below) for f, below in zip(folders, inner) if below is not f]
        return Layout(
            folders=[
                (opened(each), splits[folder.path])
                for folder, below in zip(folders, inner)
                for each in below.folders
            ],
            remarks=tuple(remarks),
        )
    _refuse_unclear(top.path, folders)
    return Layout(
        folders=[(folder, "") for folder in folders],
        remarks=(*remarks, *_deeper_remarks(top, folders)),
    )


def _at_level(root: Folder, opened: Callable[[Folder], Folder], level: int) -> Layout:
    tops = [opened(folder) for folder in root.folders]
    has_splits = level > 1 and _all_are_splits(tops)
    found = [(f, SPLIT_NAMES[f.name.lower()] if has_splits else "") for f in tops]
    for _ in range(level - 1):
        found = [(opened(below), split) for folder, split in found for below in folder.folders]
    if not found:
        raise UserError(
            f"--columns=label=folder{level}, but {root.path} has no folders of that depth.",
            "Give label=folder1 for the folders directly in it, or leave --columns empty.",
        )
    names = listed(sorted({folder.name for folder, _ in found}))
    return Layout(
        folders=found, remarks=(f"the classes are the folders of level {level}: {names}",)
    )


def _below_only_folder(root: Folder, known: frozenset[str] = frozenset()) -> Folder:
    """Returns the folder with several folders that is the only content of those above it.

    Args:
      root: Folder to start from.
      known: Names that are classes, so that a single folder of that name is one too.
    """
    folder = root
    while len(folder.folders) == 1 and not _has_examples(folder):
        folder = folder.folders[0]
        if folder.name in known or folder.linked:
            return root
    several = len(folder.folders) >= _MIN_CLASSES and not _has_examples(folder)
    return folder if several else root


def _without_examples(folders: Sequence[Folder]) -> list[Folder]:
    """Returns folders such as `docs` that hold no examples, next to splits that do."""
    splits = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES and folder.folders]
    others = [folder for folder in folders if folder not in splits]

    def has_any(folder: Folder) -> bool:
        return any(not is_side_file(path) for path in folder.all_files())

    if not splits or not all(map(has_any, splits)) or any(map(has_any, others)):
        return []
    return others


def _class_names(splits: Sequence[Folder], but: Folder) -> frozenset[str]:
    return frozenset(each.name for split in splits if split is not but for each in split.folders)


def _has_examples(folder: Folder) -> bool:
    return any(not is_side_file(name) for name in folder.files)


def _all_are_splits(folders: Sequence[Folder]) -> bool:
    are_splits = all(folder.name.lower() in SPLIT_NAMES for folder in folders)
    return bool(folders) and are_splits


def _descended(above: Folder, below: Folder) -> str:
    names = listed([folder.name for folder in below.folders])
    inner = os.path.relpath(below.path, above.path)
    return (
        f"{above.path} holds only the folder {inner}, whose folders are read as the classes or "
        f"splits: {names}"
    )


def _deeper_remarks(top: Folder, folders: Sequence[Folder]) -> list[str]:
    """Returns a line if class folders have folders, whose files belong to the class above."""
    deeper = [below for f in folders for below in f.all_folders() if any(below.all_files())]
    if not deeper:
        return []
    example = os.path.relpath(deeper[0].path, top.path)
    return [
        f"the files of {len(deeper):,} folders below class folders, such as {example}, belong to "
        f"the class {Path(example).parts[0]} and so on; --columns=label=folder2 makes the folders "
        "of the second level the classes"
    ]


def _refuse_unclear(root: str, folders: Sequence[Folder]) -> None:
    """Refuses folders that look like splits, years or cameras and hold the same classes.

    Raises:
      UserError: Such folders.
    """
    inner = {f.path: _inner_names(f) for f in folders}
    with_classes = [f for f in folders if len(inner[f.path]) >= _MIN_CLASSES]
    if len(with_classes) < _MIN_CLASSES or any(_has_examples(f) for f in with_classes):
        _refuse_split_next_to_classes(root, folders)
        return
    common = set.intersection(*(inner[f.path] for f in with_classes))
    union = set.union(*(inner[f.path] for f in with_classes))
    if len(common) < _MIN_CLASSES or 2 * len(common) < len(union):
        _refuse_split_next_to_classes(root, folders)
        return
    others = [f for f in folders if f not in with_classes]
    if len(others) > len(with_classes):
        return
    splits = {f.name: _split_like(f.name) for f in with_classes}
    train = next((f for f in with_classes if splits[f.name] == "train"), None)
    test = next((f for f in with_classes if splits[f.name] == "test"), None)
    names, classes = listed([f.name for f in folders]), listed(sorted(common))
    what = f"{root} has the folders {names}, and these hold the same folders: {classes}."
    if train and test:
        raise UserError(
            what,
            f"If they are splits, give --data={shlex.quote(train.path)} "
            f"--test_data={shlex.quote(test.path)}; if they are the classes, add "
            "--columns=label=folder1.",
        )
    raise UserError(
        what,
        f"If {classes} are the classes, add --columns=label=folder2, or give one of the folders: "
        f"--data={shlex.quote(with_classes[0].path)}; if {names} are the classes, add "
        "--columns=label=folder1.",
    )


def _refuse_split_next_to_classes(root: str, folders: Sequence[Folder]) -> None:
    splits = [f for f in folders if f.name.lower() in SPLIT_NAMES and f.folders]
    if not splits:
        return
    other = next(each for each in folders if each not in splits)
    raise UserError(
        f"{splits[0].path} has class folders, but {other.name} next to it is not a split.",
        "Keep only train/, val/ and test/ at the top, or only class folders; if "
        f"{splits[0].name} is a class too, add --columns=label=folder1.",
    )


def _inner_names(folder: Folder) -> set[str]:
    return {each.name for each in _below_only_folder(folder).folders if any(each.all_files())}


def _split_like(name: str) -> str:
    """Returns the split that a part of a name names: `seg_train` is `train`."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), "")
