"""A recipe for given data and a given backbone: all its open values are filled in here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tftransfer.backbones.backbone import Backbone
from tftransfer.core.augmentation import CustomAugmentation
from tftransfer.core.loss import Loss
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.data.examples import Examples
from tftransfer.losses import MultiTask
from tftransfer.models.network import FEATURES
from tftransfer.planning.teachers import Teacher, load_teachers
from tftransfer.preprocessing import Modality, get_modality
from tftransfer.recipes import RecipeSpec
from tftransfer.utils.errors import UserError, unknown_name


@dataclass(frozen=True, kw_only=True)
class ResolvedRecipe:
    """A recipe without open values.

    Attributes:
      recipe: The recipe.
      teachers: Its teachers, loaded.
    """

    recipe: Recipe
    teachers: tuple[Teacher, ...] = ()


def resolve_recipe(
    spec: RecipeSpec,
    examples: Examples,
    *,
    backbone: Backbone | None = None,
    epochs: int = 0,
    trust_code: bool = False,
) -> ResolvedRecipe:
    """Builds a recipe and fills in what depends on data and backbone.

    Problem type, number of stages, epochs, tasks, augmentation, teachers and the widths of heads,
    in this order. Without a backbone, the recipe has five stages and no teachers.

    Args:
      spec: The recipe as parsed.
      examples: The examples, with problem type, modality and tasks.
      backbone: The backbone; None before it is loaded.
      epochs: Number of epochs of all phases together; 0 keeps the recipe's.
      trust_code: Whether teachers may be TF-Hub modules, which are code.

    Raises:
      UserError: The recipe does not suit the examples, or has no suitable teacher.
    """
    stages = {"stages": len(backbone.stages)} if backbone else {}
    recipe = spec.build(problem_type=examples.problem_type, **stages)
    recipe = with_epochs(recipe, epochs)
    recipe = with_tasks(recipe, [task.count for task in examples.tasks])
    recipe = with_augmentation(recipe, get_modality(examples.modality))
    if backbone is None:
        return ResolvedRecipe(recipe=recipe)
    teachers = load_teachers(recipe, examples.classes, trust_code=trust_code)
    return ResolvedRecipe(recipe=with_widths(recipe, backbone, teachers), teachers=teachers)


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """Returns the recipe with its phases scaled to a total number of epochs.

    Every phase keeps at least one epoch. Phases without optimizer steps do not count.

    Args:
      recipe: The recipe.
      epochs: Number of epochs of all phases together; 0 returns the recipe unchanged.
    """
    trained = [phase for phase in recipe.phases if phase.has_steps]
    if not epochs or not trained:
        return recipe
    total = sum(phase.epochs for phase in trained)
    bounds, done = [0], 0
    for number, phase in enumerate(trained, 1):
        done += phase.epochs
        share = min(round(epochs * done / total), epochs - (len(trained) - number))
        bounds.append(max(bounds[-1] + 1, share))
    lengths = iter([end - start for start, end in itertools.pairwise(bounds)])
    phases = [
        replace(phase, epochs=next(lengths)) if phase.has_steps else phase
        for phase in recipe.phases
    ]
    return replace(recipe, phases=tuple(phases))


def with_tasks(recipe: Recipe, sizes: Sequence[int]) -> Recipe:
    """Returns the recipe with the numbers of classes in the losses and heads of several tasks.

    Args:
      recipe: The recipe.
      sizes: Number of classes of each task.

    Raises:
      UserError: There are no tasks, or the losses have weights of another number of tasks.
    """

    def with_sizes(loss: Loss) -> Loss:
        if not isinstance(loss, MultiTask):
            return loss
        if not sizes or len(loss.weights) not in (0, len(sizes)):
            raise UserError(
                f"There are {len(sizes)} tasks, and weights of {len(loss.weights)}.",
                "Give one weight per task.",
            )
        return replace(loss, sizes=tuple(sizes))

    def with_units(head: Head) -> Head:
        return replace(head, units=len(sizes)) if head.kind == "balance" else head

    phases = [
        replace(phase, losses=tuple(map(with_sizes, phase.losses))) for phase in recipe.phases
    ]
    return replace(recipe, phases=tuple(phases), heads=tuple(map(with_units, recipe.heads)))


def with_augmentation(recipe: Recipe, modality: Modality) -> Recipe:
    """Returns the recipe with the modality's augmentation instead of `auto`.

    Raises:
      UserError: The modality has no such augmentation, or no mixup.
    """
    return replace(recipe, phases=tuple(_augmented(phase, modality) for phase in recipe.phases))


def _augmented(phase: Phase, modality: Modality) -> Phase:
    augment = modality.default_augmentation if phase.augment == "auto" else phase.augment
    if isinstance(augment, CustomAugmentation) and not modality.takes_layers:
        raise UserError(
            f"Phase {phase.name!r}: augment={augment}, but {modality.plural} take names only.",
            f"Give one of {', '.join(modality.augmentations)}.",
        )
    if isinstance(augment, str) and augment not in modality.augmentations:
        raise unknown_name(f"augment for {modality.plural}", augment, modality.augmentations)
    if phase.mixup and not modality.mixable:
        raise UserError(f"mixup cannot mix {modality.plural}.", "Remove the option mixup.")
    return replace(phase, augment=augment)


def with_widths(recipe: Recipe, backbone: Backbone, teachers: Sequence[Teacher]) -> Recipe:
    """Returns the recipe with the widths of heads that are like the source's or a teacher's.

    Args:
      recipe: The recipe.
      backbone: The backbone, whose own head gives the width of heads like `source`.
      teachers: The teachers, whose features give the width of heads like `teacher.features`.

    Raises:
      UserError: A head is like the source's, and the backbone has none.
    """

    def with_width(head: Head) -> Head:
        if head.like == "source":
            return replace(head, units=len(backbone.source_head()[1]))
        if head.like == "teacher.features":
            widths = [int(each.network.tensor(FEATURES).shape[-1]) for each in teachers]
            return replace(head, units=sum(widths))
        return head

    return replace(recipe, heads=tuple(map(with_width, recipe.heads)))
