"""Checks of a plan before its first step: what is wrong, and what is worth a warning."""

from __future__ import annotations

import tensorflow as tf

from tftransfer.backbones.load import check_backbone
from tftransfer.backbones.names import modality_of_name
from tftransfer.core.experiment import Experiment
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Recipe
from tftransfer.core.typing import KerasModel, PathLike
from tftransfer.data.examples import Examples, read_item
from tftransfer.planning.auto_settings import starts_from_random_weights
from tftransfer.planning.resolve import resolve_recipe
from tftransfer.preprocessing import Preprocessor
from tftransfer.recipes import RecipeSpec
from tftransfer.utils.errors import UserError


def asked_modality(experiment: Experiment) -> str:
    """Returns the modality of the backbone that was asked for; "" for the default backbone."""
    if experiment.backbone == Experiment.backbone:
        return ""
    return modality_of_name(experiment.backbone_name)


def check_names(spec: RecipeSpec, backbone: PathLike | KerasModel, examples: Examples) -> None:
    """Checks the names and options of recipe and backbone, before any file is read.

    Args:
      spec: The recipe.
      backbone: The backbone, as `Experiment.backbone`.
      examples: The examples as listed, with their problem type and modality.

    Raises:
      UserError: There is no such recipe, method, backbone or option.
    """
    resolve_recipe(spec, examples)
    check_backbone(backbone, examples.modality)


def check_splits(recipe: Recipe, examples: Examples) -> None:
    """Checks that the splits and domains that the recipe reads have examples.

    Raises:
      UserError: A split or domain has none.
    """
    if any(phase.adapts for phase in recipe.phases) and not len(examples.where("target")):
        raise UserError(
            f"The recipe {recipe.name} reads examples of the target domain, and there are none.",
            "Give them, without labels, by --target_data=DIR.",
        )
    interpolates = any(phase.solve == "interpolate" for phase in recipe.phases)
    if interpolates and not len(examples.where("val")):
        raise UserError(
            f"The recipe {recipe.name} selects weights on the validation split, which is empty.",
            "Give --validation_fraction=0.1.",
        )


def check_softmax(recipe: Recipe, problem_type: ProblemType) -> None:
    """Checks that losses with a softmax have labels of one class per example.

    Raises:
      UserError: A loss has a softmax, and the problem type is not `single_label`.
    """
    losses = [loss for phase in recipe.phases for loss in phase.losses]
    for loss in losses if problem_type is not ProblemType.SINGLE_LABEL else []:
        if any(path.endswith(".logits") for path in loss.softmaxed()):
            raise UserError(
                f"{loss.class_name} of the recipe {recipe.name} needs one class per example, "
                f"and the problem type is {problem_type}.",
                "Remove the method that adds it.",
            )


def precision_warnings(precision: str) -> tuple[str, ...]:
    """Returns a warning where float16 has no GPU."""
    if precision != "mixed_float16" or tf.config.list_logical_devices("GPU"):
        return ()
    return ("mixed_float16 is slow and less exact without a GPU",)


def quarantine_warnings(examples: Examples) -> tuple[str, ...]:
    """Returns a warning with the number of quarantined files and the first one."""
    if not examples.quarantine:
        return ()
    first, count = examples.quarantine[0], len(examples.quarantine)
    return (
        f"{count} file{'s' * (count > 1)} quarantined, listed in quarantine.csv; the first is "
        f"{first.name}: {first.reason}",
    )


def preprocessing_warnings(preprocessor: Preprocessor, examples: Examples) -> tuple[str, ...]:
    """Returns what the preprocessor reports of the training examples; it may read them all."""
    if type(preprocessor).warnings is Preprocessor.warnings:
        return ()
    return preprocessor.warnings([read_item(examples.items[i]) for i in examples.where("train")])


def augmentation_warnings(recipe: Recipe, preprocessor: Preprocessor) -> tuple[str, ...]:
    """Returns warnings of the phases' augmentations, each applied to a small batch.

    Raises:
      UserError: An augmentation fails, or changes the shape of the batch.
    """
    augmentations = dict.fromkeys(phase.augment for phase in recipe.phases)
    return tuple(text for each in augmentations for text in preprocessor.check_augmentation(each))


def weights_warnings(recipe: Recipe, *, pretrained: bool) -> tuple[str, ...]:
    """Returns a warning where the backbone's weights are random and the recipe expects others."""
    if pretrained or starts_from_random_weights(recipe):
        return ()
    return ("the backbone has random weights, so there is nothing to transfer; give --weights",)
