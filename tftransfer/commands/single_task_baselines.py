"""What several tasks gain by their company: each beside a network for it alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.core.experiment import Experiment
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Recipe
from tftransfer.core.run_files import is_run
from tftransfer.data.examples import Examples
from tftransfer.metrics.intervals import mean_interval
from tftransfer.recipes import without_method
from tftransfer.runs.run import Run
from tftransfer.utils import signals

LOGGER = logging.getLogger(__name__)


def train_alone(
    train: Callable[..., Run],
    spec: Any,
    experiment: Experiment,
    folder: str,
    examples: Examples,
    *,
    resume: bool,
) -> dict[str, Run]:
    """Trains a network for each task, on the examples whose label of it is known.

    Args:
      train: as `tftransfer.train`, of what every run of a comparison has alike.
      spec: the recipe of all tasks; what weighs them is left out.
      experiment: all but the recipe.
      folder: of each run, without the number of its task.
      examples: split, of several tasks.
      resume: go on with runs that were begun.

    Returns:
      By the name of the task; without those that no test or validation example has a label of.
    """
    if isinstance(spec, Recipe):
        LOGGER.info(
            "\nno task is trained alone: the recipe is no text whose weighing could be left out"
        )
        return {}
    recipe, found = without_method(spec, "multi_task"), {}
    single = replace(experiment, recipe=recipe, problem_type=ProblemType.SINGLE_LABEL)
    for number, task in enumerate(examples.tasks):
        mine = of_task(examples, number)
        if not len(mine.where("test")) or not len(mine.where("val")):
            LOGGER.info(
                f"\n{task.name} is not trained alone: no label of it to test or to choose on"
            )
            continue
        LOGGER.info(f"\n== {task.name} alone")
        place = Path(f"{folder}-{number + 1}")
        found[task.name] = train(single, place, examples=mine, resume=resume and is_run(place))
        signals.raise_if_stop_requested()
    return found


def of_task(examples: Examples, number: int) -> Examples:
    """The examples whose label of one task is known, with that label alone."""
    task, labels = examples.tasks[number], examples.labels[:, number]
    classes = tuple(name.partition("=")[2] for name in examples.classes[task.columns])
    unlabelled = ~np.isin(examples.splits, ("train", "val", "test"))
    kept = examples.keep(np.flatnonzero((labels >= 0) | unlabelled))
    return replace(
        kept, labels=kept.labels[:, number], classes=classes, problem_type=ProblemType.SINGLE_LABEL
    )


def compared(company: Run, alone: Mapping[str, Run]) -> tuple[dict[str, Any], ...]:
    """Of each task: accuracy in `company` and `alone`, and what is `gained` with its interval."""
    header, *rows = company.prediction_rows()
    names = [row[0] for row in rows]
    found = []
    for task, run in alone.items():
        at = header.index(f"true {task}")
        right = {name: row[at] == row[at + 1] for name, row in zip(names, rows) if row[at]}
        own = {row[0]: row[1] == row[2] for row in run.prediction_rows()[1:]}
        both = np.array([(right[name], own[name]) for name in right], float)
        gain = both[:, 0] - both[:, 1]
        low, high = mean_interval(gain)
        found.append(
            {
                "task": task,
                "company": float(both[:, 0].mean()),
                "alone": float(both[:, 1].mean()),
                "gained": float(gain.mean()),
                "low": low,
                "high": high,
            }
        )
    return tuple(found)


def table(rows: Sequence[dict[str, Any]], winner: str) -> list[str]:
    """Lines of Markdown; none without rows."""
    if not rows:
        return []
    lines = [
        "",
        f"Each task in the network of all ({winner}), and in one of its own: the same recipe "
        "for as many epochs, of the examples that have a label of it.",
        "",
        "| task | with the others | alone | gained | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['task']} | {row['company']:.3f} | {row['alone']:.3f} | {row['gained']:+.3f} | "
        f"{row['low']:+.3f} to {row['high']:+.3f} |"
        for row in rows
    ]
