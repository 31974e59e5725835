"""Data frames, series and dictionaries of columns, as tables or as plain lists."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.data.columns import USUAL_NAMES
from tftransfer.data.tables import Table
from tftransfer.utils.errors import UserError

# Data frames, series, arrays, lists, and their cells.
_Values: TypeAlias = Any
_SCALARS = (str, int, float, bool, np.generic, type(None))


def is_frame(data: object) -> bool:
    """Returns whether data are a data frame, of pandas or another library like it."""
    return hasattr(data, "columns") and hasattr(data, "iloc")


def is_columns(data: object) -> bool:
    """Returns whether data are a dictionary of columns."""
    return isinstance(data, Mapping) and bool(data)


def table_of(data: _Values) -> Table | tuple[_Values, _Values]:
    """Returns a table of a data frame or of columns; inputs and labels if cells are arrays.

    Args:
      data: Data frame or mapping of names to columns.

    Raises:
      UserError: There are no rows, columns differ in length, or a column is ambiguous.
    """
    columns = {str(name): _column(data[name]) for name in data}
    if not is_frame(data) and len({len(column) for column in columns.values()}) > 1:
        sizes = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise UserError(f"The columns differ in length: {sizes}.", "Give columns of one length.")
    count = len(next(iter(columns.values()), ()))
    if not count:
        raise UserError("The table has no rows.", "Give one row per image, clip or text.")
    if len(columns) < len(list(data)):
        raise UserError("Two columns have the same name.", "Rename one of them.")
    values = [name for name, cells in columns.items() if not _is_scalar(cells)]
    if values:
        return _pair(columns, values)
    cells = {name: [_cell(value) for value in column] for name, column in columns.items()}
    rows = {n: {name: cells[name][n] for name in cells} for n in range(count)}
    warnings = (f"the columns of {type(data).__name__} are read as a table, rows from 0",)
    return Table(path=Path(type(data).__name__), header=list(columns), rows=rows, warnings=warnings)


def plain(values: _Values) -> _Values:
    """Returns a series, index or frame of one column as a list or array, with None for missing.

    Other values are returned as they are.

    Args:
      values: Values of any type.

    Raises:
      UserError: A data frame has several columns of other types than numbers.
    """
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


def _is_scalar(cells: Sequence[_Values]) -> bool:
    return all(isinstance(cell, (*_SCALARS, os.PathLike)) for cell in cells)


def _pair(
    columns: Mapping[str, Sequence[_Values]], values: Sequence[str]
) -> tuple[_Values, _Values]:
    """Returns inputs and labels, where the cells of the columns `values` are arrays or bytes."""
    usual = [name for name in columns if name.lower() in USUAL_NAMES["label"]]
    inputs = [name for name in values if name not in usual]
    labels = usual or [name for name in columns if name not in inputs]
    if len(inputs) != 1 or len(labels) != 1:
        raise UserError(
            f"Which columns are inputs and labels is unclear: {', '.join(columns)}.",
            "Give the pair (inputs, labels).",
        )
    return columns[inputs[0]], columns[labels[0]]


def _cell(value: _Values) -> str:
    if value is None or value != value:  # NaN differs from itself
        return ""
    return value if isinstance(value, str) else str(value)
