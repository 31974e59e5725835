"""`Examples`: what every source becomes, and what a split is stored as."""

from __future__ import annotations

import csv
import errno
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.data.label_tasks import Task, from_one_hot, one_hot, tasks_of
from tftransfer.utils.errors import UserError

SPLITS = ("train", "val", "test")
# Of pictures whose labels are not known, or not to be looked at.
UNLABELLED = ("target", "unlabelled")
SPLIT_DTYPE = "<U10"
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
NO_CLASS = (
    "Count the classes from 0 or name them; numbers to predict are --problem_type=regression."
)


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """A file or row that is left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Examples with their labels; they stay encoded until a stream decodes them.

    Attributes:
      names: what to call each example in messages, usually its path below the root.
      items: the path of each file, or its encoded bytes when it came from memory.
      labels: int64 [n] for `single_label` (-1 where there is none), float32 [n, k] of 0 and 1 for
        `multi_label`, float32 [n, k] for `regression`, int64 [n, tasks] for `multi_task` (-1 where
        the label is unknown).
      problem_type: `single_label`, `multi_label`, `regression` or `multi_task`.
      classes: names in label order; for regression, the names of the columns; for several tasks,
        `task=class`, task by task.
      splits: `train`, `val`, `test`, `target`, `unlabelled`, or "" where the split is not made
        yet; str [n].
      sha256: of each item's content; filled by the scan.
      quarantine: what was left out.
      remarks: what was normalised or noticed, in words.
      modality: of input: `image`, `text` or `audio`.
      measures: seconds of audio or words of text, float32 [n]; filled by the scan.
      groups: what each example belongs to, such as a speaker, where a split must not part these;
        "" where that is not known.
    """

    names: Sequence[str]
    items: Sequence[str | bytes]
    labels: np.ndarray
    problem_type: str
    classes: tuple[str, ...]
    splits: np.ndarray
    sha256: Sequence[str] = ()
    quarantine: tuple[Quarantined, ...] = ()
    remarks: tuple[str, ...] = field(default=())
    modality: str = "image"
    measures: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    groups: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What each column of `labels` is of; none unless the target is `multi_task`."""
        return tasks_of(self.classes, self.problem_type)

    def where(self, part: str) -> np.ndarray:
        """Indices of the examples of `train`, `val` or `test`, int64 [m]."""
        return np.flatnonzero(self.splits == part)

    def keep(self, indices: np.ndarray, **changes: Any) -> Examples:
        """The examples at `indices`, in that order."""
        return replace(
            self,
            names=[self.names[i] for i in indices],
            items=[self.items[i] for i in indices],
            labels=self.labels[indices],
            splits=self.splits[indices],
            sha256=[self.sha256[i] for i in indices] if len(self.sha256) else (),
            measures=self.measures[indices] if len(self.measures) else self.measures,
            groups=[self.groups[i] for i in indices] if len(self.groups) else (),
            **changes,
        )

    def targets(self) -> np.ndarray:
        """Labels as the losses want them: float32 [n, k], one-hot for single labels; 0 for none.

        Those of several tasks stand side by side.
        """
        if self.problem_type == "multi_task":
            return one_hot(self.labels, self.tasks)
        if self.problem_type == "single_label":
            rows = np.eye(len(self.classes) + 1, len(self.classes), dtype=np.float32)
            return rows[self.labels]
        return self.labels.astype(np.float32)

    def digest(self) -> str:
        """sha256 over every example's content, label and part, whatever the order."""
        lines = sorted(
            f"{sha} {label.tolist()} {part}"
            for sha, label, part in zip(self.sha256, self.labels, self.splits)
        )
        return hashlib.sha256("\n".join([*self.classes, *lines]).encode()).hexdigest()


def read_item(item: str | bytes) -> bytes:
    """The encoded bytes of one example.

    Raises:
      OSError: not to be read, or no regular file: a pipe would never end.
    """
    if isinstance(item, bytes):
        return item
    path = Path(item)
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    return path.read_bytes()


def with_classes(examples: Examples, classes: tuple[str, ...], problem_type: str) -> Examples:
    """The examples with their labels counted in `classes`, which must hold all of theirs.

    Raises:
      UserError: another kind of target, classes that are not known, or columns that are missing.
    """
    extra = sorted(set(examples.classes) - set(classes))
    absent = sorted(set(classes) - set(examples.classes))
    if examples.problem_type == problem_type == "regression" and absent:
        raise UserError(
            f"These data lack columns of the training data: {', '.join(absent[:5])}.",
            "Give data with the same columns of numbers.",
        )
    if examples.problem_type != problem_type or extra:
        raise UserError(
            f"These data do not fit the training data: {examples.problem_type} against "
            f"{problem_type}, "
            f"classes that training lacks: {', '.join(extra[:5]) or 'none'}.",
            "Give data of the same kind with the same class names.",
        )
    labels = examples.labels
    if problem_type == "single_label":
        places = np.array([classes.index(name) for name in examples.classes], np.int64)
        labels = places[labels]
    else:
        targets = examples.targets()
        padded = np.concatenate([targets, np.zeros((len(labels), 1), np.float32)], axis=1)
        labels = padded[:, [_index(examples.classes, name) for name in classes]]
        tasks = tasks_of(classes, problem_type)
        labels = from_one_hot(labels, tasks) if tasks else labels
    return replace(examples, labels=labels, classes=classes)


def _index(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1


def join(first: Examples, test: Examples) -> Examples:
    """`first` with all of `test` as its test part; their classes must agree.

    Groups of the test part matter only to those of `first`.
    """
    test = with_classes(test, first.classes, first.problem_type)
    _check_kinds(first, test)
    groups = test.groups if len(test.groups) else [""] * len(test)
    unknown = list(groups).count("") if len(first.groups) else 0
    said = f"{unknown:,} test examples are of no known group, which may stand in training too"
    return replace(
        first,
        names=[*first.names, *test.names],
        items=[*first.items, *test.items],
        labels=np.concatenate([first.labels, test.labels]),
        splits=np.concatenate([first.splits, np.full(len(test), "test", SPLIT_DTYPE)]),
        sha256=[*first.sha256, *test.sha256],
        measures=np.concatenate([first.measures, test.measures]),
        groups=_joined_groups(first, groups),
        quarantine=first.quarantine + test.quarantine,
        remarks=(*first.remarks, *test.remarks, *([said] if unknown else [])),
    )


def join_unlabelled(first: Examples, more: Examples, part: str) -> Examples:
    """`first` with all of `more` as its split `target` or `unlabelled`, without their labels."""
    _check_kinds(first, more)
    none = -1 if first.problem_type in ("single_label", "multi_task") else 0
    labels = np.full((len(more), *first.labels.shape[1:]), none, first.labels.dtype)
    return replace(
        first,
        names=[*first.names, *more.names],
        items=[*first.items, *more.items],
        labels=np.concatenate([first.labels, labels]),
        splits=np.concatenate([first.splits, np.full(len(more), part, SPLIT_DTYPE)]),
        sha256=[*first.sha256, *more.sha256],
        measures=np.concatenate([first.measures, more.measures]),
        groups=_joined_groups(first, [""] * len(more)),
        quarantine=first.quarantine + more.quarantine,
        remarks=first.remarks + more.remarks,
    )


def _joined_groups(first: Examples, others: Sequence[str]) -> Sequence[str]:
    return [*first.groups, *others] if len(first.groups) else ()


def _check_kinds(first: Examples, second: Examples) -> None:
    if first.modality != second.modality:
        raise UserError(
            f"These data are {second.modality}, the training data {first.modality}.",
            "Give data of the same kind.",
        )


def write_quarantine(path: Path, quarantine: Sequence[Quarantined]) -> None:
    """Writes `quarantine.csv`: name and reason of everything left out; a header at least."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "reason"])
        writer.writerows([entry.name, entry.reason] for entry in quarantine)
