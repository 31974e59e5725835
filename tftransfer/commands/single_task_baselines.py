"""What each of several tasks gains from the others: its network alone is the baseline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tftransfer.core.experiment import Experiment
from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import Examples
from tftransfer.metrics.intervals import difference_interval
from tftransfer.recipes import RecipeSpec
from tftransfer.runs.run import Run
from tftransfer.utils import signals
from tftransfer.utils.markdown import escape
from tftransfer.utils.tabular import Row

LOGGER = logging.getLogger(__name__)


def train_alone(
    train: Callable[[Experiment, Path, Examples], Run],
    recipe: RecipeSpec,
    experiment: Experiment,
    folder: Path,
    examples: Examples,
) -> dict[str, Run]:
    """Trains a network for each task, on the examples whose label for it is known.

    Args:
      train: Trains an experiment into a folder on some examples.
      recipe: The recipe of all tasks; the method that weights the tasks is removed from it.
      experiment: Everything but the recipe.
      folder: The folder of each run, to which the number of the task is appended.
      examples: Examples of several tasks, with splits.

    Returns:
      The run of each task by name, without tasks that lack labels in the test or validation split.
    """
    if recipe.recipe:
        LOGGER.info(
            "\nno task is trained alone: from a Recipe object the weighting of the tasks cannot be "
            "removed; give the recipe as a string"
        )
        return {}
    single = replace(
        experiment,
        recipe=recipe.without("multi_task"),
        problem_type=ProblemType.SINGLE_LABEL,
    )
    runs = {}
    for number, task in enumerate(examples.tasks):
        own = examples_of_task(examples, number)
        if not len(own.where("test")) or not len(own.where("val")):
            LOGGER.info(
                f"\n{task.name} is not trained alone: its test or validation split has no labels"
            )
            continue
        LOGGER.info(f"\n== {task.name} alone")
        place = folder.with_name(f"{folder.name}-{number + 1}")
        runs[task.name] = train(single, place, own)
        signals.raise_if_stop_requested()
    return runs


def examples_of_task(examples: Examples, number: int) -> Examples:
    """Returns the examples whose label for a task is known, with that label only.

    Args:
      examples: Examples of several tasks.
      number: Index of the task, from 0.
    """
    task, labels = examples.tasks[number], examples.labels[:, number]
    classes = tuple(name.partition("=")[2] for name in examples.classes[task.columns])
    unlabelled = ~np.isin(examples.splits, ("train", "val", "test"))
    kept = examples.keep(np.flatnonzero((labels >= 0) | unlabelled))
    return replace(
        kept, labels=kept.labels[:, number], classes=classes, problem_type=ProblemType.SINGLE_LABEL
    )


def compare_tasks(together: Run, alone: Mapping[str, Run]) -> tuple[Row, ...]:
    """Returns a row per task: accuracy `together` and `alone`, and the `gain` with its interval.

    Args:
      together: The run of all tasks.
      alone: The run of each task by name.
    """
    header, *rows = together.folder.prediction_rows()
    names = [row[0] for row in rows]
    found = []
    for task, run in alone.items():
        column = header.index(f"true {task}")
        right = {
            name: row[column] == row[column + 1] for name, row in zip(names, rows) if row[column]
        }
        own = {row[0]: row[1] == row[2] for row in run.folder.prediction_rows()[1:]}
        both = np.array([(right[name], own[name]) for name in right], float)
        gain = both[:, 0] - both[:, 1]
        low, high = difference_interval(gain)
        found.append(
            {
                "task": task,
                "together": float(both[:, 0].mean()),
                "alone": float(both[:, 1].mean()),
                "gain": float(gain.mean()),
                "low": low,
                "high": high,
            }
        )
    return tuple(found)


def table(rows: Sequence[Row], winner: str) -> list[str]:
    """Returns the lines of a table in Markdown; none without rows.

    Args:
      rows: As `compare_tasks` returns them.
      winner: Name of the recipe that all tasks were trained with.
    """
    if not rows:
        return []
    lines = [
        "",
        f"Each task in one network for all tasks ({escape(winner)}), and in a separate network: "
        "the same recipe for as many epochs, on the examples that have a label for the task.",
        "",
        "| task | with the others | alone | gain | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {escape(row['task'])} | {row['together']:.3f} | {row['alone']:.3f} "
        f"| {row['gain']:+.3f} | {row['low']:+.3f} to {row['high']:+.3f} |"
        for row in rows
    ]
