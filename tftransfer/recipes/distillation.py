"""Methods that learn from a teacher: a run, or a backbone."""

from __future__ import annotations

import os
from dataclasses import replace

from tftransfer.core.loss import Loss
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.core.typing import PathLike
from tftransfer.losses import Distill, Hint
from tftransfer.recipes.composition import where_stages_train, with_heads
from tftransfer.recipes.registry import register_method


@register_method
def distill(
    recipe: Recipe,
    *,
    teacher: PathLike = "",
    temperature: float = 4.0,
    share: float = 0.9,
    unlabelled: bool = False,
) -> Recipe:
    """Trains on the softened scores of a teacher too (Hinton et al., 2015).

    Args:
      recipe: Recipe to change; `scratch` for a student with random weights.
      teacher: Folder of a run whose classes include the student's; separate several by `|`. A
        teacher with the student's own architecture makes born-again networks (Furlanello et al.,
        2018).
      temperature: Divisor of the scores before the softmax.
      share: Weight of the teacher's loss, 0 to 1; the losses of labels are multiplied by the rest.
      unlabelled: Whether to learn from the examples of `--unlabelled_data` too.
    """
    losses: list[Loss] = [Distill(temperature=temperature, weight=share)]
    if unlabelled:
        path = "unlabelled.logits", "unlabelled.teacher.logits"
        losses.append(
            Distill(logits=path[0], teacher=path[1], temperature=temperature, weight=share)
        )

    def change(phase: Phase) -> Phase:
        rest = 1 - share
        weighted = [
            replace(loss, weight=loss.weight * rest) if loss in phase.supervised_losses else loss
            for loss in phase.losses
        ]
        return replace(phase, losses=(*weighted, *losses))

    return _with_teachers(where_stages_train(recipe, change), teacher)


@register_method
def distill_features(recipe: Recipe, *, teacher: PathLike = "", strength: float = 1.0) -> Recipe:
    """Trains the features to predict those of a teacher (after FitNets, Romero et al., 2015).

    The loss is the cosine distance between a linear head of the student's pooled features and the
    teacher's pooled features; FitNets compares a middle layer by squared distance. The teacher
    needs no classes in common with the student.

    Args:
      recipe: Recipe to change.
      teacher: Folder of a run, or name of a backbone; separate several by `|`.
      strength: Weight of the loss.
    """
    recipe = with_heads(recipe, Head(name="hint", output="hint", like="teacher.features"))

    def change(phase: Phase) -> Phase:
        losses = (*phase.losses, Hint(weight=strength))
        return replace(phase, losses=losses, train={**phase.train, "hint": 1.0})

    return _with_teachers(where_stages_train(recipe, change), teacher)


def _with_teachers(recipe: Recipe, names: PathLike) -> Recipe:
    """Returns the recipe with further teachers, each once."""
    teachers = dict.fromkeys((*recipe.teachers, *filter(None, os.fspath(names).split("|"))))
    return replace(recipe, teachers=tuple(teachers))
