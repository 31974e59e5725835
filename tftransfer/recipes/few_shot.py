"""Few labels a class: heads solved on features, and stages that learn from episodes or pairs."""

from __future__ import annotations

from dataclasses import replace

from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.losses import CosinePairs, Prototypical
from tftransfer.recipes.composition import heads_reset, stages_reset
from tftransfer.recipes.registry import register_method, register_recipe


@register_recipe
def few_shot(*, solve: str = "ridge") -> Recipe:
    """The head as the solution of a problem on frozen features, for few labels a class.

    Args:
      solve: `prototypes`, the nearest mean of a class by distance (Snell et al., 2017); `cosine`,
        by angle (Wang et al., 2019); `ridge`, regression in closed form (Bertinetto et al.,
        2019); or `logistic`, its penalty by cross-validation (Tian et al., 2020).
    """
    phase = Phase(name=solve, train={"head": 1.0}, losses=(), epochs=1, solve=solve, augment="none")
    head = Head(normalize=solve == "cosine")
    return Recipe(name="few_shot", heads=(head,), phases=(phase,))


@register_method
def episodic(
    recipe: Recipe,
    *,
    episodic_epochs: int = 10,
    episodic_rate: float = 1e-4,
    temperature: float = 0.2,
) -> Recipe:
    """First, the stages learn from episodes: each batch is one (Snell et al., 2017).

    Args:
      recipe: that goes on from there.
      episodic_epochs: of that phase.
      episodic_rate: its peak learning rate.
      temperature: by which squared distances of unit vectors are divided.
    """
    phase = Phase(
        name="episodic",
        train={"stage*": 1.0},
        losses=(Prototypical(temperature=temperature),),
        epochs=episodic_epochs,
        learning_rate=episodic_rate,
    )
    return _first(recipe, phase)


@register_method
def setfit(
    recipe: Recipe, *, pair_epochs: int = 40, pair_rate: float = 2e-5, unfreeze: int = 0
) -> Recipe:
    """First, pairs of a class are drawn together, others apart (Tunstall et al., 2022).

    Made for few labels, before a head that is solved: `few_shot:solve=logistic+setfit`. Such a head
    then reads vectors divided by their length, as the pairs are compared by angle alone.

    Args:
      recipe: that goes on from there.
      pair_epochs: of that phase; each batch holds all pairs of its examples.
      pair_rate: its peak learning rate.
      unfreeze: stages that learn, from the top; 0 for all.
    """
    stages = [f"stage-{k}" for k in range(1, unfreeze + 1)] or ["stage*"]
    phase = Phase(
        name="setfit",
        train=dict.fromkeys(stages, 1.0),
        losses=(CosinePairs(),),
        epochs=pair_epochs,
        learning_rate=pair_rate,
        augment="none",
    )
    solved = any(each.solve for each in recipe.phases)
    heads = [replace(head, normalize=head.normalize or solved) for head in recipe.heads]
    return _first(replace(recipe, heads=tuple(heads)), phase)


def _first(recipe: Recipe, phase: Phase) -> Recipe:
    """The recipe after a phase of the stages; what these learnt is not thrown away again."""
    kept = [replace(each, reset=heads_reset(each)) for each in recipe.phases]
    return replace(recipe, phases=(replace(phase, reset=stages_reset(recipe.phases[0])), *kept))
