"""Few labels per class: closed-form heads, and stages that learn from episodes or pairs."""

from __future__ import annotations

from dataclasses import replace

from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.losses import CosinePairs, Prototypical
from tftransfer.recipes.composition import heads_reset, stages_reset
from tftransfer.recipes.registry import register_method, register_recipe


@register_recipe
def few_shot(*, solve: str = "ridge") -> Recipe:
    """Solves for the head in closed form on frozen features, for few labels per class.

    Args:
      solve: Solver of the head: `prototypes`, the nearest class mean by distance (Snell et al.,
        2017); `cosine`, the nearest by angle (Wang et al., 2019); `ridge`, ridge regression
        (Bertinetto et al., 2019); or `logistic`, with a penalty by cross-validation (Tian et al.,
        2020).
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
    """First trains the stages by prototypical episodes, one per batch (Snell et al., 2017).

    Args:
      recipe: Recipe that comes after the phase.
      episodic_epochs: Number of epochs of the phase.
      episodic_rate: Peak learning rate of the phase.
      temperature: Divisor of the squared distances of unit vectors.
    """
    phase = Phase(
        name="episodic",
        train={"stage*": 1.0},
        losses=(Prototypical(temperature=temperature),),
        epochs=episodic_epochs,
        learning_rate=episodic_rate,
    )
    return _after(phase, recipe)


@register_method
def setfit(
    recipe: Recipe, *, pair_epochs: int = 40, pair_rate: float = 2e-5, unfreeze: int = 0
) -> Recipe:
    """First trains the stages on pairs of examples of one or two classes (Tunstall et al., 2022).

    Suits few labels, before a closed-form head: `few_shot:solve=logistic+setfit`. Such a head then
    reads vectors divided by their length, since the pairs are compared only by angle.

    Args:
      recipe: Recipe that comes after the phase.
      pair_epochs: Number of epochs of the phase; each batch has all pairs of its examples.
      pair_rate: Peak learning rate of the phase.
      unfreeze: Number of stages that train, counted from the top; 0 trains all.
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
    return _after(phase, replace(recipe, heads=tuple(heads)))


def _after(phase: Phase, recipe: Recipe) -> Recipe:
    """Returns the recipe after a phase that trains stages, which later phases do not reset."""
    later = [replace(each, reset=heads_reset(each)) for each in recipe.phases]
    return replace(recipe, phases=(replace(phase, reset=stages_reset(recipe.phases[0])), *later))
