"""What a plan chooses on its own, each with its reason; and what a recipe asks of the data."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import tensorflow as tf

from tftransfer.backbones.load import check_backbone, max_length
from tftransfer.core.experiment import Experiment
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Recipe
from tftransfer.core.typing import KerasModel, PathLike
from tftransfer.data.examples import Examples, read_item
from tftransfer.data.stream_specs import split_of_stream
from tftransfer.preprocessing import Modality, Preprocessor, get_modality
from tftransfer.recipes import make_recipe
from tftransfer.utils.errors import UserError, unknown_name

_EIGHT = 8


def choose_precision(experiment: Experiment, choices: list[str]) -> str:
    """The precision of the layers: float32 but on TPUs."""
    gpus = tf.config.list_logical_devices("GPU")
    tpus = tf.config.list_logical_devices("TPU")
    if experiment.precision != "auto":
        if experiment.precision == "mixed_float16" and not gpus:
            choices.append("mixed_float16 without a GPU is slow and loses digits; it was asked for")
        return experiment.precision
    chosen = "mixed_bfloat16" if tpus else "float32"
    where = "TPU" if tpus else "GPU" if gpus else "CPU"
    choices.append(f"precision {chosen}: the safe choice on {where}")
    return chosen


def choose_xla(experiment: Experiment, choices: list[str]) -> bool:
    """Whether steps are compiled by XLA: on accelerators."""
    if experiment.xla != "auto":
        return experiment.xla == "on"
    accelerated = bool(
        tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU")
    )
    choices.append(
        "XLA on: an accelerator is present"
        if accelerated
        else "XLA off: it was measured slower on CPUs"
    )
    return accelerated


def check_names(experiment: Experiment, found: Examples) -> None:
    """Raises what is wrong with the recipe's and the backbone's names, before files are read.

    Raises:
      UserError: no such recipe, method, backbone or option.
    """
    make_recipe(experiment.recipe, problem_type=found.problem_type)
    check_backbone(experiment.backbone, found.modality)


def needed_weights(experiment: Experiment, problem_type: ProblemType, choices: list[str]) -> str:
    """The weights to load; none where the recipe begins anew."""
    recipe = make_recipe(experiment.recipe, problem_type=problem_type)
    if experiment.weights != "none" and _starts_new(recipe):
        choices.append(f"weights none: {recipe.name} starts every stage from random weights")
        return "none"
    return experiment.weights


def _starts_new(recipe: Recipe) -> bool:
    return bool(recipe.phases) and "stage*" in recipe.phases[0].reset


def left_out(examples: Examples) -> str:
    """How many files are left out, and the first."""
    first, count = examples.quarantine[0], len(examples.quarantine)
    return (
        f"{count} file{'s' * (count > 1)} left out, listed in quarantine.csv; the first is "
        f"{first.name}: {first.reason}"
    )


def warn_of_random_weights(recipe: Recipe, pretrained: bool, choices: list[str]) -> None:
    """Says that there is nothing to transfer."""
    if not pretrained and not _starts_new(recipe):
        choices.append(
            "the backbone has random weights, so there is nothing to transfer; give --weights"
        )


def choose_batch_size(batch: int, recipe: Recipe, examples: Examples, choices: list[str]) -> int:
    """Places in a batch: no more than there are examples to fill them, but a multiple of eight.

    What is left over would be computed and count for nothing. Eights, as devices share them.
    """
    streams = {stream for phase in recipe.phases for stream in phase.streams or ("train",)}
    count = max(len(examples.where(split_of_stream(stream, examples))) for stream in streams)
    step = math.lcm(_EIGHT, tf.distribute.get_strategy().num_replicas_in_sync)
    needed, train = -(-count // step) * step, len(examples.where("train"))
    if batch > train:
        less = f"; batches have {needed} places" if needed < batch else ""
        choices.append(
            f"batch_size {batch} is more than the {train} training examples, so an epoch of these "
            f"is one step{less}"
        )
    return min(batch, needed)


def length_of(backbone: PathLike | KerasModel, examples: Examples, choices: list[str]) -> float:
    """How much of each example is read: what holds most of the training data; 0 for pictures."""
    modality = get_modality(examples.modality)
    if modality.auto_length is None:
        return 0.0
    measures = examples.measures[examples.where("train")]
    length, said = modality.auto_length(measures, max_length(backbone, modality.name))
    choices.append(said)
    return length


def preprocessor_remarks(preprocessor: Preprocessor, examples: Examples) -> tuple[str, ...]:
    """What is worth saying of the training examples in this form; of pictures nothing is."""
    if type(preprocessor).warnings is Preprocessor.warnings:
        return ()
    return preprocessor.warnings([read_item(examples.items[i]) for i in examples.where("train")])


def sizes_of(preprocessor: Preprocessor) -> dict[str, Any]:
    """The fields of an experiment that give the same form again."""
    return {
        name: getattr(preprocessor, name)
        for name in ("image_size", "length")
        if hasattr(preprocessor, name)
    }


def with_augment(recipe: Recipe, modality: Modality) -> Recipe:
    """The recipe with each `auto` resolved."""
    phases = []
    for phase in recipe.phases:
        augment = modality.default_augmentation if phase.augment == "auto" else phase.augment
        if augment not in modality.augmentations:
            raise unknown_name(f"augment for {modality.plural}", augment, modality.augmentations)
        if phase.mixup and not modality.mixable:
            raise UserError(f"mixup cannot mix {modality.plural}.", "Leave mixup out.")
        phases.append(replace(phase, augment=augment))
    return replace(recipe, phases=tuple(phases))


def check_streams(recipe: Recipe, examples: Examples) -> None:
    """The recipe reads only what there is.

    Raises:
      UserError: the recipe reads a part of the data that is not there.
    """
    if any(phase.adapts for phase in recipe.phases) and not len(examples.where("target")):
        raise UserError(
            f"The recipe {recipe.name} reads examples of the target domain, and there are none.",
            "Give them, without labels, by --target_data=DIR.",
        )
    mixes = any(phase.solve == "interpolate" for phase in recipe.phases)
    if mixes and not len(examples.where("val")):
        raise UserError(
            f"The recipe {recipe.name} chooses weights on the validation split, and there is none.",
            "Give --validation_fraction=0.1.",
        )


def check_scores(recipe: Recipe, problem_type: ProblemType) -> None:
    """The losses get the kind of classes that they need.

    Raises:
      UserError: a loss needs classes that exclude each other, and the target has none.
    """
    losses = [loss for phase in recipe.phases for loss in phase.losses]
    for loss in losses if problem_type is not ProblemType.SINGLE_LABEL else []:
        if any(path.endswith(".logits") for path in loss.softmaxed()):
            raise UserError(
                f"{loss.class_name} of the recipe {recipe.name} needs classes that exclude "
                f"each other, and the target is {problem_type}.",
                "Leave out the method that adds it.",
            )
