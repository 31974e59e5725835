"""`LabelReading`: labels as they were understood, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.utils.wording import listed

GIVEN = "given by --problem_type"
CLASS_REMEDY = (
    "Number the classes from 0 or name them; for numbers to predict give --problem_type=regression."
)


@dataclass(frozen=True, kw_only=True)
class LabelReading:
    """Labels of a table or an array, and how they were read.

    Attributes:
      labels: Labels as in `Examples`.
      problem_type: Their problem type.
      classes: Their classes, or columns for `regression`.
      reason: Why they have this problem type, and the flag that selects another.
      warnings: How cells were read where that is not obvious, in words.
    """

    labels: Array
    problem_type: ProblemType
    classes: tuple[str, ...]
    reason: str
    warnings: tuple[str, ...] = ()


def rows_in_words(rows: Sequence[int]) -> str:
    """Returns `row 3`, `rows 3 and 5` or `7 rows: 3, 5, 6, 8, 9 and 2 more`."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    return f"{len(rows):,} rows ({listed([str(row) for row in rows])})"
