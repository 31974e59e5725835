"""How a method changes a recipe: losses, heads and rates where its stages learn from labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tftransfer.core.recipe import Head, Loss, Phase, Recipe
from tftransfer.utils.errors import UserError


def trains_stages(phase: Phase) -> bool:
    """Whether more than heads trains, by steps."""
    return bool(phase.losses) and any(
        block.startswith("stage") and rate > 0 for block, rate in phase.train.items()
    )


def stages_reset(phase: Phase) -> tuple[str, ...]:
    """Of what a phase begins anew, the stages."""
    return tuple(each for each in phase.reset if each.startswith("stage"))


def heads_reset(phase: Phase) -> tuple[str, ...]:
    """Of what a phase begins anew, the others."""
    return tuple(each for each in phase.reset if not each.startswith("stage"))


def with_heads(recipe: Recipe, *heads: Head) -> Recipe:
    """The recipe with heads that it does not have yet.

    Raises:
      UserError: it has another of the same name.
    """
    there = {head.name: head for head in recipe.heads}
    for head in heads:
        if there.get(head.name, head) != head:
            raise UserError(
                f"Two methods of the recipe {recipe.name} each want a head {head.name!r} of "
                "their own.",
                "Take one of them.",
            )
    return replace(recipe, heads=(*recipe.heads, *(h for h in heads if h.name not in there)))


def where_stages_train(recipe: Recipe, change: Callable[[Phase], Phase]) -> Recipe:
    """The recipe with the phases changed whose stages train on labels; if none, where heads do.

    Raises:
      UserError: no phase trains on labels by steps.
    """
    chosen = [phase for phase in recipe.phases if phase.is_supervised]
    if not chosen:
        raise UserError(
            f"The recipe {recipe.name} has no phase that trains on labels by steps, to which more "
            "could be added.",
            "Begin with another, such as fine_tune or feature_extraction.",
        )
    chosen = list(filter(trains_stages, chosen)) or chosen
    phases = [change(phase) if phase in chosen else phase for phase in recipe.phases]
    return replace(recipe, phases=tuple(phases))


def with_losses(recipe: Recipe, *losses: Loss, train: Mapping[str, float] | None = None) -> Recipe:
    """The recipe with losses, and blocks that train, added where its stages train."""
    return where_stages_train(
        recipe,
        lambda phase: replace(
            phase, losses=(*phase.losses, *losses), train={**phase.train, **(train or {})}
        ),
    )
