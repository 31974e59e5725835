"""Labels as rows of an array: 0 and 1, one-hot, smoothed, or probabilities."""

from __future__ import annotations

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.labels.flags import is_one_hot, read_flags
from tftransfer.labels.reading import GIVEN, LabelReading
from tftransfer.utils.errors import UserError

_TOLERANCE = 1e-3
_SMOOTHING = "label smoothing"


def read_rows(labels: Array, classes: tuple[str, ...], problem_type: str) -> LabelReading | None:
    """Returns rows of 0 and 1 as labels, also smoothed ones; None for other numbers.

    Args:
      labels: Numbers, [n, k].
      classes: Names of the columns; () numbers them.
      problem_type: `auto`, `multi_label` or `single_label`.

    Raises:
      UserError: The rows are fractions that sum to 1: probabilities, or shares to predict.
    """
    values = np.unique(labels)
    if len(values) == 2 and np.array_equal(values, (-1, 1)):
        return _flags(labels > 0, classes, problem_type, "-1 is read as 0")
    if np.isin(values, (0, 1)).all():
        return _flags(labels, classes, problem_type)
    if labels.dtype.kind != "f" or not np.isfinite(labels).all():
        return None
    sums_to_1 = labels.min() >= 0 and np.allclose(labels.sum(axis=1), 1, atol=_TOLERANCE)
    high = labels > (float(labels.max()) + float(labels.min())) / 2
    if sums_to_1 and is_one_hot(high) and np.ptp(labels[high]) < _TOLERANCE:
        smoothing = (1 - float(labels.max())) * labels.shape[1] / (labels.shape[1] - 1)
        remark = (
            f"{_SMOOTHING} is removed from the labels; the recipe's option "
            f"label_smoothing={smoothing:.2g} adds it in training"
        )
        return _flags(high, classes, problem_type, remark)
    if sums_to_1 and not np.array_equal(labels, np.round(labels)):
        raise UserError(
            f"The labels are {labels.shape[1]} fractions per example that sum to 1: probabilities "
            "of classes, or shares to predict.",
            "Give labels.argmax(axis=1) for classes, or --problem_type=regression for shares.",
        )
    return None


def _flags(
    labels: Array, classes: tuple[str, ...], problem_type: str, remark: str = ""
) -> LabelReading:
    flags = labels.astype(np.float32)
    single = problem_type != ProblemType.MULTI_LABEL and is_one_hot(flags)
    letter = "" if single else "y"
    names = classes or tuple(f"{letter}{k}" for k in range(labels.shape[1]))
    read = read_flags(flags, names, problem_type)
    reason = (
        read.reason if read.reason == GIVEN else read.reason.replace("label columns", "columns")
    )
    if remark.startswith(_SMOOTHING):  # no columns of 0 and 1, which multi_label reads
        reason = reason.partition(";")[0]
    return LabelReading(
        labels=read.labels,
        problem_type=read.problem_type,
        classes=read.classes,
        reason=reason,
        warnings=(*([remark] if remark else []), *read.warnings),
    )
