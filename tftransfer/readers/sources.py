"""Reads examples from a folder, archive, table, TFDS name, arrays or dataset."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import ArrayLike, Dataset, PathLike
from tftransfer.data.archives import is_archive, unpack_cached, unpacked_remarks
from tftransfer.data.download import local_path
from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.data.file_types import is_system_file, modality_of_files
from tftransfer.data.folders import files_below, from_folder
from tftransfer.data.manifest import TableItems, from_manifest, from_table, items_of, read_items
from tftransfer.data.other_formats import not_data
from tftransfer.data.tables import SUFFIXES, Table
from tftransfer.readers.data_sets import check_one_data_set
from tftransfer.readers.elements import Elements, check_weights, has_elements
from tftransfer.readers.encode import encode_values
from tftransfer.readers.frames import is_tabular, plain, table_of
from tftransfer.readers.in_memory import from_arrays, from_dataset
from tftransfer.utils.cache_dir import user_cache_dir
from tftransfer.utils.errors import UserError, unknown_name

Data: TypeAlias = "Examples | Dataset | PathLike | Sequence[ArrayLike] | ArrayLike"


def read_source(
    data: Data,
    *,
    problem_type: str = "auto",
    cache: Path | None = None,
    group_by: str = "",
    columns: str = "",
    to_train: bool = True,
    encoding: str = "auto",
    modality: str = "",
) -> Examples:
    """Reads examples from a folder, an archive, a table, `tfds:NAME`, arrays or a dataset.

    Args:
      data: Data as in `tftransfer.Experiment`.
      problem_type: Problem type; `auto` infers it from the labels.
      cache: Folder for downloads and unpacked archives; None uses the user's cache.
      group_by: Column or pattern of groups, as in `tftransfer.Experiment`.
      columns: Roles of the columns of a table, as in `tftransfer.Experiment`.
      to_train: Whether the data are for training. Only then must they have two classes and, in a
        table, all named columns.
      modality: Modality that is preferred in folders with several; "" for that of most files.
      encoding: Encoding of a table, as in `tftransfer.Experiment`.

    Raises:
      UserError: The data do not exist or have an unsupported form.
    """
    if isinstance(data, Examples):
        return data
    if not isinstance(data, (str, os.PathLike)):
        return _from_memory(
            data, problem_type=problem_type, group_by=group_by, columns=columns, to_train=to_train
        )
    text = os.fspath(data)
    if not text:
        raise _no_data()
    if text.startswith("tfds:"):
        from tftransfer.readers.tfds import from_tfds

        return from_tfds(text.removeprefix("tfds:"), problem_type=problem_type)
    path, remarks = _unpacked(text, cache or user_cache_dir())
    if path.is_dir():
        if problem_type not in ("auto", ProblemType.SINGLE_LABEL):
            raise UserError(
                f"--problem_type={problem_type}, but a folder has one label per example.",
                "Give a .csv or .tsv table.",
            )
        with named_as_given(path, text):
            found = from_folder(path, to_train=to_train, columns=columns, modality=modality)
        return _with_names_as_given(found, path, text, remarks)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        found = from_manifest(
            path,
            problem_type=problem_type,
            group_by=group_by,
            columns=columns,
            to_train=to_train,
            encoding=encoding,
        )
        return found if found.modality == "text" else _with_modality(found)
    if path.exists():
        raise not_data(path, text)
    raise UserError(f"--data={text} does not exist.", _nearest_path(path))


def _from_memory(
    data: Data, *, problem_type: str, group_by: str, columns: str, to_train: bool
) -> Examples:
    if data is None:
        raise _no_data()
    check_one_data_set(data)
    if is_tabular(data):
        data = table_of(data)
        if isinstance(data, Table):
            return from_table(
                data,
                problem_type=problem_type,
                group_by=group_by,
                columns=columns,
                to_train=to_train,
            )
    if isinstance(data, (tuple, list)) and len(data) == 3 and not has_elements(data):
        check_weights(data[2])
        data = data[:2]
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return from_arrays(*data, problem_type=problem_type)
    if has_elements(data):
        return from_dataset(data, problem_type=problem_type)
    raise UserError(
        f"The data are {type(data).__name__}, without labels or of an unknown type.",
        "Give (inputs, labels), a tf.data.Dataset or keras.utils.PyDataset of such pairs, a data "
        "frame, or a path.",
    )


def read_unlabelled(
    data: Data,
    *,
    cache: Path | None = None,
    columns: str = "",
    modality: str = "",
    encoding: str = "auto",
) -> Examples:
    """Reads examples without labels.

    Args:
      data: Folder or archive, of which all files are read; images [n, h, w(, c)]; waveforms; a list
        of texts; a table; or what `read_source` reads, whose labels are ignored.
      cache: Folder for downloads and unpacked archives; None uses the user's cache.
      columns: Roles of the columns of a table, as in `tftransfer.Experiment`.
      modality: Modality that is preferred in folders with several, as in `read_source`.
      encoding: Encoding of a table, as in `tftransfer.Experiment`.

    Raises:
      UserError: The data do not exist or have an unsupported form.
    """
    if not isinstance(data, (str, os.PathLike, Examples)):
        return _unlabelled_from_memory(data, columns)
    if isinstance(data, (str, os.PathLike)) and not str(data).startswith("tfds:"):
        path, names_remarks = _unpacked(os.fspath(data), cache or user_cache_dir())
        if path.is_dir():
            with named_as_given(path, os.fspath(data)):
                files, remarks = files_below(path, modality)
            names = [os.path.relpath(file, path) for file in files.paths]
            found = _without_labels(names, files.paths)
            found = replace(
                found, modality=files.modality, modality_reason=files.reason, warnings=remarks
            )
            return _with_names_as_given(found, path, os.fspath(data), names_remarks)
        if path.suffix.lower() in SUFFIXES and path.is_file():
            return _unlabelled_rows(read_items(path, columns, encoding))
    found = read_source(data, cache=cache, columns=columns)
    return replace(
        _without_labels(found.names, found.items),
        modality=found.modality,
        quarantine=found.quarantine,
        warnings=found.warnings,
    )


def _no_data() -> UserError:
    return UserError("No data were given.", "Give a folder or a table by --data.")


def _unlabelled_from_memory(data: Any, columns: str) -> Examples:
    if is_tabular(data):
        table = table_of(data, labeled=False)
        if isinstance(table, Table):
            return _unlabelled_rows(items_of(table, columns))
        data = table
    elements = Elements(data)
    if has_elements(data):
        encoded = encode_values(elements.inputs(labeled=False))
    else:
        encoded = encode_values(plain(data[0] if is_pair(data) else data))
    return replace(
        _without_labels(encoded.names, encoded.items),
        modality=encoded.modality,
        quarantine=encoded.quarantine,
        warnings=(*elements.warnings, *encoded.warnings),
    )


def _unlabelled_rows(rows: TableItems) -> Examples:
    found = _without_labels(list(rows.names.values()), list(rows.items.values()))
    found = replace(found, quarantine=tuple(rows.quarantine.values()), warnings=rows.warnings)
    return replace(found, modality="text") if rows.texts else _with_modality(found)


def is_pair(data: object) -> bool:
    """Returns whether data are a pair of examples and labels, and not two examples."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return False
    if any(isinstance(each, (str, bytes, os.PathLike)) for each in data):
        return False
    return isinstance(data, tuple) or np.ndim(data[1]) < max(2, np.ndim(data[0]))


def _without_labels(names: Sequence[str], items: Sequence[str | bytes]) -> Examples:
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


def _with_modality(examples: Examples) -> Examples:
    return replace(examples, modality=modality_of_files(examples.items))


def _unpacked(text: str, cache: Path) -> tuple[Path, tuple[str, ...]]:
    """Returns the local path of a file or folder, and remarks; archives and URLs go to the cache.

    A path may lead into an archive, as `photos.zip/2023` does.
    """
    path = local_path(text, cache)
    for archive in (path, *path.parents) if path.is_file() or not path.exists() else ():
        if is_archive(archive) and archive.is_file():
            root = unpack_cached(archive, cache / "unpacked")
            inner = _only_folder(root) / path.relative_to(archive)
            found = inner if inner.exists() else root / path.relative_to(archive)
            return found, unpacked_remarks(root)
    if "://" in text:
        raise UserError(
            f"--data={text} is not an archive.", "Give the address of a .zip or .tar.gz file."
        )
    return path, ()


def _only_folder(root: Path) -> Path:
    """Returns the single folder of an archive, if there is one: its sub-folders are the classes."""
    entries = [entry for entry in root.iterdir() if not is_system_file(entry.name)]
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else root


@contextlib.contextmanager
def named_as_given(path: Path, text: str) -> Iterator[None]:
    """Replaces the path of an unpacked archive in errors by the archive that was given.

    Args:
      path: Folder of the unpacked archive, or the folder that was given.
      text: What was given.
    """
    try:
        yield
    except UserError as error:
        what, remedy = (each.replace(os.fspath(path), text) for each in (error.what, error.remedy))
        raise UserError(what, remedy) from None


def _with_names_as_given(
    examples: Examples, path: Path, text: str, remarks: tuple[str, ...]
) -> Examples:
    """Returns the examples with further remarks, and with the archive's name in all of them."""
    warnings = (each.replace(os.fspath(path), text) for each in examples.warnings)
    return replace(examples, warnings=(*remarks, *warnings))


def _nearest_path(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"{parent} does not exist either: check the path."
    return unknown_name("folder", path.name, [p.name for p in parent.iterdir()]).remedy
