"""Tables of an evaluation: predictions, confusion matrices, and metrics of each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples
from tftransfer.metrics.probabilities import by_task

Cell = str | float
# Separates several labels in a cell of `predictions.csv`.
LABEL_DELIMITER = "|"
# Score from which a label of a multi-label problem is predicted.
THRESHOLD = 0.5


def prediction_table(examples: Examples, indices: Array, scores: Array) -> list[list[Cell]]:
    """Returns the name, the true and the predicted label, and all scores of each example.

    Several labels in a cell are separated by `|`. A regression has `true` and `predicted` values of
    its first column, and the values of all columns as scores. Each task has the columns `true TASK`
    and `predicted TASK`; a true label that is unknown is empty.

    Args:
      examples: Labeled examples.
      indices: Indices of the examples in the table, int [n].
      scores: Scores of these, float [n, k].

    Returns:
      The header and n rows.
    """
    targets = examples.targets()[indices]
    header, labels_of = _label_columns(examples)
    table: list[list[Cell]] = [["name", *header, *examples.classes]]
    for index, target, row in zip(indices, targets, scores):
        pairs = zip(labels_of(target), labels_of(row))
        labels = [label for pair in pairs for label in pair]
        table.append([examples.names[index], *labels, *map(float, row)])
    return table


def _label_columns(examples: Examples) -> tuple[list[str], Callable[[Array], Sequence[Cell]]]:
    """Names of the label columns, and a function from a row of scores or targets to labels."""
    classes, tasks, problem_type = examples.classes, examples.tasks, examples.problem_type
    if tasks:
        header = [f"{what} {task.name}" for task in tasks for what in ("true", "predicted")]
        return header, lambda row: best_classes(row, classes, tasks)

    def label_of(row: Array) -> Sequence[Cell]:
        if problem_type is ProblemType.REGRESSION:
            return (float(row[0]),)
        if problem_type is ProblemType.SINGLE_LABEL:
            return (classes[int(row.argmax())],)
        names = [name for name, score in zip(classes, row) if score >= THRESHOLD]
        return (LABEL_DELIMITER.join(names),)

    return ["true", "predicted"], label_of


def best_classes(row: Array, classes: Sequence[str], tasks: Sequence[Task]) -> list[str]:
    """Returns the class with the highest score for each task; "" where no score is above 0.

    Args:
      row: Scores of one example, float [k].
      classes: Names of the columns, `task=class`.
      tasks: Tasks of the columns.
    """
    names = [name.partition("=")[2] for name in classes]
    return [
        names[task.start + int(row[task.columns].argmax())] if row[task.columns].any() else ""
        for task in tasks
    ]


def confusion_matrix(scores: Array, targets: Array) -> list[list[int]]:
    """Counts the examples by true class (rows) and predicted class (columns).

    Args:
      scores: Scores of exclusive classes, float [n, k].
      targets: One-hot labels, [n, k].
    """
    from sklearn import metrics

    classes = np.arange(targets.shape[1])
    counts: list[list[int]] = metrics.confusion_matrix(
        targets.argmax(1), scores.argmax(1), labels=classes
    ).tolist()
    return counts


def per_class(
    scores: Array,
    targets: Array,
    classes: tuple[str, ...],
    problem_type: ProblemType,
    tasks: Sequence[Task] = (),
) -> list[dict[str, Cell | None]]:
    """Returns precision, recall, F1 and support of every class; in regression, column errors.

    A class without examples has None instead of metrics.

    Args:
      scores: Scores, float [n, k].
      targets: Targets as `ProblemType.targets` returns them, float [n, k].
      classes: Names of the k classes or columns.
      problem_type: What the labels are.
      tasks: Tasks of the columns, for `multi_task`.
    """
    if tasks:
        return [
            row
            for task, _, some, truth in by_task(scores, targets, tasks)
            for row in per_class(some, truth, classes[task.columns], ProblemType.SINGLE_LABEL)
        ]
    if problem_type is ProblemType.REGRESSION:
        return [_column(*each) for each in zip(classes, scores.T, targets.T)]
    from sklearn.metrics import precision_recall_fscore_support

    guess: Array = scores >= THRESHOLD
    if problem_type is ProblemType.SINGLE_LABEL:
        guess = np.eye(scores.shape[1])[scores.argmax(1)]
    columns = precision_recall_fscore_support(targets, guess, average=None, zero_division=0)
    return [
        {
            "class": name,
            "precision": float(precision) if support else None,
            "recall": float(recall) if support else None,
            "f1": float(f1) if support else None,
            "support": int(support),
        }
        for name, precision, recall, f1, support in zip(classes, *columns)
    ]


def _column(name: str, values: Array, targets: Array) -> dict[str, Cell | None]:
    """The errors of a column of numbers; one that is constant has no r2."""
    spread = float(((targets - targets.mean()) ** 2).sum(dtype=np.float64))
    unexplained = float(((values - targets) ** 2).sum(dtype=np.float64))
    return {
        "class": name,
        "mean_absolute_error": float(np.abs(values - targets).mean()),
        "r2": 1 - unexplained / spread if np.ptp(targets) > 0 else None,
    }
