"""`tftransfer.compare`: several recipes on one split, for the same number of epochs."""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tftransfer.commands import single_task_baselines
from tftransfer.commands.comparison import Comparison, compare_runs, write_comparison
from tftransfer.commands.train import train
from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Recipe
from tftransfer.core.run_files import is_run
from tftransfer.core.typing import PathLike
from tftransfer.data.examples import Examples
from tftransfer.features.disk_cache import DEFAULT_CACHE_BYTES, FeatureCache
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.planning.checks import asked_modality, check_names
from tftransfer.planning.resolve import resolve_recipe
from tftransfer.readers.load import read_examples
from tftransfer.recipes import RecipeLike, RecipeSpec, parse_recipe
from tftransfer.runs.run import Run
from tftransfer.utils import import_time, signals
from tftransfer.utils.errors import UserError
from tftransfer.workdir.overwrite import check_comparison_deletable, delete_comparison

LOGGER = logging.getLogger(__name__)

DEFAULT_RECIPES = ("scratch", "feature_extraction", "fine_tune", "l2_sp")
# What file systems do not allow in a name, or shells would have to quote.
_UNSAFE = re.compile(r"[^\w.+=,-]+")
_MAX_FOLDER_NAME = 100
_HASH_DIGITS = 8
# Of a class, so that the training, validation and test split can have one each.
_FOR_THREE_SPLITS = 3


@dataclass(frozen=True, kw_only=True)
class _CompareOptions:
    """What all runs of a comparison share."""

    resume: bool
    export: bool
    cache_dir: str
    cache_bytes: int


def compare(
    experiment: Experiment,
    workdir: PathLike,
    recipes: Sequence[RecipeLike] = DEFAULT_RECIPES,
    *,
    epochs: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    export: bool = False,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> Comparison:
    """Trains several recipes on the same split for the same number of epochs.

    The winner is selected on the validation split; the test split only measures. With a target
    domain it is selected by statistics that need no label of that domain. With several tasks, the
    winner's recipe is also trained for each task alone.

    Args:
      experiment: Everything but the recipe.
      workdir: A new or empty folder, or that of the same comparison, interrupted or finished; the
        run of each recipe is in a subfolder.
      recipes: The recipes to compare, each as in `Experiment.recipe`.
      epochs: Epochs of each recipe, all its phases together; 0 for those of the experiment, or
        else those of the longest recipe.
      resume: Whether runs that were started must be resumed.
      overwrite: Whether to delete the comparison in the folder first. Only files of comparisons and
        runs are deleted; a folder with other files is an error.
      export: Whether to export a SavedModel of every run.
      cache_dir: Folder where features, downloads and unpacked archives are kept for later runs;
        empty for `$TFTRANSFER_CACHE`, or else the cache folder of the user.
      cache_bytes: Size limit of the cache in bytes; 0 keeps features in memory, for each run.

    Raises:
      UserError: If a recipe cannot be run, or there is no test or validation split.

    Example:
      >>> import tempfile
      >>> from sklearn.datasets import load_digits
      >>> import tftransfer
      >>> digits = load_digits()
      >>> images, labels = digits.images / 16, digits.target
      >>> experiment = tftransfer.Experiment(
      ...     data=(images[:200], labels[:200]), backbone="small_cnn", weights="none"
      ... )
      >>> recipes = ["few_shot", "few_shot:solve=prototypes"]
      >>> comparison = tftransfer.compare(experiment, tempfile.mkdtemp(), recipes)
      >>> [row["recipe"] for row in comparison.rows]
      ['few_shot', 'few_shot:solve=prototypes']
    """
    folder = Path(workdir).expanduser()
    options = _CompareOptions(
        resume=resume, export=export, cache_dir=cache_dir, cache_bytes=cache_bytes
    )
    labels = _distinct([recipe_label(recipe) for recipe in recipes])
    specs = dict(zip(labels, map(parse_recipe, recipes)))
    with signals.handle_stop_signals():
        if overwrite:
            if resume:
                raise UserError(
                    "--resume and --overwrite exclude each other.", "Give one of them, or neither."
                )
            check_comparison_deletable(folder)
        examples = _read(experiment, list(specs.values()), options)
        if overwrite:
            delete_comparison(folder)
        return _compare(experiment, folder, specs, examples, epochs, options)


def _read(
    experiment: Experiment, specs: Sequence[RecipeSpec], options: _CompareOptions
) -> Examples:
    """Reads and splits the examples, after a check of all names."""
    cache = FeatureCache.open(options.cache_dir, options.cache_bytes)

    def check(examples: Examples) -> None:
        for spec in specs:
            check_names(spec, experiment.backbone, examples)

    examples = read_examples(
        experiment,
        cache.folder if cache else None,
        check,
        modality=asked_modality(experiment),
    )
    for split in ("test", "val"):
        if not len(examples.where(split)):
            raise UserError(
                f"There is no {split} split to compare on.", _remedy_without(examples, experiment)
            )
    return examples


def _remedy_without(examples: Examples, experiment: Experiment) -> str:
    """Returns what to do with examples that do not fill a test and a validation split."""
    if not (experiment.test_fraction and experiment.validation_fraction):
        return "Give --test_fraction and --validation_fraction above 0."
    more = "--validation_fraction=0.5 holds out one of the two left for training."
    exclusive = examples.problem_type.has_exclusive_classes
    if (examples.class_counts().max() if exclusive else len(examples)) >= _FOR_THREE_SPLITS:
        return f"Each split needs an example: {more}"
    return f"Each split needs an example: label three of each class or more; then {more}"


def _compare(
    experiment: Experiment,
    folder: Path,
    specs: Mapping[str, RecipeSpec],
    examples: Examples,
    epochs: int,
    options: _CompareOptions,
) -> Comparison:
    budget = epochs or experiment.epochs or _longest(list(specs.values()), examples)
    experiment = replace(experiment, epochs=budget)
    more = (
        f"; then the winner for each of {len(examples.tasks)} tasks alone" if examples.tasks else ""
    )
    LOGGER.info(f"comparing {', '.join(specs)}: {budget} epochs each, on one split{more}")
    import_time.pop_seconds()  # it belongs to no recipe in particular
    runs, shared = {}, SharedCaches()
    for name, subfolder in zip(specs, _folder_names(specs)):
        LOGGER.info(f"\n== {name}")
        recipe = replace(experiment, recipe=specs[name])
        runs[name] = _train(recipe, folder / subfolder, examples, options, shared)
        signals.raise_if_stop_requested()
    metric = examples.problem_type.main_metric
    comparison = compare_runs(runs, metric, len(examples.where("val")))
    write_comparison(comparison, budget, folder)
    if examples.tasks:
        comparison = _with_tasks(comparison, specs, experiment, folder, examples, options)
        write_comparison(comparison, budget, folder)
    return comparison


def _train(
    experiment: Experiment,
    folder: Path,
    examples: Examples,
    options: _CompareOptions,
    shared: SharedCaches | None = None,
) -> Run:
    return train(
        experiment,
        folder,
        examples=examples,
        resume=options.resume and is_run(folder),
        export=options.export,
        cache_dir=options.cache_dir,
        cache_bytes=options.cache_bytes,
        shared=shared,
    )


def _with_tasks(
    comparison: Comparison,
    specs: Mapping[str, RecipeSpec],
    experiment: Experiment,
    folder: Path,
    examples: Examples,
    options: _CompareOptions,
) -> Comparison:
    """Returns the comparison with the winner's recipe trained for each task alone."""
    winner = comparison.runs[comparison.winner]
    alone = single_task_baselines.train_alone(
        functools.partial(_train, options=replace(options, export=False)),
        specs[comparison.winner],
        experiment,
        folder / f"{winner.workdir.name}-alone",
        examples,
    )
    return replace(comparison, tasks=single_task_baselines.compare_tasks(winner, alone))


def recipe_label(spec: RecipeLike) -> str:
    """Returns the name of a recipe in a comparison: as it was typed, such as `fine_tune+mmd`."""
    if isinstance(spec, (Recipe, RecipeSpec)):
        return spec.name
    if isinstance(spec, str):
        return spec.strip()
    options = [
        f"{key}={value}" for key, value in spec.items() if key != "name" and value is not None
    ]
    return f"{spec['name']}{':' if options else ''}{','.join(options)}"


def _longest(specs: Sequence[RecipeSpec], examples: Examples) -> int:
    """Returns the epochs of the longest recipe, all its phases together."""
    made = [resolve_recipe(spec, examples).recipe for spec in specs]
    return max(sum(phase.epochs for phase in recipe.phases) for recipe in made)


def _distinct(names: Sequence[str]) -> list[str]:
    """Returns the names, with their number appended where several are the same."""
    return [
        f"{name}-{number}" if names.count(name) > 1 else name
        for number, name in enumerate(names, 1)
    ]


def _folder_names(names: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Returns names of folders that every file system allows and keeps apart."""
    safe = [_UNSAFE.sub("_", name).strip("._") for name in names]
    lower = [name.lower() for name in safe]
    return [
        short
        if short and len(short) <= _MAX_FOLDER_NAME and lower.count(short.lower()) == 1
        else f"{short[:_MAX_FOLDER_NAME]}-{_short_hash(name)}"
        for name, short in zip(names, safe)
    ]


def _short_hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]
