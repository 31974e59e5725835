"""Methods that learn from a teacher: a run, or a backbone."""

from __future__ import annotations

from dataclasses import replace

from tftransfer.core.recipe import Head, Loss, Phase, Recipe
from tftransfer.losses import Distill, Hint
from tftransfer.recipes.composition import where_stages_train, with_heads
from tftransfer.recipes.registry import register_method


@register_method
def distill(
    recipe: Recipe,
    *,
    teacher: str = "",
    temperature: float = 4.0,
    share: float = 0.9,
    unlabelled: int = 0,
) -> Recipe:
    """The student learns the teacher's softened scores (Hinton et al., 2015).

    Args:
      recipe: that it is added to; `scratch` for a student that begins anew.
      teacher: a run that knows the student's classes, by their names; several are parted by `|`.
        One of the student's own network makes born-again networks (Furlanello et al., 2018).
      temperature: by which the scores are softened.
      share: of the teacher; the losses of labels have the rest, all others stay as they are.
      unlabelled: 1 to learn from the pictures of `--unlabelled_data` too.
    """
    losses: list[Loss] = [Distill(temperature=temperature, weight=share)]
    if unlabelled:
        path = "unlabelled.logits", "unlabelled.teacher.logits"
        losses.append(
            Distill(logits=path[0], teacher=path[1], temperature=temperature, weight=share)
        )

    def change(phase: Phase) -> Phase:
        rest = 1 - share
        own = [
            replace(loss, weight=loss.weight * rest) if loss in phase.supervised_losses else loss
            for loss in phase.losses
        ]
        return replace(phase, losses=(*own, *losses))

    return _taught(where_stages_train(recipe, change), teacher)


@register_method
def distill_features(recipe: Recipe, *, teacher: str = "", strength: float = 1.0) -> Recipe:
    """The student's features learn to tell the teacher's (after FitNets, Romero et al., 2015).

    A linear head of the student's pooled features is to have the direction of the teacher's
    (cosine; FitNets compares a layer in the middle by its squared distance). The teacher needs no
    classes in common with the student; any backbone serves.
    """
    recipe = with_heads(recipe, Head(name="hint", output="hint", like="teacher.features"))

    def change(phase: Phase) -> Phase:
        losses = (*phase.losses, Hint(weight=strength))
        return replace(phase, losses=losses, train={**phase.train, "hint": 1.0})

    return _taught(where_stages_train(recipe, change), teacher)


def _taught(recipe: Recipe, names: str) -> Recipe:
    """With these teachers beside those it has, each once."""
    teachers = dict.fromkeys((*recipe.teachers, *filter(None, names.split("|"))))
    return replace(recipe, teachers=tuple(teachers))
