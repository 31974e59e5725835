"""The `Evaluation`: metrics of a finished run on labeled examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tftransfer.core.typing import IntArray
from tftransfer.data.examples import SPLIT_WORDS, Examples
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.evaluation.evaluate import evaluate_logits, predict_outputs
from tftransfer.utils.console import printable
from tftransfer.utils.tabular import Row, Tabular
from tftransfer.workdir.trained_model import TrainedModel

# Name of the split of data that are not those of the run.
GIVEN = "given"


@dataclass(frozen=True, kw_only=True)
class Evaluation(Tabular):
    """Metrics of a run on labeled examples; it prints and shows itself as a table.

    Attributes:
      split: What was evaluated: `test`, `val` where there is no test split, `none` where there is
        neither, or `given` for data other than those of the run.
      examples: Number of examples evaluated, without copies of a content that have the same label.
      copies: Number of these copies, which no metric counts.
      seen: How many of the given examples were in the training and the validation split of the run,
        by split; their metrics are too good.
      metrics: Value of each metric by name, such as `accuracy`.
      intervals: 95 % interval (low, high) of the main metrics, by name.
      per_class: One row per class: precision, recall, F1 and support; for a regression, one row
        per column with its mean absolute error.
      confusion_matrix: Counts int64 [true class, predicted class]; None unless the problem type is
        `single_label`.
      tasks: The evaluation of each task by name; empty unless the problem type is `multi_task`.
      predictions: A table of name, true label, predicted label and scores, the header first.
      classes: Class names, or names of the columns of a regression, in the order of the outputs.
      temperature: Divisor of the logits that calibrates the scores.

    Example:
      >>> import tftransfer
      >>> evaluation = tftransfer.Evaluation(
      ...     split="test", examples=4, metrics={"accuracy": 0.75},
      ...     intervals={"accuracy": (0.25, 1.0)},
      ... )
      >>> print(evaluation)
      test split, 4 examples
      accuracy                   0.7500   95 % interval 0.2500 to 1.0000
    """

    split: str
    examples: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    per_class: Sequence[Row] = ()
    confusion_matrix: IntArray | None = None
    tasks: Mapping[str, Evaluation] = field(default_factory=dict)
    copies: int = 0
    seen: Mapping[str, int] = field(default_factory=dict)
    predictions: Sequence[Sequence[Any]] = ()
    classes: tuple[str, ...] = ()
    temperature: float = 1.0

    def __str__(self) -> str:
        lines = [self._caption(), *self._seen_lines(), *map(_metric_line, self._rows())]
        for name, task in self.tasks.items():
            values = ", ".join(f"{metric} {value:.3f}" for metric, value in task.metrics.items())
            lines.append(printable(f"  {name}: {values}"))
        return "\n".join([*lines, *map(_class_line, self.per_class)])

    def _rows(self) -> Sequence[Row]:
        return [self._row(name, value) for name, value in self.metrics.items()]

    def _row(self, name: str, value: float) -> Row:
        low, high = self.intervals.get(name, (None, None))
        return {"metric": name, "value": value, "low": low, "high": high}

    def _caption(self) -> str:
        what = "given data" if self.split == GIVEN else f"{self.split} split"
        copies = f"; {self.copies:,} copies are not counted" if self.copies else ""
        return f"{what}, {self.examples:,} examples{copies}"

    def _seen_lines(self) -> list[str]:
        if not self.seen:
            return []
        shown = " and ".join(
            f"{count:,} in its {SPLIT_WORDS[split]} split" for split, count in self.seen.items()
        )
        return [f"the run had some of these examples: {shown}; the metrics are too good"]


def _metric_line(row: Row) -> str:
    known = row["low"] is not None
    interval = f"   95 % interval {row['low']:.4f} to {row['high']:.4f}" if known else ""
    return f"{row['metric']:<24}{row['value']:>9.4f}{interval}"


def _class_line(row: Row) -> str:
    cells = (f"{name} {text}" if name != "class" else text for name, text in _texts(row))
    return printable(f"  {', '.join(cells)}")


def _texts(row: Row) -> list[tuple[str, str]]:
    return [
        (k, f"{v:.3f}" if isinstance(v, float) else f"{v}") for k, v in row.items() if v is not None
    ]


def evaluate(trained: TrainedModel, examples: Examples, *, given: bool = False) -> Evaluation:
    """Returns the metrics of a trained network on the test split of some examples.

    Args:
      trained: The network, its classes and its temperature.
      examples: Labeled examples with splits; the validation split is used without a test split.
      given: Whether these are data other than those of the run.
    """
    inputs = InputPipeline(examples, trained.network.backbone.preprocessor, keep=False)
    result = evaluate_logits(
        lambda indices: predict_outputs(trained.network, inputs, indices),
        examples,
        temperature=trained.temperature,
        seed=trained.folder.experiment.seed,
    )
    if given:
        result |= {"split": GIVEN, "seen": _seen(trained, examples)}
    return _from_result(result, trained)


def _seen(trained: TrainedModel, examples: Examples) -> dict[str, int]:
    """Returns how many contents were in the training and validation split of the run, if any."""
    split = trained.folder.split
    column = {name: number for number, name in enumerate(split["columns"])}
    where = {row[column["sha256"]]: row[column["split"]] for row in split["examples"]}
    counts = Counter(where.get(sha, "") for sha in set(examples.sha256))
    return {name: counts[name] for name in ("train", "val") if counts[name]}


def _from_result(result: Mapping[str, Any], trained: TrainedModel) -> Evaluation:
    tasks = {
        name: Evaluation(
            split=result["split"],
            examples=task["examples"],
            confusion_matrix=np.array(task["confusion_matrix"], np.int64),
            temperature=trained.temperature,
            classes=_classes_of_task(trained, name),
            **_metrics(task["test"]),
        )
        for name, task in result.get("tasks", {}).items()
    }
    confusion = result.get("confusion_matrix")
    return Evaluation(
        split=result["split"],
        examples=result["examples"],
        per_class=result["per_class"],
        confusion_matrix=None if confusion is None else np.array(confusion, np.int64),
        tasks=tasks,
        copies=result.get("copies", 0),
        seen=result.get("seen", {}),
        predictions=result["predictions"],
        classes=trained.classes,
        temperature=trained.temperature,
        **_metrics(result["test"]),
    )


def _metrics(values: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {name: value for name, value in values.items() if name != "intervals"}
    return {"metrics": metrics, "intervals": values.get("intervals", {})}


def _classes_of_task(trained: TrainedModel, name: str) -> tuple[str, ...]:
    task = next(each for each in trained.tasks if each.name == name)
    return tuple(each.partition("=")[2] for each in trained.classes[task.columns])
