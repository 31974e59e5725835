"""Examples in folders: one sub-folder per class, or `train/`, `val/`, `test/` with such ones."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.annotation_layouts import remedy_without_classes
from tftransfer.data.class_names import clean_name, cleaned_remarks, same_but_for_case
from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.data.file_types import ExampleFiles, example_files, suffix_of
from tftransfer.data.folder_layout import Layout, label_level, layout_of
from tftransfer.data.folder_tree import (
    Folder,
    Skipped,
    link_remarks,
    open_link,
    read_folder,
    skipped_remarks,
)
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed


def from_folder(
    root: Path, *, to_train: bool = True, columns: str = "", modality: str = ""
) -> Examples:
    """Returns the examples of a folder, whose sub-folders are the classes.

    Args:
      root: Folder with one sub-folder per class, or with `train/`, `val/` and `test/` that have
        one sub-folder per class.
      to_train: Whether the examples are for training; only then must there be two classes.
      columns: `label=folder2` for the folders of the second level as classes; anything else finds
        the class folders by itself.
      modality: Modality that the backbone reads, if one was asked for.

    Raises:
      UserError: A class has no files, there are too few classes, it is unclear which folders are
        the classes, or a folder cannot be read.
    """
    skipped = Skipped()
    tree = read_folder(os.fspath(root), skipped)
    layout = _layout(tree, skipped, label_level(columns), to_train=to_train)
    files = example_files([p for f, _ in layout.folders for p in f.all_files()], modality)
    stray_remarks = _stray_remarks(tree, layout, files)
    layout, empty_remarks = _without_side_folders(layout, set(files.paths))
    chosen = set(files.paths) if files.remarks else None
    rows = [
        (path, clean_name(folder.name), split)
        for folder, split in layout.folders
        for path in folder.all_files()
        if chosen is None or path in chosen
    ]
    folders = [folder for folder, _ in layout.folders]
    classes = tuple(sorted({clean_name(folder.name) for folder in folders}))
    _check_classes(tree, classes, Counter(label for _, label, _ in rows), 2 if to_train else 1)
    number = {name: k for k, name in enumerate(classes)}
    return Examples(
        names=[printable(os.path.relpath(path, root)) for path, _, _ in rows],
        items=[path for path, _, _ in rows],
        labels=np.array([number[label] for _, label, _ in rows], np.int64),
        problem_type=ProblemType.SINGLE_LABEL,
        classes=classes,
        splits=np.array([split for _, _, split in rows], SPLIT_DTYPE),
        modality=files.modality,
        modality_reason=files.reason,
        problem_reason="each folder is a class",
        warnings=(
            *map(printable, layout.remarks),
            *files.remarks,
            *empty_remarks,
            *stray_remarks,
            *cleaned_remarks(folder.name for folder in folders),
            *same_but_for_case(classes),
            *skipped_remarks(os.fspath(root), skipped),
            *link_remarks(folders),
        ),
    )


def files_below(root: Path, modality: str = "") -> tuple[ExampleFiles, tuple[str, ...]]:
    """Returns the examples below a folder, whatever its layout, and what was skipped.

    Args:
      root: The folder.
      modality: Modality that the network reads, if it is known.

    Raises:
      UserError: A folder cannot be read.
    """
    skipped = Skipped()
    tree = read_folder(os.fspath(root), skipped, links=False)
    files = example_files(list(tree.all_files()), modality)
    return files, (*files.remarks, *skipped_remarks(os.fspath(root), skipped))


def _layout(tree: Folder, skipped: Skipped, level: int, *, to_train: bool) -> Layout:
    def opened(folder: Folder) -> Folder:
        return open_link(folder, tree.path, skipped)

    if level and not to_train:  # other data may have fewer levels than the training data
        try:
            return layout_of(tree, opened, level)
        except UserError:
            return layout_of(tree, opened)
    return layout_of(tree, opened, level)


def _without_side_folders(layout: Layout, examples: set[str]) -> tuple[Layout, tuple[str, ...]]:
    """Returns the layout without folders that have files but no examples, and a line about them."""
    side = [
        folder
        for folder, _ in layout.folders
        if any(folder.all_files()) and not any(path in examples for path in folder.all_files())
    ]
    if not side:
        return layout, ()
    kept = [(folder, split) for folder, split in layout.folders if folder not in side]
    names = listed([folder.name for folder in side])
    return Layout(folders=kept, remarks=layout.remarks), (
        printable(f"{len(side):,} folders without examples are not classes: {names}"),
    )


def _stray_remarks(tree: Folder, layout: Layout, files: ExampleFiles) -> tuple[str, ...]:
    """Returns a line about the files that lie next to the class folders like examples."""
    suffixes = {suffix_of(path) for path in files.paths}
    in_classes = {folder.path for folder, _ in layout.folders}
    stray = [
        os.path.relpath(path, tree.path)
        for path in _files_outside(tree, in_classes)
        if suffix_of(path) in suffixes
    ]
    if not stray:
        return ()
    return (
        printable(
            f"{len(stray):,} files outside of the class folders are not read: {listed(stray)}"
        ),
    )


def _files_outside(folder: Folder, classes: set[str]) -> Iterator[str]:
    if folder.path in classes:
        return
    for name in folder.files:
        yield f"{folder.path}{os.sep}{name}"
    for below in folder.folders:
        yield from _files_outside(below, classes)


def _check_classes(
    tree: Folder, classes: Sequence[str], counts: Counter[str], min_classes: int
) -> None:
    root = Path(tree.path)
    if len(classes) < min_classes:
        names = f" ({classes[0]})" if classes else ""
        raise UserError(
            f"{root} has {len(classes)} class folders{names}.",
            remedy_without_classes(root, tree),
        )
    empty = [name for name in classes if not counts[name]]
    if empty:
        raise UserError(
            f"The class folder {root / empty[0]} has no files.", "Add files, or remove the folder."
        )
