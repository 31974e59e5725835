"""The `Comparison` of recipes: paired differences, a winner, a verdict, tables and files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.commands import single_task_baselines
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.serialization import write_json
from tftransfer.core.typing import FloatArray
from tftransfer.evaluation.adaptation_quality import best_run, final_metrics
from tftransfer.metrics.intervals import difference_interval, mean_interval
from tftransfer.metrics.probabilities import mean_over_tasks
from tftransfer.reports.plots import intervals
from tftransfer.runs.run import Run
from tftransfer.utils.markdown import escape
from tftransfer.utils.tabular import Row, Tabular

LOGGER = logging.getLogger(__name__)

# What is compared per example where the main metric has no value for a single one.
_PAIRED_BY = {
    "r2": ", by the mean absolute error of the first column",
    "macro_f1": ", by the share of examples with every label right",
}
_BY_VALIDATION_LOSS = "by its loss on the validation split"
_BY_TARGET_DOMAIN = (
    "by its predictions for the target domain, whose class frequencies are nearest to those of the "
    "labels among the recipes that are not worse on the validation split and in reverse validation"
)
# Columns for the target domain: key of the row, and title in the table.
_TARGET_COLUMNS = {
    "reverse_validation": "reverse validation",
    "class_frequency_distance": "class frequency distance",
}


@dataclass(frozen=True, kw_only=True)
class Comparison(Tabular):
    """Results of several recipes on one split; it prints as the table and the verdict.

    Attributes:
      runs: The run of each recipe, in the order given, by the recipe as it was given.
      rows: One row per recipe: `recipe`, `value` of the metric on the test split with its 95 %
        interval `low` and `high`, `validation_loss`, `behind` (how much more the winner has, per
        example) with its interval `behind_low` and `behind_high`, and `seconds`; with a target
        domain also `reverse_validation` and `class_frequency_distance`.
      metric: Name of the main metric, such as `accuracy`.
      winner: The recipe with the lowest calibrated loss on the validation split, or the best one
        for the target domain.
      verdict: Lines that name the winner, and which differences are larger than chance.
      tasks: One row per task, for several tasks: its accuracy in the winner's network, and in a
        network that is trained for this task only.

    Example:
      >>> import tftransfer
      >>> row = {"recipe": "scratch", "value": 0.9, "low": 0.8, "high": 1.0, "behind": 0.0,
      ...        "validation_loss": 0.3, "seconds": 2.0}
      >>> comparison = tftransfer.Comparison(
      ...     runs={}, rows=(row,), metric="accuracy", winner="scratch", verdict=()
      ... )
      >>> print(comparison.to_latex().splitlines()[0])
      \\begin{tabular}{lrrrrrr}
    """

    runs: Mapping[str, Run]
    rows: Sequence[Row]
    metric: str
    winner: str
    verdict: Sequence[str]
    tasks: Sequence[Row] = ()

    def __str__(self) -> str:
        lines = [*_table(self), *single_task_baselines.table(self.tasks, self.winner)]
        return "\n".join([*lines, "", *self.verdict])

    def _rows(self) -> Sequence[Row]:
        return self.rows

    def _caption(self) -> str:
        return f"{self.metric} of {len(self.rows)} recipes; winner: {self.winner}"


def compare_runs(runs: Mapping[str, Run], metric: str, validation_examples: int) -> Comparison:
    """Returns the comparison of finished runs on the same split.

    Args:
      runs: The runs by the name of their row.
      metric: Name of the main metric.
      validation_examples: Number of examples of the validation split.
    """
    results = {name: run.result for name, run in runs.items()}
    losses = {name: _validation_loss(result) for name, result in results.items()}
    target = {name: final_metrics(result["phases"]) for name, result in results.items()}
    winner, reason = min(losses, key=losses.__getitem__), _BY_VALIDATION_LOSS
    if all(target.values()):
        accuracy = {name: result["validation"]["accuracy"] for name, result in results.items()}
        winner = best_run(target, accuracy, validation_examples)
        reason = _BY_TARGET_DOMAIN
    best = values_per_example(runs[winner])
    rows = []
    for name, run in runs.items():
        difference = best - values_per_example(run)
        value = results[name]["test"][metric]
        low, high = results[name]["test"]["intervals"].get(metric, (value, value))
        behind_low, behind_high = _interval_of_difference(difference, metric)
        rows.append(
            {
                "recipe": name,
                "value": value,
                "low": low,
                "high": high,
                "validation_loss": losses[name],
                "behind": float(difference.mean()),
                "behind_low": behind_low,
                "behind_high": behind_high,
                "seconds": results[name]["seconds"]["total"],
                **{key: value for key, value in target[name].items() if key in _TARGET_COLUMNS},
            }
        )
    measured = (
        f"The differences are measured on {len(best):,} test examples that nothing was selected on"
        f"{_PAIRED_BY.get(metric, '')}."
    )
    verdict = [f"Winner: {winner}, {reason}. {measured}", *_verdict(rows, winner)]
    return Comparison(runs=runs, rows=tuple(rows), metric=metric, winner=winner, verdict=verdict)


def _interval_of_difference(difference: FloatArray, metric: str) -> tuple[float, float]:
    """Returns the 95 % interval of the mean, which has no width where two regressions agree."""
    return mean_interval(difference) if metric == "r2" else difference_interval(difference)


def _validation_loss(result: Mapping[str, Any]) -> float:
    """Returns the calibrated log loss on the validation split; of numbers, the error or 1 - r2."""
    values = result["validation"]
    if "r2" in values and len(result["classes"]) > 1:  # in units of each column's variance
        return 1 - float(values["r2"])
    return float(values["log_loss"] if "log_loss" in values else values["mean_absolute_error"])


def values_per_example(run: Run) -> FloatArray:
    """Returns 1 for each test example whose labels are all right, else 0; float [n].

    For a regression it is minus the absolute error of the first column; for several tasks it is
    shares whose mean is the mean of the accuracies of the tasks.
    """
    result = run.result
    rows = _without_copies(run.folder.prediction_rows()[1:], run.split)
    problem_type = ProblemType(result["problem_type"])
    if tasks := problem_type.tasks(result["classes"]):
        cells = np.array([row[1 : 1 + 2 * len(tasks)] for row in rows])
        true, predicted = cells[:, ::2], cells[:, 1::2]
        return mean_over_tasks((true == predicted).astype(float), true != "")
    if not problem_type.has_classes:
        return np.array([-abs(float(true) - float(value)) for _, true, value, *_ in rows])
    return np.array([float(true == predicted) for _, true, predicted, *_ in rows])


def _without_copies(rows: Sequence[list[str]], split: Mapping[str, Any]) -> list[list[str]]:
    """Returns the rows without later ones of the same content and label."""
    name, label, sha256 = (split["columns"].index(each) for each in ("name", "label", "sha256"))
    content = {row[name]: (row[sha256], str(row[label])) for row in split["examples"]}
    unique: dict[Any, list[str]] = {}
    for row in rows:
        unique.setdefault(content[row[0]], row)
    return list(unique.values())


def _verdict(rows: Sequence[Row], winner: str) -> list[str]:
    lines = []
    for row in rows:
        if row["recipe"] == winner:
            continue
        low, high = row["behind_low"], row["behind_high"]
        shown = (
            f"{abs(row['behind']):.3f} (95 % interval of the difference {low:.3f} to {high:.3f})"
        )
        if low > 0:
            lines.append(f"{winner} beats {row['recipe']} by {shown}.")
        elif high < 0:
            lines.append(
                f"{winner} is behind {row['recipe']} by {shown}: the validation split misled."
            )
        else:
            lines.append(
                f"The difference between {winner} and {row['recipe']} is within chance: {shown}."
            )
    return lines


def _table(comparison: Comparison) -> list[str]:
    """Returns the lines of a table in Markdown."""
    more = [_TARGET_COLUMNS[key] for key in _TARGET_COLUMNS if key in comparison.rows[0]]
    lines = [
        f"| recipe | {comparison.metric} | 95 % interval | behind the winner "
        f"| validation loss, calibrated | seconds |{''.join(f' {name} |' for name in more)}",
        f"|---|---|---|---|---|---|{'---|' * len(more)}",
    ]
    for row in comparison.rows:
        mark = " (winner)" if row["recipe"] == comparison.winner else ""
        name = escape(row["recipe"])
        lines.append(
            f"| {name}{mark} | {row['value']:.3f} | {row['low']:.3f} to "
            f"{row['high']:.3f} | {row['behind']:.3f} | {row['validation_loss']:.3f} "
            f"| {row['seconds']:.0f} |"
            + "".join(f" {row[key]:.3f} |" for key in _TARGET_COLUMNS if key in row)
        )
    return lines


def write_comparison(comparison: Comparison, epochs: int, folder: Path) -> None:
    """Writes `comparison.json`, `comparison.md` and `comparison.png`.

    Args:
      comparison: What to write.
      epochs: Epochs that each recipe was trained for.
      folder: The folder of the comparison.
    """
    write_json(
        folder / "comparison.json",
        {
            "epochs": epochs,
            "metric": comparison.metric,
            "winner": comparison.winner,
            "verdict": comparison.verdict,
            "folders": {name: run.workdir.name for name, run in comparison.runs.items()},
            "rows": comparison.rows,
            "tasks": comparison.tasks,
        },
    )
    lines = [
        "# Comparison",
        "",
        *_table(comparison),
        "",
        "![intervals](comparison.png)",
        *single_task_baselines.table(comparison.tasks, comparison.winner),
        "",
        *map(escape, comparison.verdict),
    ]
    (folder / "comparison.md").write_text("\n".join(lines) + "\n", "utf-8", "backslashreplace")
    try:
        intervals(comparison.rows, comparison.metric, folder / "comparison.png")
    except Exception as error:  # whatever it is, the results are written
        LOGGER.warning(f"comparison.png could not be drawn: {type(error).__name__}: {error}")
