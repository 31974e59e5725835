"""From an experiment to a `Plan`: data read, backbone loaded, settings chosen and checked."""

from __future__ import annotations

import functools
from dataclasses import replace

import keras

from tftransfer.backbones.backbone import Backbone
from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Recipe
from tftransfer.data.examples import Examples
from tftransfer.features.disk_cache import DEFAULT_CACHE_BYTES, FeatureCache
from tftransfer.features.shared_cache import SharedCaches
from tftransfer.losses import check_losses
from tftransfer.models.inference import dtype_policy
from tftransfer.models.network import Network
from tftransfer.planning import checks
from tftransfer.planning.auto_settings import (
    choose_batch_size,
    choose_length,
    choose_precision,
    choose_weights,
    choose_xla,
)
from tftransfer.planning.phase_plan import plan_phase
from tftransfer.planning.plan import Plan
from tftransfer.planning.resolve import resolve_recipe
from tftransfer.preprocessing import Preprocessor
from tftransfer.readers.load import read_examples
from tftransfer.recipes import RecipeSpec, parse_recipe
from tftransfer.utils.devices import initialize_devices
from tftransfer.utils.timing import Clock


def make_plan(
    experiment: Experiment,
    *,
    examples: Examples | None = None,
    cache_dir: str = "",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    clock: Clock | None = None,
    shared: SharedCaches | None = None,
) -> Plan:
    """Plans an experiment: reads its data, builds the network, chooses and checks all settings.

    Args:
      experiment: The experiment.
      examples: Examples of the experiment, where they were already read and split.
      cache_dir: Folder where features, downloads and unpacked archives are kept for later runs;
        empty means `$TFTRANSFER_CACHE`, else the user's cache folder.
      cache_bytes: Limit of the folder's size in bytes; 0 keeps features in memory, for this run.
      clock: Clock that counts the seconds of the run; None starts one.
      shared: Caches that this run shares with other runs on the same examples.

    Returns:
      A plan; printing it shows what a training would do.

    Raises:
      UserError: Whatever would fail later and can be found now.

    Example:
      >>> import numpy as np
      >>> import tftransfer
      >>> images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
      >>> labels = np.array(["cat", "dog"] * 20)
      >>> experiment = tftransfer.Experiment(
      ...     data=(images, labels),
      ...     backbone="small_cnn:width=4",
      ...     weights="none",
      ...     image_size=16,
      ...     recipe="scratch:epochs=2",
      ... )
      >>> plan = tftransfer.plan(experiment, cache_bytes=0)
      >>> [phase.phase.name for phase in plan.phases], plan.batch_size
      (['scratch'], 32)
    """
    initialize_devices()
    clock, shared = clock or Clock(), shared or SharedCaches()
    cache = FeatureCache.open(cache_dir, cache_bytes)
    folder = cache.folder if cache else None
    spec = parse_recipe(experiment.recipe)
    precision, xla = choose_precision(experiment.precision), choose_xla(experiment.xla)
    with clock.measure("scan"):
        check = functools.partial(checks.check_names, spec, experiment.backbone)
        examples = examples or read_examples(
            experiment, folder, check, modality=checks.asked_modality(experiment)
        )
    weights = choose_weights(experiment.weights, _checked_draft(spec, examples))
    length = choose_length(experiment.length, experiment.backbone, examples)
    with dtype_policy(str(precision.value)):
        backbone = shared.backbones.load(
            experiment.backbone,
            weights=str(weights.value),
            image_size=experiment.image_size,
            seed=experiment.seed,
            trust_code=experiment.trust_code,
            cache=folder,
            modality=examples.modality,
            length=length.value,
        )
        epochs, trust_code = experiment.epochs, experiment.trust_code
        resolved = resolve_recipe(
            spec, examples, backbone=backbone, epochs=epochs, trust_code=trust_code
        )
        recipe = resolved.recipe
        network = _network(backbone, recipe, examples, experiment.seed)
    batch_size = choose_batch_size(experiment.batch_size, recipe, examples)
    settings = (precision, xla, weights, length, batch_size)
    plan_one = functools.partial(
        plan_phase, network=network, examples=examples, seed=experiment.seed, cache=cache
    )
    return Plan(
        experiment=_resolved(experiment, recipe, str(precision.value), backbone.preprocessor),
        recipe=recipe,
        given_recipe=str(spec),
        examples=examples,
        network=network,
        phases=tuple(plan_one(phase) for phase in recipe.phases),
        teachers=resolved.teachers,
        batch_size=int(batch_size.value),
        xla=xla.value == "on",
        auto_settings=tuple(setting for setting in settings if setting.reason),
        warnings=_warnings(experiment, recipe, examples, backbone),
        cache=cache,
        clock=clock,
        shared=shared,
    )


def _checked_draft(spec: RecipeSpec, examples: Examples) -> Recipe:
    """Returns the recipe as it is without a backbone, after all checks that need none."""
    recipe = resolve_recipe(spec, examples).recipe
    checks.check_splits(recipe, examples)
    check_losses(recipe)
    checks.check_softmax(recipe, examples.problem_type)
    return recipe


def _network(backbone: Backbone, recipe: Recipe, examples: Examples, seed: int) -> Network:
    keras.utils.set_random_seed(seed)
    network = Network(
        backbone, recipe.heads, units=len(examples.classes), problem_type=examples.problem_type
    )
    network.copy_source_head()
    network.set_label_scale(examples.targets()[examples.where("train")])
    return network


def _resolved(
    experiment: Experiment, recipe: Recipe, precision: str, preprocessor: Preprocessor
) -> Experiment:
    """Returns the experiment with the values that the plan chose, from which it can be repeated."""
    sizes = {
        name: getattr(preprocessor, name)
        for name in ("image_size", "length")
        if hasattr(preprocessor, name)
    }
    return replace(experiment, recipe=recipe, precision=precision, **sizes)


def _warnings(
    experiment: Experiment, recipe: Recipe, examples: Examples, backbone: Backbone
) -> tuple[str, ...]:
    return (
        *checks.precision_warnings(experiment.precision),
        *examples.warnings,
        *checks.quarantine_warnings(examples),
        *backbone.remarks,
        *checks.preprocessing_warnings(backbone.preprocessor, examples),
        *checks.augmentation_warnings(recipe, backbone.preprocessor),
        *checks.weights_warnings(recipe, pretrained=backbone.pretrained),
    )
