"""Data frames, series, dictionaries of columns and lists of rows, as tables or plain lists."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.data.columns import USUAL_NAMES
from tftransfer.data.tables import Table
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed

# Data frames, series, arrays, lists, and their cells.
_Values: TypeAlias = Any
SAMPLE_RATE = 16_000  # Hz, of waveforms in memory
_SCALARS = (str, int, float, bool, np.generic, type(None))


def is_frame(data: object) -> bool:
    """Returns whether data are a data frame, of pandas or another library like it."""
    return hasattr(data, "columns") and hasattr(data, "iloc")


def is_columns(data: object) -> bool:
    """Returns whether data are a dictionary of columns."""
    return isinstance(data, Mapping) and bool(data)


def is_rows(data: object) -> bool:
    """Returns whether data are a list of dictionaries, one per example."""
    if not isinstance(data, (list, tuple, np.ndarray)) or not len(data):
        return False
    return all(isinstance(row, Mapping) for row in data)


def is_tabular(data: object) -> bool:
    """Returns whether `table_of` takes the data."""
    return is_frame(data) or is_columns(data) or is_rows(data)


def table_of(data: _Values, *, labeled: bool = True) -> Table | tuple[_Values, _Values]:
    """Returns a table of a data frame, of columns or of rows; inputs and labels of arrays.

    Args:
      data: Data frame, mapping of names to columns, or sequence of mappings of names to cells, of
        which those without a cell have None.
      labeled: Whether there must be labels; the labels are None otherwise.

    Raises:
      UserError: There are no rows, columns differ in length, or a column is ambiguous.
    """
    what = type(data).__name__
    if is_rows(data):
        names = dict.fromkeys(name for row in data for name in row)
        data, what = {n: [row.get(n) for row in data] for n in names}, "list of dictionaries"
    if len({str(name) for name in data}) < len(list(data)):
        raise UserError("Two columns have the same name.", "Rename one of them.")
    columns = {str(name): _column(data[name]) for name in data}
    _check_index(data)
    if not is_frame(data) and len({len(column) for column in columns.values()}) > 1:
        _check_no_classes(columns)
        sizes = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise UserError(f"The columns differ in length: {sizes}.", "Give columns of one length.")
    count = len(next(iter(columns.values()), ()))
    if not count:
        raise UserError("The table has no rows.", "Give one row per image, clip or text.")
    values = [name for name, cells in columns.items() if not _has_cells(name, cells)]
    if values:
        return _pair({n: list(map(_content, cells)) for n, cells in columns.items()}, labeled)
    if isinstance(data, Mapping):
        _check_no_classes(columns)
    cells = {name: [_cell(value) for value in column] for name, column in columns.items()}
    rows = {n: {name: cells[name][n] for name in cells} for n in range(count)}
    warnings = (f"the columns of {what} are read as a table, rows from 0",)
    return Table(path=Path(what), header=list(columns), rows=rows, warnings=warnings)


def plain(values: _Values) -> _Values:
    """Returns a series, index or frame of one column as a list or array, with None for missing.

    Other values are returned as they are.

    Args:
      values: Values of any type.

    Raises:
      UserError: A data frame has several columns of other types than numbers.
    """
    if hasattr(values, "to_list") and hasattr(values, "row_splits"):  # a ragged tensor
        return [np.asarray(row) for row in values.to_list()]
    if isinstance(values, (set, frozenset)) or not hasattr(values, "__iter__"):
        raise UserError(
            f"The values are {type(values).__name__}, which has no order or no elements.",
            "Give a list or an array.",
        )
    if is_frame(values):
        names = list(values.columns)
        if len(names) == 1:
            return plain(values[names[0]])
        array: Array = np.stack([_numbers(values[name]) for name in names], axis=1)
        return array
    if hasattr(values, "dtype") and hasattr(values, "isna"):  # a pandas series, index or array
        return _without_missing(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM":
        raise _dates()
    return values


def _without_missing(values: _Values) -> _Values:
    if str(values.dtype).startswith(("datetime", "timedelta", "period")):
        raise _dates()
    missing = np.asarray(values.isna(), bool)
    found = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if found.dtype.kind in "biuf":  # NaN stays NaN
        return found
    cells = [None if gone else value for value, gone in zip(values, missing)]
    numbers = all(isinstance(cell, (bool, int, float, np.number, np.bool_)) for cell in cells)
    return np.array(cells) if numbers else cells


def _numbers(series: _Values) -> Array:
    found = np.asarray(plain(series))
    if found.dtype.kind not in "biuf":
        raise UserError(
            f"The column {series.name} of the data frame has no numbers.",
            "Give the whole data frame with columns='label=A,label=B', or one column.",
        )
    return found


def _dates() -> UserError:
    return UserError(
        "The values are dates or durations.", "Give names or numbers, such as .dt.year of them."
    )


def _column(values: _Values) -> Sequence[_Values]:
    found = plain(values) if not _is_date(values) else [str(value) for value in values]
    if hasattr(found, "numpy"):
        found = found.numpy()
    if isinstance(found, (str, bytes)) or not hasattr(found, "__len__"):
        raise UserError(
            f"A column is {type(values).__name__}, not a list or array.",
            "Give a dictionary of columns, such as {'text': texts, 'label': labels}.",
        )
    return list(found)


def _is_date(values: _Values) -> bool:
    return str(getattr(values, "dtype", "")).startswith(("datetime", "timedelta", "period"))


def _check_index(frame: _Values) -> None:
    """Checks that the only column of a frame is not next to an index of texts or paths.

    Raises:
      UserError: It is.
    """
    alone = is_frame(frame) and len(list(frame)) < 2
    first = next(iter(frame.index), 0) if alone and hasattr(frame, "index") else 0
    if isinstance(first, str):
        raise UserError(
            f"The data frame has one column, and its index holds texts such as {first!r}.",
            "Give frame.reset_index(), whose columns have the index too.",
        )


def _check_no_classes(columns: Mapping[str, Sequence[_Values]]) -> None:
    """Checks that a dictionary is one of columns, and not of the examples of each class.

    Raises:
      UserError: No key is a usual name of a column, and all hold different texts or paths.
    """
    usual = any(name.lower() in names for names in USUAL_NAMES.values() for name in columns)
    different = all(
        len({str(cell) for cell in cells}) == len(cells) > 1
        and all(isinstance(cell, (str, os.PathLike)) for cell in cells)
        for cells in columns.values()
    )
    if len(columns) > 1 and different and not usual:
        raise UserError(
            f"The dictionary has the keys {listed([repr(name) for name in columns])}, which are "
            "no usual names of columns.",
            "Give {'text': texts, 'label': labels}; if the keys are classes, give ([x for each in "
            "data.values() for x in each], [name for name, each in data.items() for x in each]).",
        )


def _has_cells(name: str, cells: Sequence[_Values]) -> bool:
    """Returns whether all values of a column are cells of a table: scalars, or lists of labels."""
    return _are_scalars(cells) or (_is_usual(name, "label") and all(map(_is_list_of_names, cells)))


def _is_list_of_names(cell: _Values) -> bool:
    names = isinstance(cell, (list, tuple, set, frozenset)) and all(
        isinstance(name, str) for name in cell
    )
    return names or cell is None or isinstance(cell, str)


def _is_usual(name: str, role: str) -> bool:
    return name.lower() in USUAL_NAMES[role]


def _pair(columns: Mapping[str, Sequence[_Values]], labeled: bool) -> tuple[_Values, _Values]:
    """Returns inputs and labels, where the cells of some columns are arrays or bytes."""
    labels = [name for name in columns if _is_usual(name, "label")]
    values = [name for name in columns if name not in labels and not _are_scalars(columns[name])]
    usual = [name for name in columns if _is_usual(name, "path") or _is_usual(name, "text")]
    inputs = values or usual
    labels = labels or [name for name in columns if name not in inputs]
    if len(inputs) == 1 and not labeled:
        return columns[inputs[0]], None
    if len(inputs) != 1 or len(labels) != 1:
        raise UserError(
            f"Which columns are inputs and labels is unclear: {listed(list(columns))}.",
            "Give the pair (inputs, labels).",
        )
    return columns[inputs[0]], columns[labels[0]]


def _are_scalars(cells: Iterable[_Values]) -> bool:
    return all(isinstance(cell, (*_SCALARS, os.PathLike)) for cell in cells)


def _content(value: _Values) -> _Values:
    """Returns what a dictionary of Hugging Face's datasets holds: bytes, a path or samples.

    Raises:
      UserError: The samples have another rate than others in memory.
    """
    if not isinstance(value, Mapping) or not {"bytes", "array", "path"} & set(value):
        return value
    rate = value.get("sampling_rate", SAMPLE_RATE)
    if value.get("array") is None:
        return value.get("bytes") or Path(value["path"])
    if rate != SAMPLE_RATE:
        raise UserError(
            f"The clips have {rate:,} Hz, not {SAMPLE_RATE:,} Hz.",
            f"Give tftransfer.from_waveforms([row['audio']['array'] for row in rows], "
            f"[row['label'] for row in rows], rate={rate}).",
        )
    return value["array"]


def _cell(value: _Values) -> str:
    if isinstance(value, (list, tuple, set, frozenset)):
        names = sorted(value) if isinstance(value, (set, frozenset)) else list(value)
        return json.dumps(names, ensure_ascii=False)
    if value is None or value != value:  # NaN differs from itself
        return ""
    return value if isinstance(value, str) else str(value)
