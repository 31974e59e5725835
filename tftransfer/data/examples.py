"""`Examples`: encoded examples with labels and splits, whatever their source."""

from __future__ import annotations

import csv
import errno
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.labels.names import same_name
from tftransfer.utils.errors import UserError
from tftransfer.utils.wording import MAX_LISTED, listed

SPLITS = ("train", "val", "test")
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}
# Splits of examples whose labels are unknown or must not be used.
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
# Quarantined files or rows that an error names.
_MAX_NAMED_ENTRIES = 5


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """A file or row that cannot be used.

    Attributes:
      name: Name of the file or row, as in messages.
      reason: Why it cannot be used.
    """

    name: str
    reason: str


class NearCopy(NamedTuple):
    """A pair of contents that are almost the same; see `data.near_copies`.

    Attributes:
      first: sha256 of one content.
      second: sha256 of the other content.
      together: Whether a split keeps them together.
    """

    first: str
    second: str
    together: bool


def first_of(quarantine: Sequence[Quarantined]) -> str:
    """Returns the names and reasons of the first entries, and that there are more."""
    first = "; ".join(f"{each.name}: {each.reason}" for each in quarantine[:_MAX_NAMED_ENTRIES])
    more = len(quarantine) - _MAX_NAMED_ENTRIES
    return f"{first}; and {more:,} more" if more > 0 else first


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Encoded examples with their labels; a stream decodes them.

    Attributes:
      names: Name of each example in messages, usually its path below the root.
      items: Path of each file, or its encoded bytes if it came from memory.
      labels: int64 [n] for `single_label` (-1 without label), float32 [n, k] of 0 and 1 for
        `multi_label`, float32 [n, k] for `regression`, int64 [n, tasks] for `multi_task` (-1 for an
        unknown label).
      problem_type: `single_label`, `multi_label`, `regression` or `multi_task`.
      classes: Names of the classes in label order; of the columns for `regression`; `task=class`,
        task after task, for `multi_task`.
      splits: `train`, `val`, `test`, `target`, `unlabelled`, or "" before the split; str [n].
      sha256: Hash of the content of each example; the scan fills it.
      quarantine: Files and rows that cannot be used.
      warnings: Conversions and irregularities of the data, in words.
      modality: `image`, `text` or `audio`.
      measures: Duration in seconds of each clip or number of words of each text, float32 [n]; the
        scan fills it.
      groups: Group of each example, such as its speaker, that a split must keep together; "" if
        unknown.
      near_copies: Pairs of contents that are almost the same, where they were looked for.
      modality_reason: Why the examples have their modality, if it was inferred.
      problem_reason: Why they have their problem type, and the flag that selects another.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> examples = tftransfer.Examples(
      ...     names=["a", "b"], items=[b"good", b"bad"], labels=np.array([1, 0]),
      ...     problem_type="single_label", classes=("no", "yes"), modality="text",
      ...     splits=np.array(["train", "test"]),
      ... )
      >>> len(examples), examples.where("test"), examples.targets().tolist()
      (2, array([1]), [[0.0, 1.0], [1.0, 0.0]])
    """

    names: Sequence[str]
    items: Sequence[str | bytes]
    labels: Array
    problem_type: ProblemType
    classes: tuple[str, ...]
    splits: Array
    sha256: Sequence[str] = ()
    quarantine: tuple[Quarantined, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    modality: str = "image"
    measures: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    groups: Sequence[str] = ()
    near_copies: tuple[NearCopy, ...] = ()
    modality_reason: str = ""
    problem_reason: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "problem_type", ProblemType(self.problem_type))

    def __len__(self) -> int:
        return len(self.items)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of a `multi_task` problem, one per column of `labels`; else none."""
        return self.problem_type.tasks(self.classes)

    def where(self, split: str) -> Array:
        """Returns the indices of the examples of a split, int64 [m]."""
        return np.flatnonzero(self.splits == split)

    def keep(
        self,
        indices: Array,
        *,
        quarantine: tuple[Quarantined, ...] | None = None,
        warnings: tuple[str, ...] | None = None,
    ) -> Examples:
        """Returns the examples at `indices`, in that order.

        Args:
          indices: Indices of the examples, int [m].
          quarantine: New quarantine; None keeps the present one.
          warnings: New warnings; None keeps the present ones.
        """
        return replace(
            self,
            names=[self.names[i] for i in indices],
            items=[self.items[i] for i in indices],
            labels=self.labels[indices],
            splits=self.splits[indices],
            sha256=[self.sha256[i] for i in indices] if len(self.sha256) else (),
            measures=self.measures[indices] if len(self.measures) else self.measures,
            groups=[self.groups[i] for i in indices] if len(self.groups) else (),
            quarantine=self.quarantine if quarantine is None else quarantine,
            warnings=self.warnings if warnings is None else warnings,
        )

    def targets(self) -> Array:
        """Returns the labels as losses read them, float32 [n, k].

        Single labels are one-hot, and 0 without a label; those of several tasks are concatenated.
        """
        return self.problem_type.targets(self.labels, self.classes)

    def class_counts(self, indices: Array | None = None) -> Array:
        """Returns the number of examples with the label of each class, int64 [classes].

        Args:
          indices: Indices or mask of the examples to count; None counts all.
        """
        labels = self.labels if indices is None else self.labels[indices]
        if self.problem_type is ProblemType.SINGLE_LABEL:  # without rows of thousands of classes
            counts: Array = np.bincount(labels[labels >= 0], minlength=len(self.classes))
            return counts
        summed: Array = self.problem_type.targets(labels, self.classes).sum(axis=0)
        return summed.astype(np.int64)

    def digest(self) -> str:
        """Returns the sha256 of all contents, labels and splits, regardless of their order."""
        lines = sorted(
            f"{sha} {label.tolist()} {split}"
            for sha, label, split in zip(self.sha256, self.labels, self.splits)
        )
        return hashlib.sha256("\n".join([*self.classes, *lines]).encode()).hexdigest()


def read_item(item: str | bytes) -> bytes:
    """Returns the encoded bytes of one example, given its path or its bytes.

    Raises:
      OSError: The file cannot be read or is not a regular file; a pipe would block forever.
    """
    if isinstance(item, bytes):
        return item
    path = Path(item)
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    return path.read_bytes()


def with_classes(
    examples: Examples, classes: tuple[str, ...], problem_type: ProblemType
) -> Examples:
    """Returns the examples with labels that index `classes`, a superset of theirs.

    Args:
      examples: Examples to convert.
      classes: Classes, or columns for `regression`, of the training data.
      problem_type: Problem type of the training data.

    Raises:
      UserError: The problem type differs, a class is unknown, or a column is missing.
    """
    examples = _respelled(examples, classes)
    extra = sorted(set(examples.classes) - set(classes))
    absent = sorted(set(classes) - set(examples.classes))
    if examples.problem_type == problem_type and not examples.problem_type.has_classes and absent:
        raise UserError(
            f"These data lack columns of the training data: {', '.join(absent[:5])}.",
            "Give data with the same columns of numbers.",
        )
    if examples.problem_type != problem_type or extra:
        raise UserError(
            f"These data do not match the training data: problem type {examples.problem_type}, "
            f"training {problem_type}; unknown classes: {', '.join(extra[:5]) or 'none'}.",
            f"Rename or remove those classes; the training data have {listed(classes)}."
            if extra and examples.problem_type == problem_type
            else "Give data with the same problem type and class names.",
        )
    if problem_type is ProblemType.SINGLE_LABEL:  # without rows of thousands of classes
        places = np.array([*(classes.index(name) for name in examples.classes), -1], np.int64)
        return replace(examples, labels=places[examples.labels], classes=classes)
    targets = examples.targets()
    padded = np.concatenate([targets, np.zeros((len(targets), 1), np.float32)], axis=1)
    targets = padded[:, [_index(examples.classes, name) for name in classes]]
    return replace(examples, labels=problem_type.labels(targets, classes), classes=classes)


def _respelled(examples: Examples, classes: Sequence[str]) -> Examples:
    """Returns the examples with their classes spelled as the training data spell the same names."""
    known = {same_name(name): name for name in reversed(classes)}
    spelled = [n if n in classes else known.get(same_name(n), n) for n in examples.classes]
    changed = [f"{a!a} as {b!a}" for a, b in zip(examples.classes, spelled) if a != b]
    if not changed or len(set(spelled)) < len(spelled):
        return examples
    note = f"classes are spelled as in the training data: {', '.join(changed[:MAX_LISTED])}"
    return replace(examples, classes=tuple(spelled), warnings=(*examples.warnings, note))


def _index(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1


def add_test_data(examples: Examples, test: Examples) -> Examples:
    """Returns the examples with all of `test` as their test split.

    The classes of `test` must be among those of `examples`. Groups of `test` count only if
    `examples` has groups.
    """
    test = with_classes(test, examples.classes, examples.problem_type)
    groups = test.groups if len(test.groups) else [""] * len(test)
    unknown = list(groups).count("") if len(examples.groups) else 0
    warnings = list(test.warnings)
    if unknown:
        subject = "example has" if unknown == 1 else "examples have"
        warnings.append(f"{unknown:,} test {subject} no known group, which may be in training too")
    return _concatenated(examples, test, "test", test.labels, groups, warnings)


def add_unlabelled(examples: Examples, more: Examples, split: str) -> Examples:
    """Returns the examples with all of `more`, without labels, as their split `split`.

    Args:
      examples: Labeled examples.
      more: Examples to add; their labels are ignored.
      split: `target` or `unlabelled`.
    """
    unknown = examples.problem_type.unknown_label
    labels = np.full((len(more), *examples.labels.shape[1:]), unknown, examples.labels.dtype)
    return _concatenated(examples, more, split, labels, [""] * len(more), more.warnings)


def _concatenated(
    first: Examples,
    second: Examples,
    split: str,
    labels: Array,
    groups: Sequence[str],
    warnings: Sequence[str],
) -> Examples:
    if first.modality != second.modality:
        raise UserError(
            f"The modality of these data is {second.modality}, that of the training data "
            f"{first.modality}.",
            f"Give {first.modality} data.",
        )
    return replace(
        first,
        names=[*first.names, *second.names],
        items=[*first.items, *second.items],
        labels=np.concatenate([first.labels, labels]),
        splits=np.concatenate([first.splits, np.full(len(second), split, SPLIT_DTYPE)]),
        sha256=[*first.sha256, *second.sha256],
        measures=np.concatenate([first.measures, second.measures]),
        groups=[*first.groups, *groups] if len(first.groups) else (),
        quarantine=first.quarantine + second.quarantine,
        warnings=(*first.warnings, *warnings),
    )


def write_quarantine(path: Path, quarantine: Sequence[Quarantined]) -> None:
    """Writes `quarantine.csv`: a header, then the name and reason of everything unusable."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "reason"])
        writer.writerows([entry.name, entry.reason] for entry in quarantine)
