"""Where examples come from: folders, manifests, TFDS, arrays, tf.data."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.ground.errors import UserError, unknown_name
from tftransfer.parts.data.examples import PART_DTYPE, Examples
from tftransfer.parts.data.rules import ignored

_PART_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_PATH_COLUMNS = ("path", "file", "filename", "filepath", "image", "image_path")
_LABEL_COLUMNS = ("label", "labels", "class", "target", "category", "y")
_PART_COLUMNS = ("split", "part", "subset", "set")


def read_source(data: Any, *, target: str = "auto") -> Examples:
    """The examples of a folder, a manifest, `tfds:NAME`, a pair of arrays, or a `tf.data.Dataset`.

    Args:
      data: see `tftransfer.Experiment`.
      target: `auto` takes the kind of label from the data.

    Raises:
      UserError: nothing there, or not of a form that is understood.
    """
    if isinstance(data, Examples):
        return data
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return from_arrays(*data, target=target)
    if hasattr(data, "as_numpy_iterator"):
        return from_dataset(data, target=target)
    text = os.fspath(data) if data else ""
    if not text:
        raise UserError("No data were given.", "Give a folder or a manifest by --data.")
    if text.startswith("tfds:"):
        from tftransfer.parts.data.from_tfds import from_tfds

        return from_tfds(text.removeprefix("tfds:"), target=target)
    path = Path(text).expanduser()
    if path.is_dir():
        return from_folder(path)
    if path.suffix.lower() in (".csv", ".tsv") and path.is_file():
        return from_manifest(path, target=target)
    if path.exists():
        raise UserError(
            f"--data={text} is a file of a kind that is not understood.",
            "Give a folder with one sub-folder per class, or a .csv or .tsv manifest.",
        )
    raise UserError(f"--data={text} does not exist.", _nearby(path))


def from_folder(root: Path) -> Examples:
    """One sub-folder per class, or `train/`, `val/`, `test/` with such sub-folders in them."""
    folders = _subfolders(root)
    parts = {f: _PART_NAMES[f.name.lower()] for f in folders if f.name.lower() in _PART_NAMES}
    if parts and len(parts) == len(folders):
        roots = [(folder, part) for folder, part in parts.items()]
    else:
        roots = [(root, "")]
    rows = [
        (os.fspath(file), class_folder.name, part)
        for folder, part in roots
        for class_folder in _subfolders(folder)
        for file in _files(class_folder)
    ]
    classes = tuple(sorted({f.name for folder, _ in roots for f in _subfolders(folder)}))
    if len(classes) < 2:
        raise UserError(
            f"{root} has {len(classes)} class folders{f' ({classes[0]})' if classes else ''}.",
            "Put the pictures of each class in a folder of its own, at least two.",
        )
    counts = Counter(label for _, label, _ in rows)
    empty = [name for name in classes if not counts[name]]
    if empty:
        raise UserError(
            f"The class folder {root / empty[0]} has no files.", "Fill it or remove it."
        )
    return Examples(
        names=[os.path.relpath(path, root) for path, _, _ in rows],
        items=[path for path, _, _ in rows],
        labels=np.array([classes.index(label) for _, label, _ in rows], np.int64),
        target="single_label",
        classes=classes,
        parts=np.array([part for _, _, part in rows], PART_DTYPE),
        remarks=_case_twins(classes),
    )


def from_manifest(path: Path, *, target: str = "auto") -> Examples:
    """A table with a column of picture paths, one or more of labels, perhaps one of parts.

    Several names in one cell, parted by `|` or `;`, make the target multi-label;
    numbers with a fraction make it a regression. Paths are relative to the table.
    """
    header, rows = _read_table(path)
    path_column = _column(header, _PATH_COLUMNS, path)
    label_columns = [name for name in header if name.lower() in _LABEL_COLUMNS]
    part_columns = [name for name in header if name.lower() in _PART_COLUMNS]
    if not label_columns:
        label_columns = [n for n in header if n != path_column and n not in part_columns]
    if not label_columns:
        raise UserError(
            f"{path} has no label column; it has: {', '.join(header)}.", "Add one named label."
        )
    files = [_inside(path, row[path_column], number) for number, row in enumerate(rows, 2)]
    parts = [_part(row[part_columns[0]], path, n) if part_columns else ""
             for n, row in enumerate(rows, 2)]  # fmt: skip
    cells = [[row[name].strip() for name in label_columns] for row in rows]
    labels, target, classes = _labels_from_cells(cells, label_columns, target, path)
    return Examples(
        names=[row[path_column] for row in rows],
        items=files,
        labels=labels,
        target=target,
        classes=classes,
        parts=np.array(parts, PART_DTYPE),
    )


def from_arrays(images: Any, labels: Any, *, target: str = "auto", classes: Any = ()) -> Examples:
    """Images [n, h, w], [n, h, w, 1] or [n, h, w, 3] and labels [n] or [n, k].

    uint8 images are taken as they are; floating ones must lie in [0, 1].
    They are kept as PNG, which loses nothing of 8 bits.
    """
    labels = np.asarray(labels)
    if len(images) != len(labels):
        raise UserError(
            f"{len(images)} images but {len(labels)} labels.", "Give one label per image."
        )
    remarks = ()
    if isinstance(images, np.ndarray) and images.dtype != np.uint8:
        remarks = (f"images of {images.dtype} in [0, 1] were stored as 8 bits",)
    items = [_encode_png(image, index) for index, image in enumerate(images)]
    names = [f"#{index}" for index in range(len(items))]
    return _from_memory(names, items, labels, target, tuple(classes), "", remarks)


def from_dataset(dataset: Any, *, target: str = "auto") -> Examples:
    """A finite, unbatched `tf.data.Dataset` of (image, label), or of dictionaries with those keys.

    An image is a picture of any size as in `from_arrays`, or a string of encoded bytes.
    """
    items, labels = [], []
    for index, element in enumerate(dataset.as_numpy_iterator()):
        image, label = _image_and_label(element)
        items.append(image if isinstance(image, bytes) else _encode_png(image, index))
        labels.append(label.decode() if isinstance(label, bytes) else label)
    names = [f"#{index}" for index in range(len(items))]
    return _from_memory(names, items, np.asarray(labels), target, (), "")


def _from_memory(
    names: list[str],
    items: list[bytes],
    labels: np.ndarray,
    target: str,
    classes: tuple[str, ...],
    part: str,
    remarks: tuple[str, ...] = (),
) -> Examples:
    labels, target, classes = _labels_from_array(labels, target, classes)
    parts = np.full(len(items), part, PART_DTYPE)
    return Examples(
        names=names, items=items, labels=labels, target=target, classes=classes,
        parts=parts, remarks=remarks,
    )  # fmt: skip


def _labels_from_array(
    labels: np.ndarray, target: str, classes: tuple[str, ...]
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    if target == "auto":
        target = _guess_target(labels)
    if target == "single_label":
        if not classes:
            values = np.unique(labels)
            classes, labels = tuple(str(v) for v in values), np.searchsorted(values, labels)
        wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if len(wrong):
            raise UserError(
                f"Label {labels[wrong[0]]} of example {wrong[0]} is outside 0 to "
                f"{len(classes) - 1}.", "Give labels that count the classes from 0.",
            )  # fmt: skip
        return labels.astype(np.int64), target, classes
    labels = np.asarray(labels, np.float32).reshape(len(labels), -1)
    if not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels).all(axis=1))[0])
        raise UserError(f"Label of example {row} is not a finite number.", "Mend or remove it.")
    return labels, target, classes or tuple(f"y{k}" for k in range(labels.shape[1]))


def _guess_target(labels: np.ndarray) -> str:
    if labels.ndim == 2 and labels.shape[1] > 1:
        binary = np.isin(labels, (0, 1)).all()
        return "multi_label" if binary else "regression"
    whole = labels.dtype.kind in "iubUSO" or np.array_equal(labels, np.round(labels))
    return "single_label" if whole else "regression"


def _labels_from_cells(
    cells: list[list[str]], columns: Sequence[str], target: str, path: Path
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    if target == "auto":
        several = any("|" in row[0] or ";" in row[0] for row in cells)
        target = "multi_label" if several else _guess_from_text(cells)
    if target == "regression":
        return _numbers(cells, path), target, tuple(columns)
    if len(columns) > 1:
        raise UserError(
            f"{path} has {len(columns)} label columns of names: {', '.join(columns)}.",
            "Keep one; several names in one cell are parted by |.",
        )
    missing = [n for n, row in enumerate(cells, 2) if not row[0] and target == "single_label"]
    if missing:
        raise UserError(f"{path}, row {missing[0]}: the label is empty.", "Fill it or remove it.")
    if target == "single_label":
        classes = tuple(sorted({row[0] for row in cells}, key=_natural))
        return np.array([classes.index(row[0]) for row in cells], np.int64), target, classes
    sets = [{n.strip() for n in row[0].replace(";", "|").split("|") if n.strip()} for row in cells]
    classes = tuple(sorted(set().union(*sets), key=_natural))
    labels = np.array([[name in names for name in classes] for names in sets], np.float32)
    return labels, target, classes


def _guess_from_text(cells: list[list[str]]) -> str:
    try:
        numbers = np.array([[float(cell) for cell in row] for row in cells])
    except ValueError:
        return "single_label"
    whole = numbers.shape[1] == 1 and np.array_equal(numbers, np.round(numbers))
    return "single_label" if whole else "regression"


def _numbers(cells: list[list[str]], path: Path) -> np.ndarray:
    rows = []
    for number, row in enumerate(cells, 2):
        try:
            values = [float(cell) for cell in row]
        except ValueError:
            values = [np.nan]
        if not np.isfinite(values).all():
            raise UserError(
                f"{path}, row {number}: {', '.join(row)!r} is not a finite number.",
                "Mend the cell, or give --target=single_label for names.",
            )
        rows.append(values)
    return np.array(rows, np.float32)


def _read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = list(csv.reader(file, delimiter=delimiter))
    if len(table) < 2:
        raise UserError(f"{path} has no rows below its header.", "Add a row per picture.")
    header = [name.strip() for name in table[0]]
    rows = []
    for number, row in enumerate(table[1:], 2):
        if row and len(row) != len(header):
            raise UserError(
                f"{path}, row {number} has {len(row)} cells, the header {len(header)}.",
                "Quote cells that hold the delimiter.",
            )
        if row:
            rows.append(dict(zip(header, row)))
    return header, rows


def _column(header: Sequence[str], names: Iterable[str], path: Path) -> str:
    for name in header:
        if name.lower() in names:
            return name
    error = unknown_name("column", "path", header)
    raise UserError(f"{path} has no column of picture paths. {error.remedy}", "Name it path.")


def _inside(table: Path, cell: str, row: int) -> str:
    path = (table.parent / cell).resolve()
    if not path.is_relative_to(table.parent.resolve()) and not Path(cell).is_absolute():
        raise UserError(
            f"{table}, row {row}: {cell} leads out of {table.parent}.",
            "Keep the pictures below the table, or give absolute paths.",
        )
    if not path.exists():
        raise UserError(f"{table}, row {row}: {cell} does not exist.", "Mend the path.")
    return os.fspath(path)


def _part(cell: str, table: Path, row: int) -> str:
    name = cell.strip().lower()
    if name and name not in _PART_NAMES:
        raise unknown_name(f"part ({table}, row {row})", cell, _PART_NAMES)
    return _PART_NAMES.get(name, "")


def _image_and_label(element: Any) -> tuple[Any, Any]:
    if isinstance(element, dict) and {"image", "label"} <= set(element):
        return element["image"], element["label"]
    if isinstance(element, (tuple, list)) and len(element) == 2:
        return element[0], element[1]
    raise UserError(
        f"The dataset yields {type(element).__name__}.",
        "Yield pairs (image, label), or dictionaries with the keys image and label.",
    )


def _encode_png(image: Any, index: int) -> bytes:
    import tensorflow as tf

    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4):
        raise UserError(
            f"Image {index} has the shape {image.shape}.", "Give [h, w], [h, w, 1] or [h, w, 3]."
        )
    if image.dtype != np.uint8:
        if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
            raise UserError(
                f"Image {index} is {image.dtype} with values outside [0, 1].",
                "Give uint8 in 0 to 255, or floating point in [0, 1].",
            )
        image = np.round(image * 255).astype(np.uint8)
    return tf.io.encode_png(image).numpy()


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(
            entry for entry in folder.iterdir() if entry.is_dir() and not ignored(entry.name)
        )
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.", "Mend its rights.") from None


def _files(folder: Path) -> list[Path]:
    found = []
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not ignored(name))
        found.extend(Path(top, name) for name in sorted(files) if not ignored(name))
    return found


def _case_twins(classes: Sequence[str]) -> tuple[str, ...]:
    lower = Counter(name.lower() for name in classes)
    twins = [name for name in classes if lower[name.lower()] > 1]
    return (f"classes that differ only in case: {', '.join(twins)}",) if twins else ()


def _natural(name: str) -> tuple:
    return (0, int(name), "") if name.isdigit() else (1, 0, name)


def _nearby(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"Nor does {parent}: check the path."
    return unknown_name("folder", path.name, [p.name for p in parent.iterdir()]).remedy
