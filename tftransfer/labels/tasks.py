"""Labels of several tasks from tables; classes are named `task=class`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.utils.errors import UserError


def labels_of_tasks(
    names: Sequence[str], rows: Mapping[int, Sequence[str]], source: str
) -> tuple[Array, tuple[str, ...]]:
    """Returns the labels and classes of several tasks.

    Args:
      names: Names of the tasks, one per column.
      rows: Number of each row to its cells, which are names of classes; "" is an unknown label.
      source: Name of the table in messages.

    Returns:
      Labels, int64 [n, tasks], -1 for an unknown label; and the classes of all tasks.

    Raises:
      UserError: A row has no label, a task has fewer than two classes, or its name has `=` in it.
    """
    for number, cells in rows.items():
        if not any(cells):
            raise UserError(
                f"{source}, row {number}: no task has a label.", "Add a label, or remove the row."
            )
    labels, classes = [], []
    for name, column in zip(names, zip(*rows.values())):
        found = sorted(set(column) - {""}, key=natural)
        if "=" in name:
            raise UserError(f"{source} has a task named {name!r}.", "Give it a name without =.")
        if len(found) < 2:
            has = f"one class, {found[0]}" if found else "no label"
            raise UserError(
                f"{source}: the task {name} has {has}.",
                "Add examples of a second class, or remove the task.",
            )
        index = {each: number for number, each in enumerate(found)} | {"": -1}
        labels.append([index[cell] for cell in column])
        classes += [f"{name}={each}" for each in found]
    return np.array(labels, np.int64).T, tuple(classes)


def natural(name: str) -> tuple[int, int, str]:
    """Returns a sort key with numbers first, sorted by value."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
