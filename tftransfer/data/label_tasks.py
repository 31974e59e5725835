"""Several tasks at once: a label of each for every example; classes are named `task=class`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tftransfer.utils.errors import UserError


@dataclass(frozen=True)
class Task:
    """Columns of scores and one-hot labels that belong together.

    Attributes:
      name: of the task.
      start: its first column.
      count: of its classes.
    """

    name: str
    start: int
    count: int

    @property
    def columns(self) -> slice:
        """Its columns."""
        return slice(self.start, self.start + self.count)


def tasks_of(classes: Sequence[str], problem_type: str) -> tuple[Task, ...]:
    """The tasks whose classes these are, in order; none unless the target is `multi_task`."""
    if problem_type != "multi_task":
        return ()
    names = [each.partition("=")[0] for each in classes]
    counts = [(name, len(list(group))) for name, group in itertools.groupby(names)]
    starts = itertools.accumulate((count for _, count in counts), initial=0)
    return tuple(Task(name, start, count) for (name, count), start in zip(counts, starts))


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


def one_hot(labels: np.ndarray, tasks: Sequence[Task]) -> np.ndarray:
    """Labels int [n, tasks] as float32 [n, classes of all]; zeros where a label is unknown."""
    columns = [
        np.eye(task.count + 1, task.count, dtype=np.float32)[labels[:, number]]
        for number, task in enumerate(tasks)
    ]
    return np.concatenate(columns, axis=1)


def from_one_hot(targets: np.ndarray, tasks: Sequence[Task]) -> np.ndarray:
    """The inverse of `one_hot`."""
    each = [targets[:, task.columns] for task in tasks]
    return np.stack([np.where(y.any(axis=1), y.argmax(axis=1), -1) for y in each], axis=1)


def natural(name: str) -> tuple:
    """Sorts numbers by value, before all else."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
