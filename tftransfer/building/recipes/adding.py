"""How a method changes a recipe: losses, heads and rates where its stages train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tftransfer.ground.recipe import Head, Loss, Phase, Recipe


def trains_stages(phase: Phase) -> bool:
    """Whether more than heads trains, by steps."""
    return bool(phase.losses) and any(
        block.startswith("stage") and rate > 0 for block, rate in phase.train.items()
    )


def with_heads(recipe: Recipe, *heads: Head) -> Recipe:
    """The recipe with heads that it does not have yet."""
    there = {head.name for head in recipe.heads}
    return replace(recipe, heads=(*recipe.heads, *(h for h in heads if h.name not in there)))


def where_stages_train(recipe: Recipe, change: Callable[[Phase], Phase]) -> Recipe:
    """The recipe with those phases changed; all phases, where no stage trains in any."""
    some = any(map(trains_stages, recipe.phases))
    phases = [
        change(phase) if trains_stages(phase) or not some else phase for phase in recipe.phases
    ]
    return replace(recipe, phases=tuple(phases))


def with_losses(recipe: Recipe, *losses: Loss, train: Mapping[str, float] | None = None) -> Recipe:
    """The recipe with losses, and blocks that train, added where its stages train."""
    return where_stages_train(
        recipe,
        lambda phase: replace(
            phase, losses=(*phase.losses, *losses), train={**phase.train, **(train or {})}
        ),
    )
