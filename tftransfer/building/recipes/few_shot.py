"""Recipes without steps: the head is solved on the frozen features of few examples."""

from __future__ import annotations

from tftransfer.building.recipes.registry import register_recipe
from tftransfer.ground.recipe import Head, Phase, Recipe


@register_recipe
def prototypes() -> Recipe:
    """The nearest mean of a class, by distance (Snell et al., 2017)."""
    return _solved("prototypes")


@register_recipe
def cosine() -> Recipe:
    """The nearest mean of a class, by angle (Wang et al., 2019)."""
    return _solved("cosine", normalise=True)


@register_recipe
def ridge() -> Recipe:
    """Ridge regression to the labels, in closed form (Bertinetto et al., 2019)."""
    return _solved("ridge")


@register_recipe
def logistic() -> Recipe:
    """Logistic regression by L-BFGS; its penalty by cross-validation (Tian et al., 2020)."""
    return _solved("logistic")


def _solved(name: str, *, normalise: bool = False) -> Recipe:
    phase = Phase(name=name, train={"head": 1.0}, losses=(), epochs=1, solve=name, augment="none")
    return Recipe(name=name, heads=(Head(normalise=normalise),), phases=(phase,))
