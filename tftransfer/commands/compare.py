"""Recipes beside each other: same split, same number of epochs, paired intervals, a verdict."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.commands import single_task_baselines
from tftransfer.commands.train import train
from tftransfer.core.experiment import Experiment
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.run_files import is_run
from tftransfer.core.serialization import write_json
from tftransfer.data.examples import Examples
from tftransfer.data.load import read_examples
from tftransfer.features.disk_cache import DEFAULT_BYTES, FeatureCache
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.metrics.intervals import mean_interval
from tftransfer.metrics.probabilities import mean_over_tasks
from tftransfer.planning.auto_settings import check_names
from tftransfer.recipes import make_recipe
from tftransfer.reports.plots import intervals
from tftransfer.runs.run import Run
from tftransfer.training import domain_adaptation
from tftransfer.utils import import_time, signals
from tftransfer.utils.errors import UserError

LOGGER = logging.getLogger(__name__)

# What is compared example by example where the main figure has no value of one example.
_PAIRED = {
    "r2": ", by the mean absolute error of the first column",
    "macro_f1": ", by the share of examples with every label right",
}
_BY_LOSS = "by its loss on the validation split"
_BY_TARGET = (
    "by its guesses for the target domain, whose class frequencies are the nearest to the labels' "
    "among the recipes that are not worse on the validation split and in reverse validation"
)
_OF_TARGET = {"reverse_validation": "reverse validation", "moved": "frequencies apart"}
DEFAULT_RECIPES = ("scratch", "feature_extraction", "fine_tune", "l2_sp")


@dataclass(frozen=True)
class Comparison:
    """What recipes reached on one split; printing it gives the table and the verdict.

    Attributes:
      runs: by recipe, in the order given.
      rows: per recipe: `recipe`, `figure`, `low`, `high`, `validation`, `seconds`, and
        `behind`, `behind_low`, `behind_high`: what the winner has more; with a target domain
        `reverse_validation` and `moved`, as of `domain_adaptation.judge`.
      figure: the name of the main figure.
      winner: the recipe with the best validation log loss, or the best for the target domain.
      verdict: in words.
      tasks: of several tasks, what each reaches in the winner's network and in one of its own.
    """

    runs: dict[str, Run]
    rows: tuple[dict[str, Any], ...]
    figure: str
    winner: str
    verdict: tuple[str, ...]
    tasks: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        lines = [*_table(self), *single_task_baselines.table(self.tasks, self.winner)]
        return "\n".join([*lines, "", *self.verdict])


def compare(
    experiment: Experiment,
    workdir: str | Path,
    recipes: Sequence[Any] = DEFAULT_RECIPES,
    *,
    epochs: int = 0,
    resume: bool = False,
    export: bool = False,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_BYTES,
) -> Comparison:
    """Trains each recipe on the same split for the same number of epochs.

    The winner is chosen on the validation split; the test split only tells. With a target domain it
    is chosen by `domain_adaptation.best_run`, which needs no label of it. With several tasks,
    the winner's recipe is trained once more for each task alone.

    Args:
      experiment: all but the recipe.
      workdir: a new folder; each recipe gets a run in a sub-folder.
      recipes: as `Experiment.recipe`.
      epochs: of each recipe, all its phases together; 0 takes the experiment's, else the
        longest recipe's.
      resume: go on where an interrupted comparison stopped.
      export: publish a SavedModel of every run.
      cache_dir: where features, downloads and unpacked archives are kept for later runs; empty
        means `$TFTRANSFER_CACHE`, else the user's cache folder.
      cache_bytes: that the cache may take; 0 keeps features in memory, for this run.
    """
    with signals.handle_stop_signals():
        return _compare(
            experiment,
            Path(workdir).expanduser(),
            recipes,
            epochs=epochs,
            resume=resume,
            export=export,
            cache_dir=cache_dir,
            cache_bytes=cache_bytes,
        )


def _compare(
    experiment: Experiment,
    folder: Path,
    recipes: Sequence[Any],
    *,
    epochs: int,
    resume: bool,
    export: bool,
    cache_dir: str,
    cache_bytes: int,
) -> Comparison:
    cache = FeatureCache.of_user(cache_dir, cache_bytes)

    def check(found: Examples) -> None:
        for spec in recipes:
            check_names(replace(experiment, recipe=spec), found)

    examples = read_examples(experiment, cache.folder if cache else None, check)
    made = [make_recipe(spec, problem_type=examples.problem_type) for spec in recipes]
    names = _distinct([recipe.name for recipe in made])
    for part in ("test", "val"):
        if not len(examples.where(part)):
            raise UserError(
                f"There is no {part} split to compare on.",
                "Give --test_fraction and --validation_fraction above 0.",
            )
    budget = (
        epochs
        or experiment.epochs
        or max(sum(phase.epochs for phase in recipe.phases) for recipe in made)
    )
    more = f"; then the best for each of {len(examples.tasks)} tasks alone" * bool(examples.tasks)
    LOGGER.info(f"comparing {', '.join(names)}: {budget} epochs each, on one split{more}")
    runs, shared = {}, SharedCaches()
    alike = functools.partial(train, cache_dir=cache_dir, cache_bytes=cache_bytes)
    experiment = replace(experiment, epochs=budget)
    import_time.pop_seconds()  # of no recipe in particular
    for name, spec in zip(names, recipes):
        LOGGER.info(f"\n== {name}")
        started = is_run(folder / name)
        runs[name] = alike(
            replace(experiment, recipe=spec),
            folder / name,
            examples=examples,
            resume=resume and started,
            export=export,
            shared=shared,
        )
        signals.raise_if_stop_requested()
    found = _compared(runs, examples.problem_type.main_metric, len(examples.where("val")))
    _write(found, budget, folder)
    if examples.tasks:
        alone = single_task_baselines.train_alone(
            functools.partial(alike, export=False),
            recipes[names.index(found.winner)],
            experiment,
            str(folder / f"{found.winner}-alone"),
            examples,
            resume=resume,
        )
        found = replace(found, tasks=single_task_baselines.compared(runs[found.winner], alone))
        _write(found, budget, folder)
    return found


def _write(found: Comparison, budget: int, folder: Path) -> None:
    """`comparison.json`, `.md` and `.png`."""
    write_json(
        folder / "comparison.json",
        {
            "epochs": budget,
            "figure": found.figure,
            "winner": found.winner,
            "verdict": found.verdict,
            "rows": found.rows,
            "tasks": found.tasks,
        },
    )
    intervals(found.rows, found.figure, folder / "comparison.png")
    lines = [
        "# Comparison",
        "",
        *_table(found),
        "",
        "![intervals](comparison.png)",
        *single_task_baselines.table(found.tasks, found.winner),
        "",
        *found.verdict,
    ]
    (folder / "comparison.md").write_text("\n".join(lines) + "\n")


def _distinct(names: list[str]) -> list[str]:
    twice = {name for name in names if names.count(name) > 1}
    return [f"{name}-{k}" if name in twice else name for k, name in enumerate(names, 1)]


def _compared(runs: dict[str, Run], figure: str, count: int) -> Comparison:
    results = {name: run.result for name, run in runs.items()}
    validation = {name: _validation(result) for name, result in results.items()}
    judged = {name: domain_adaptation.final(result["phases"]) for name, result in results.items()}
    winner, chosen_by = min(validation, key=lambda name: validation[name]), _BY_LOSS
    if all(judged.values()):
        accuracy = {name: result["validation"]["accuracy"] for name, result in results.items()}
        winner, chosen_by = domain_adaptation.best_run(judged, accuracy, count), _BY_TARGET
    best = per_example(runs[winner])
    rows = []
    for name, run in runs.items():
        gap = best - per_example(run)
        low, high = mean_interval(gap)
        interval = results[name]["test"]["intervals"][figure]
        rows.append(
            {
                "recipe": name,
                "figure": results[name]["test"][figure],
                "low": interval[0],
                "high": interval[1],
                "validation": validation[name],
                "behind": float(gap.mean()),
                "behind_low": low,
                "behind_high": high,
                "seconds": results[name]["seconds"]["total"],
                **{key: value for key, value in judged[name].items() if key in _OF_TARGET},
            }
        )
    measured = (
        f"What follows is measured on {len(best):,} test examples that no choice was made on"
        f"{_PAIRED.get(figure, '')}."
    )
    verdict = [f"Winner: {winner}, {chosen_by}. {measured}", *_verdict(rows, winner)]
    return Comparison(runs, tuple(rows), figure, winner, tuple(verdict))


def _validation(result: dict[str, Any]) -> float:
    """Log loss, its scores calibrated, or error, on the validation split."""
    figures = result["validation"]
    return float(figures["log_loss"] if "log_loss" in figures else figures["mean_absolute_error"])


def per_example(run: Run) -> np.ndarray:
    """Of each test example, 1 where all of it was right; float [n].

    In regression, minus the error of the first column. With several tasks, shares whose mean is
    the mean of the tasks' accuracies.
    """
    rows, result = run.prediction_rows()[1:], run.result
    problem_type = ProblemType(result["problem_type"])
    if tasks := problem_type.tasks(result["classes"]):
        said = np.array([row[1 : 1 + 2 * len(tasks)] for row in rows])
        true, predicted = said[:, ::2], said[:, 1::2]
        return mean_over_tasks((true == predicted).astype(float), true != "")
    if not problem_type.has_classes:
        return np.array([-abs(float(true) - float(said)) for _, true, said, *_ in rows])
    return np.array([float(true == said) for _, true, said, *_ in rows])


def _verdict(rows: list[dict[str, Any]], winner: str) -> list[str]:
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
            lines.append(f"{winner} is behind {row['recipe']} by {shown}: validation chose badly.")
        else:
            lines.append(f"{winner} and {row['recipe']} cannot be told apart: {shown}.")
    return lines


def _table(found: Comparison) -> list[str]:
    more = [_OF_TARGET[key] for key in _OF_TARGET if key in found.rows[0]]
    lines = [
        f"| recipe | {found.figure} | 95 % interval | behind the winner "
        f"| validation loss, calibrated | seconds |{''.join(f' {name} |' for name in more)}",
        f"|---|---|---|---|---|---|{'---|' * len(more)}",
    ]
    for row in found.rows:
        mark = " (winner)" if row["recipe"] == found.winner else ""
        lines.append(
            f"| {row['recipe']}{mark} | {row['figure']:.3f} | {row['low']:.3f} to "
            f"{row['high']:.3f} | {row['behind']:.3f} | {row['validation']:.3f} "
            f"| {row['seconds']:.0f} |"
            + "".join(f" {row[key]:.3f} |" for key in _OF_TARGET if key in row)
        )
    return lines
