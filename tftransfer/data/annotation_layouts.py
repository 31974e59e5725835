"""Folders of detection and segmentation data sets, which have no class per image."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from tftransfer.data.examples import SPLIT_NAMES
from tftransfer.data.file_types import is_side_file
from tftransfer.data.folder_tree import Folder
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed

_IMAGES = frozenset(("images", "image", "imgs", "jpegimages"))
_ANNOTATIONS = frozenset(
    ("labels", "annotations", "annotation", "masks", "mask", "segmentationclass", "ground_truth")
)
# Splits of COCO, such as train2017.
_SPLIT_AND_YEAR = re.compile(r"([a-z]+)[-_ ]?(19|20)\d\d", re.IGNORECASE)
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
_MAX_CLASSES_IN_NAMES = 50
_MAX_NAMES = 1000
_MAX_TABLE_BYTES = 1 << 20


def refuse_annotations(root: str, folders: Sequence[Folder]) -> None:
    """Refuses folders of images next to folders of their annotations, and splits without classes.

    Args:
      root: Path of the folder.
      folders: Folders in it, which may be splits.

    Raises:
      UserError: Such folders.
    """
    inside = [each for f in folders if f.name.lower() in SPLIT_NAMES for each in f.folders]
    for level in (folders, inside):
        names = {folder.name.lower() for folder in level}
        if names & _IMAGES and names & _ANNOTATIONS:
            shown = listed(sorted({folder.name for folder in level}))
            raise _without_classes(
                f"{root} has folders of images and of their annotations ({shown})"
            )
    with_examples = [f for f in folders if any(not is_side_file(p) for p in f.all_files())]
    matches = [_SPLIT_AND_YEAR.fullmatch(folder.name) for folder in with_examples]
    are_splits = all(match and match[1].lower() in SPLIT_NAMES for match in matches)
    if matches and are_splits and not any(folder.folders for folder in with_examples):
        shown = listed([folder.name for folder in with_examples])
        raise _without_classes(f"{root} has the splits {shown}")


def _without_classes(what: str) -> UserError:
    return UserError(
        f"{what}, but no folder per class.",
        "Write a table with the columns path and label, one row per image, and give that; if the "
        "folders are the classes, add --columns=label=folder1.",
    )


def remedy_without_classes(root: Path, tree: Folder) -> str:
    """Returns what to do with a folder that has no class folders.

    Args:
      root: The folder.
      tree: Its content.
    """
    names = [Path(name).stem for name in tree.files if not is_side_file(name)]
    tables = [*_tables(root, []), *_tables(root.parent, names[:_MAX_NAMES])]
    if tables:
        return f"If a table has the labels, give that, as by --data={shlex.quote(str(tables[0]))}."
    found = _beginnings([Path(name).name for name in tree.files if not is_side_file(name)])
    if found:
        return (
            f"If the beginnings of the names ({listed(found)}) are the classes, move the files to "
            "folders of these names."
        )
    return "Put the examples of each class into a separate folder; at least two are needed."


def _tables(folder: Path, names: Sequence[str]) -> list[Path]:
    """Returns the tables in a folder that have one of the names, if there are names."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    tables = [path for path in paths if path.suffix.lower() in _TABLES]
    tables = [path for path in tables if "submission" not in path.name.lower()]
    return [path for path in tables if not names or _has_any(path, names)]


def _has_any(table: Path, names: Sequence[str]) -> bool:
    with table.open("rb") as file:
        words = set(re.split(rb"[^\w-]+", file.read(_MAX_TABLE_BYTES)))
    return any(name.encode("utf-8", "replace") in words for name in names)


def _beginnings(names: Sequence[str]) -> list[str]:
    """Returns the words before the numbers in names such as `cat.12.jpg`, if they recur."""
    matches = [re.match(r"([^\W\d]+)[ ._-]*\d", name) for name in names]
    found = sorted({match[1].strip("_") for match in matches if match})
    recur = 1 < len(found) <= _MAX_CLASSES_IN_NAMES and 2 * len(found) <= len(names)
    return found if recur and all(matches) else []
