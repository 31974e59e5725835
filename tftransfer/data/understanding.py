"""What was understood of the data: modality, problem type and classes, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.data.examples import UNLABELLED, Examples
from tftransfer.data.near_copies import describe_near_copies
from tftransfer.utils.console import printable

MAX_LISTED_CLASSES = 20
# A class with a larger fraction of the examples makes the accuracy of a constant look good.
_DOMINANT = 0.9


def understood(examples: Examples) -> list[tuple[str, str]]:
    """Returns lines for the plan, `inspect` and the report, each as its topic and its text.

    Args:
      examples: Examples, which remember why they have their modality and problem type.
    """
    return [
        ("modality", f"{examples.modality}: {examples.modality_reason or _by_items(examples)}"),
        ("problem", f"{examples.problem_type}: {examples.problem_reason or 'as given'}"),
        *_label_lines(examples),
        *[("copies", text) for text in (describe_near_copies(examples),) if text],
    ]


def class_counts(examples: Examples) -> Array:
    """Returns the number of labeled examples of each class, int64 [classes]."""
    return examples.class_counts(~np.isin(examples.splits, UNLABELLED))


def _by_items(examples: Examples) -> str:
    files = len(examples.items) and isinstance(examples.items[0], str)
    return "by the content of the files" if files else "by the values"


def _label_lines(examples: Examples) -> list[tuple[str, str]]:
    if not examples.problem_type.has_classes:
        return [("numbers", text) for text in _columns(examples)]
    counts = class_counts(examples)
    if not examples.tasks:
        return [("classes", _classes(examples.classes, counts) + _dominant(examples, counts))]
    shown = []
    for task in examples.tasks:
        names = [name.partition("=")[2] for name in examples.classes[task.columns]]
        shown.append(("task", f"{printable(task.name)}: {_classes(names, counts[task.columns])}"))
    return shown


def _classes(names: Sequence[str], counts: Array) -> str:
    pairs = zip(names[:MAX_LISTED_CLASSES], counts)
    listed = ", ".join(f"{shown_name(name)} {count:,}" for name, count in pairs)
    more = len(names) - MAX_LISTED_CLASSES
    return listed + (f" and {more:,} more classes, which inspect lists" if more > 0 else "")


def shown_name(name: str) -> str:
    """Returns the name of a class on one line, in quotes where its end would be unclear."""
    plain = name and name == name.strip() and "," not in name
    return printable(name if plain else repr(name))


def _dominant(examples: Examples, counts: Array) -> str:
    if examples.problem_type is not ProblemType.SINGLE_LABEL or not counts.any():
        return ""
    most, share = int(counts.argmax()), float(counts.max() / counts.sum())
    if share <= _DOMINANT or len(counts) < 2:
        return ""
    return (
        f"; always predicting {shown_name(examples.classes[most])} is right in {share:.0%}, so "
        "read macro F1, and consider the recipe's option class_weight=balanced"
    )


def _columns(examples: Examples) -> list[str]:
    labels = examples.labels[~np.isin(examples.splits, UNLABELLED)]
    return [
        f"{printable(name)} from {column.min():,.6g} to {column.max():,.6g}, mean "
        f"{column.mean(dtype=np.float64):,.6g}, {len(np.unique(column)):,} different values"
        for name, column in zip(examples.classes, labels.T)
        if len(column)
    ]
