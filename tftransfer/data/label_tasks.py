"""Several tasks at once: a label of each for every example; classes are named `task=class`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tftransfer.utils.errors import UserError


def labels_of_tasks(
    names: Sequence[str], rows: Mapping[int, Sequence[str]], source: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels int64 [n, tasks], -1 where a cell is empty; and the classes of all tasks.

    Args:
      names: of the tasks, one per column.
      rows: number of a row to its cells, names of classes.
      source: what to call the table in messages.

    Raises:
      UserError: a row without any label, a task of one class, or a name with `=` in it.
    """
    for number, cells in rows.items():
        if not any(cells):
            raise UserError(
                f"{source}, row {number}: no task has a label.", "Fill it or remove it."
            )
    labels, classes = [], []
    for name, column in zip(names, zip(*rows.values())):
        found = sorted(set(column) - {""}, key=natural)
        if "=" in name:
            raise UserError(f"{source} has a task named {name!r}.", "Name it without =.")
        if len(found) < 2:
            has = f"one class, {found[0]}" if found else "no label"
            raise UserError(
                f"{source}: the task {name} has {has}.", "Give it two classes, or leave it out."
            )
        place = {each: number for number, each in enumerate(found)} | {"": -1}
        labels.append([place[cell] for cell in column])
        classes += [f"{name}={each}" for each in found]
    return np.array(labels, np.int64).T, tuple(classes)


def natural(name: str) -> tuple:
    """Sorts numbers by value, before all else."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
