"""Recipes without steps: the head is solved on the frozen features of few examples."""

from __future__ import annotations

from tftransfer.building.recipes.registry import register_recipe
from tftransfer.ground.recipe import Head, Phase, Recipe


@register_recipe
def few_shot(*, solve: str = "ridge") -> Recipe:
    """The head as the solution of a problem on frozen features, for few labels a class.

    Args:
      solve: `prototypes`, the nearest mean of a class by distance (Snell et al., 2017); `cosine`,
        by angle (Wang et al., 2019); `ridge`, regression in closed form (Bertinetto et al.,
        2019); or `logistic`, its penalty by cross-validation (Tian et al., 2020).
    """
    phase = Phase(name=solve, train={"head": 1.0}, losses=(), epochs=1, solve=solve, augment="none")
    head = Head(normalise=solve == "cosine")
    return Recipe(name="few_shot", heads=(head,), phases=(phase,))
