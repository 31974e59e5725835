"""Checks of numbers to predict: constant columns, and values far from the others."""

from __future__ import annotations

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed

# Distances from the median, in ranges between the quartiles: of a warning, and of an error, from
# where float32 cannot separate the other values.
_FAR = 100.0
_IMPOSSIBLE = 1e6


def check_numbers(examples: Examples) -> list[str]:
    """Returns warnings of the columns of a regression.

    Args:
      examples: Examples of any problem type.

    Raises:
      UserError: A value is so far from the others that nothing can be learned next to it.
    """
    if examples.problem_type is not ProblemType.REGRESSION:
        return []
    labels = examples.labels[np.isin(examples.splits, ("train", "val", "test"))]
    rows = np.flatnonzero(np.isin(examples.splits, ("train", "val", "test")))
    warnings = []
    for name, column in zip(examples.classes, labels.T.astype(np.float64)):
        if len(column) > 1 and np.ptp(column) == 0:
            warnings.append(
                f"the column {printable(name)} is {column[0]:g} in every row: nothing can be "
                "learned of it, and r2 does not count it; remove the column if it has no meaning"
            )
            continue
        distance = _distances(column)
        far = np.flatnonzero(distance > _FAR)
        if not len(far):
            continue
        values = [f"{column[k]:g} of {printable(examples.names[rows[k]])}" for k in far]
        others = column[distance <= _FAR]
        what = (
            f"{printable(name)} has values far from the others, which are from {others.min():g} to "
            f"{others.max():g}: {listed(values)}"
        )
        if distance.max() > _IMPOSSIBLE:
            raise UserError(f"{what}.", "Correct these rows or remove them.")
        warnings.append(f"{what}; correct or remove them if they are mistakes")
    return warnings


def _distances(column: Array) -> Array:
    """How far each value is from the median, in ranges between the quartiles."""
    low, median, high = np.quantile(column, (0.25, 0.5, 0.75))
    if high > low:
        distances: Array = np.abs(column - median) / (high - low)
        return distances
    return np.zeros(len(column))
