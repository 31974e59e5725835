"""The problem type: what an example's labels are, and what follows for targets and scores."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tftransfer.core.loss import Loss
from tftransfer.utils.errors import unknown_name
from tftransfer.utils.registry import Registry

# `tftransfer --help` imports this module; NumPy, which is slower, is imported where it is used.
if TYPE_CHECKING:
    from tftransfer.core.typing import Array


@dataclass(frozen=True)
class Task:
    """Columns of scores and one-hot labels that belong together.

    Attributes:
      name: Name of the task.
      start: Index of its first column.
      count: Number of its classes.
    """

    name: str
    start: int
    count: int

    @property
    def columns(self) -> slice:
        """The columns of the task."""
        return slice(self.start, self.start + self.count)


class ProblemType(StrEnum):
    """What the labels of an example are; a string, so that flags and JSON hold its name.

    * `single_label`: one class, int64 [n], -1 where it is unknown.
    * `multi_label`: any number of classes, float32 [n, k] of 0 and 1.
    * `regression`: numbers, float32 [n, k].
    * `multi_task`: one class for each task, int64 [n, tasks], -1 where it is unknown. The classes
      are named `task=class`, task by task.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> problem_type = tftransfer.ProblemType("single_label")
      >>> problem_type.describe(["cat", "dog"])
      'single_label, 2 classes'
      >>> problem_type.targets(np.array([1, 0]), ["cat", "dog"]).tolist()
      [[0.0, 1.0], [1.0, 0.0]]
    """

    SINGLE_LABEL = "single_label"
    MULTI_LABEL = "multi_label"
    REGRESSION = "regression"
    MULTI_TASK = "multi_task"

    @classmethod
    def _missing_(cls, value: object) -> ProblemType:
        raise unknown_name("problem type", str(value), list(cls))

    @property
    def has_classes(self) -> bool:
        """Whether labels are classes; in a regression they are numbers."""
        return self is not ProblemType.REGRESSION

    @property
    def has_exclusive_classes(self) -> bool:
        """Whether an example has at most one class, or at most one for each task."""
        return self in (ProblemType.SINGLE_LABEL, ProblemType.MULTI_TASK)

    @property
    def unknown_label(self) -> int:
        """The value in place of a label that is unknown."""
        return -1 if self.has_exclusive_classes else 0

    @property
    def main_metric(self) -> str:
        """The metric by which models are compared; higher is better."""
        return _MAIN_METRICS[self]

    def tasks(self, classes: Sequence[str]) -> tuple[Task, ...]:
        """The tasks that the classes belong to, in order; none unless the type is `multi_task`."""
        if self is not ProblemType.MULTI_TASK:
            return ()
        names = [each.partition("=")[0] for each in classes]
        counts = [(name, len(list(group))) for name, group in itertools.groupby(names)]
        starts = itertools.accumulate((count for _, count in counts), initial=0)
        return tuple(Task(name, start, count) for (name, count), start in zip(counts, starts))

    def describe(self, classes: Sequence[str]) -> str:
        """The type and the number of classes, or the names of the columns of a regression."""
        if not self.has_classes:
            return f"{self} of {', '.join(classes)}"
        tasks = self.tasks(classes)
        return f"{self}, {len(classes)} classes" + (f" of {len(tasks)} tasks" if tasks else "")

    def targets(self, labels: Array, classes: Sequence[str]) -> Array:
        """Labels as losses and metrics read them: one-hot, 0 and 1, or numbers.

        Args:
          labels: Labels of this type, [n] or [n, k].
          classes: Names of the classes, or of the columns of a regression.

        Returns:
          float32 [n, classes]; zeros where a label is unknown. Tasks are side by side.
        """
        import numpy as np

        if self is ProblemType.SINGLE_LABEL:
            return _one_hot(labels, len(classes))
        if self is ProblemType.MULTI_TASK:
            pairs = zip(labels.T, self.tasks(classes), strict=True)
            return np.concatenate([_one_hot(each, task.count) for each, task in pairs], axis=1)
        return labels.astype(np.float32)

    def labels(self, targets: Array, classes: Sequence[str]) -> Array:
        """Inverse of `targets`.

        Args:
          targets: float32 [n, classes].
          classes: Names of the classes, or of the columns of a regression.

        Returns:
          Labels of this type, [n] or [n, k].
        """
        import numpy as np

        if self is ProblemType.SINGLE_LABEL:
            return _class_index(targets)
        if self is ProblemType.MULTI_TASK:
            columns = [_class_index(targets[:, task.columns]) for task in self.tasks(classes)]
            return np.stack(columns, axis=1)
        return targets

    def loss(self, *, label_smoothing: float = 0.0, class_weight: str = "none") -> Loss:
        """The loss for labels of this type; see `tftransfer.losses.supervised`."""
        return SUPERVISED_LOSSES[self](label_smoothing=label_smoothing, class_weight=class_weight)

    def probabilities(
        self, logits: Array, temperature: float = 1.0, tasks: Sequence[Task] = ()
    ) -> Array:
        """Scores that users see: softmax (of each task), sigmoid, or the values of a regression.

        Args:
          logits: Outputs of the network, float [n, k].
          temperature: Divisor of the logits; a regression has none.
          tasks: Tasks of the columns, for `multi_task`.

        Returns:
          float64 [n, k].
        """
        return PROBABILITIES[self](logits, temperature, tasks)

    def metrics(
        self, scores: Array, targets: Array, tasks: Sequence[Task] = ()
    ) -> dict[str, float]:
        """Metrics by name; of several tasks, the means of theirs.

        Args:
          scores: Scores as `probabilities` returns them, float [n, k].
          targets: Targets as `targets` returns them, float [n, k].
          tasks: Tasks of the columns, for `multi_task`.
        """
        return METRICS[self](scores, targets, tasks)


_MAIN_METRICS = {
    ProblemType.SINGLE_LABEL: "accuracy",
    ProblemType.MULTI_LABEL: "macro_f1",
    ProblemType.REGRESSION: "r2",
    ProblemType.MULTI_TASK: "accuracy",
}
# One function for each problem type, registered by `tftransfer.losses` and `tftransfer.metrics`.
SUPERVISED_LOSSES: Registry[Callable[..., Loss]] = Registry("loss for the problem type")
PROBABILITIES: Registry[Callable[[Array, float, Sequence[Task]], Array]] = Registry(
    "probabilities for the problem type"
)
METRICS: Registry[Callable[[Array, Array, Sequence[Task]], dict[str, float]]] = Registry(
    "metrics for the problem type"
)


def _one_hot(labels: Array, classes: int) -> Array:
    """Class indices [n] as rows [n, classes]; -1 is a row of zeros."""
    import numpy as np

    rows: Array = np.eye(classes + 1, classes, dtype=np.float32)[labels]
    return rows


def _class_index(targets: Array) -> Array:
    """Inverse of `_one_hot`."""
    import numpy as np

    return np.where(targets.any(axis=1), targets.argmax(axis=1), -1)
