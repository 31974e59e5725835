"""How a method changes a recipe: losses, heads and rates in the phases that learn labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tftransfer.core.loss import Loss
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.utils.errors import UserError


def trains_stages(phase: Phase) -> bool:
    """Returns whether the phase trains a stage by optimizer steps."""
    return bool(phase.losses) and any(
        block.startswith("stage") and rate > 0 for block, rate in phase.train.items()
    )


def stages_reset(phase: Phase) -> tuple[str, ...]:
    """Returns the stages that the phase starts from random weights."""
    return tuple(each for each in phase.reset if each.startswith("stage"))


def heads_reset(phase: Phase) -> tuple[str, ...]:
    """Returns the heads that the phase starts from random weights."""
    return tuple(each for each in phase.reset if not each.startswith("stage"))


def with_heads(recipe: Recipe, *heads: Head) -> Recipe:
    """Returns the recipe with further heads; a head that it already has is not added again.

    Raises:
      UserError: The recipe has another head of the same name.
    """
    present = {head.name: head for head in recipe.heads}
    for head in heads:
        if present.get(head.name, head) != head:
            raise UserError(
                f"Two methods of the recipe {recipe.name} each need a different head "
                f"{head.name!r}.",
                "Remove one of the two methods.",
            )
    return replace(recipe, heads=(*recipe.heads, *(h for h in heads if h.name not in present)))


def where_stages_train(recipe: Recipe, change: Callable[[Phase], Phase]) -> Recipe:
    """Returns the recipe with changed phases: those that train stages on labels, else heads.

    Args:
      recipe: Recipe to change.
      change: Function that returns the changed phase.

    Raises:
      UserError: No phase trains on labels by optimizer steps.
    """
    chosen = [phase for phase in recipe.phases if phase.is_supervised]
    if not chosen:
        raise UserError(
            f"The recipe {recipe.name} has no phase that trains on labels by optimizer steps, "
            "hence nothing can be added to it.",
            "Begin with another recipe, such as fine_tune or feature_extraction.",
        )
    chosen = list(filter(trains_stages, chosen)) or chosen
    phases = [change(phase) if phase in chosen else phase for phase in recipe.phases]
    return replace(recipe, phases=tuple(phases))


def with_losses(recipe: Recipe, *losses: Loss, train: Mapping[str, float] | None = None) -> Recipe:
    """Returns the recipe with further losses in the phases that train its stages.

    Args:
      recipe: Recipe to change.
      *losses: Losses to add.
      train: Blocks that train too in these phases, with their rate multipliers.
    """
    return where_stages_train(
        recipe,
        lambda phase: replace(
            phase, losses=(*phase.losses, *losses), train={**phase.train, **(train or {})}
        ),
    )
