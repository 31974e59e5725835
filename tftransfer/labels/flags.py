"""Label columns of 0 and 1: several labels, or one label as a one-hot row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.labels.reading import GIVEN, LabelReading
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import listed

# Spellings of yes and of no; the cells of a column are of one pair.
_PAIRS = (
    (("1", "1.0"), ("0", "0.0")),
    (("1",), ("-1",)),
    (("true",), ("false",)),
    (("yes",), ("no",)),
    (("y",), ("n",)),
    (("t",), ("f",)),
    (("x",), ()),
)


def flags_of_cells(rows: Sequence[Sequence[str]]) -> Array | None:
    """Returns cells that mean yes or no as 1 and 0, NaN for an unknown label; None for others.

    Empty cells mean no if no cell is 0, as in tables with a cross in some cells. -1 means no if
    there is no 0 either.

    Args:
      rows: Cells of the label columns, [n, k].
    """
    cells = np.char.lower(np.array(rows, str))
    flags = np.full(cells.shape, np.nan, np.float32)
    for column, values in enumerate(cells.T):
        found = set(values.tolist()) - {""}
        pair = next((pair for pair in _PAIRS if found <= set(pair[0] + pair[1])), None)
        if pair is None:
            return None
        flags[np.isin(values, pair[0]), column] = 1
        flags[np.isin(values, pair[1]), column] = 0
    if not (flags == 1).any():
        return None
    return flags if (flags == 0).any() else np.nan_to_num(flags)


def is_one_hot(flags: Array) -> bool:
    """Returns whether each row has exactly one 1, in at least two columns, float [n, k]."""
    ones = flags.sum(axis=1)
    return bool(len(flags) > 1 and (ones == 1).all() and (flags.sum(axis=0) > 0).sum() > 1)


def read_flags(flags: Array, names: Sequence[str], problem_type: str) -> LabelReading:
    """Returns columns of 0 and 1 as several labels, or as one label if each row has one 1.

    Args:
      flags: Columns, float32 [n, k] of 0 and 1; NaN counts as 0.
      names: Names of the columns.
      problem_type: `auto`, `multi_label` or `single_label`.

    Raises:
      UserError: The type is `single_label`, and some row has no 1 or several.
    """
    unknown = int(np.isnan(flags).sum())
    flags = np.nan_to_num(flags)
    warnings = [f"{unknown:,} empty cells are read as 0"] if unknown else []
    one_hot = is_one_hot(flags)
    wrong = np.flatnonzero(flags.sum(axis=1) != 1)
    if problem_type == ProblemType.SINGLE_LABEL and len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"Row {row + 1} of the labels has {flags[row].sum():.0f} labels, not one.",
            "Give --problem_type=multi_label.",
        )
    if problem_type == ProblemType.SINGLE_LABEL or (one_hot and problem_type == "auto"):
        reason = (
            f"each row has exactly one 1 in {flags.shape[1]} columns; --problem_type=multi_label "
            "reads them as independent labels"
        )
        return _one_hot(flags, names, GIVEN if problem_type != "auto" else reason, warnings)
    reason = (
        f"the {flags.shape[1]} label columns hold only 0 and 1; --problem_type=multi_task makes "
        "each a task"
    )
    return LabelReading(
        labels=flags,
        problem_type=ProblemType.MULTI_LABEL,
        classes=tuple(names),
        reason=GIVEN if problem_type != "auto" else reason,
        warnings=(*warnings, *_without(flags, names, "has no 1, so the class has no example")),
    )


def _one_hot(
    flags: Array, names: Sequence[str], reason: str, warnings: Sequence[str]
) -> LabelReading:
    used = np.flatnonzero(flags.any(axis=0))
    return LabelReading(
        labels=flags[:, used].argmax(axis=1).astype(np.int64),
        problem_type=ProblemType.SINGLE_LABEL,
        classes=tuple(names[k] for k in used.tolist()),
        reason=reason,
        warnings=(*warnings, *_without(flags, names, "has no 1 and is not used")),
    )


def _without(flags: Array, names: Sequence[str], text: str) -> list[str]:
    absent = [names[k] for k in np.flatnonzero(~flags.any(axis=0)).tolist()]
    return [f"label columns without a label: {listed(absent)}; each {text}"] if absent else []
