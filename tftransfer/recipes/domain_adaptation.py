"""Methods that adapt to another domain by its unlabelled pictures, `--target_data`."""

from __future__ import annotations

from dataclasses import replace

from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.losses import CORAL, MMD, Domain, Entropy
from tftransfer.recipes.composition import (
    trains_stages,
    where_stages_train,
    with_heads,
    with_losses,
)
from tftransfer.recipes.registry import register_method


@register_method
def dann(
    recipe: Recipe, *, strength: float = 1.0, reversal: float = 0.3, width: int = 128
) -> Recipe:
    """Features that a discriminator cannot tell apart by domain (Ganin & Lempitsky, 2015).

    Args:
      recipe: that it is added to.
      strength: weight of the discriminator's loss.
      reversal: factor of the gradient that is reversed, at the end of its ramp.
      width: of the discriminator's two hidden layers.
    """
    recipe = with_heads(recipe, _discriminator("features", width))
    return with_losses(recipe, Domain(weight=strength, reversal=reversal), train={"domain": 1.0})


@register_method
def cdan(
    recipe: Recipe,
    *,
    strength: float = 1.0,
    reversal: float = 0.3,
    width: int = 128,
    certainty: int = 1,
) -> Recipe:
    """DANN whose discriminator also sees the scores (CDAN+E, Long et al., 2018)."""
    recipe = with_heads(recipe, _discriminator("features*logits", width))
    loss = Domain(
        weight=strength,
        reversal=reversal,
        conditioned_on="logits",
        certainty_weighting=bool(certainty),
    )
    return with_losses(recipe, loss, train={"domain": 1.0})


@register_method
def mmd(recipe: Recipe, *, strength: float = 1.0, ramp: float = 10.0) -> Recipe:
    """Draws the features' distributions together, by Gaussian kernels (DAN, Long et al., 2015)."""
    return with_losses(recipe, MMD(weight=strength, ramp=ramp))


@register_method
def ddc(recipe: Recipe, *, strength: float = 0.1, ramp: float = 10.0) -> Recipe:
    """Draws the features' means together (DDC, Tzeng et al., 2014)."""
    return with_losses(recipe, MMD(weight=strength, ramp=ramp, kernel="linear"))


@register_method
def coral(recipe: Recipe, *, strength: float = 100.0, ramp: float = 10.0) -> Recipe:
    """Draws the features' covariances together (Deep CORAL, Sun & Saenko, 2016)."""
    return with_losses(recipe, CORAL(weight=strength, ramp=ramp))


@register_method
def entropy(recipe: Recipe, *, strength: float = 0.1, ramp: float = 10.0) -> Recipe:
    """Makes scores of target pictures decided (Grandvalet & Bengio, 2005)."""
    return with_losses(recipe, Entropy(weight=strength, ramp=ramp))


@register_method
def adda(
    recipe: Recipe,
    *,
    epochs: int = 10,
    learning_rate: float = 3e-5,
    width: int = 128,
    strength: float = 1.0,
) -> Recipe:
    """Then a second network for the target alone misleads a discriminator (Tzeng et al., 2017).

    The source's features stay those of the network before this phase; the head stays too. The
    stages train that did before, if any did, BatchNorm included.

    Args:
      recipe: that comes before.
      epochs: of this phase.
      learning_rate: of the stages, the discriminator's is ten times as high; much above this the
        target's features fall together, as nothing ties them to the labels.
      width: of the discriminator's two hidden layers.
      strength: weight of the loss.
    """
    loss = Domain(
        source="train.reference.features",
        target="target.features",
        objective="inverted_labels",
        weight=strength,
    )
    last = next(filter(trains_stages, reversed(recipe.phases)), recipe.phases[-1])
    phase = Phase(
        name="adda",
        train={**_stage_rates(last), "domain": 10.0},
        losses=(loss,),
        epochs=epochs,
        learning_rate=learning_rate,
        schedule="constant",
        augment=last.augment,
        batch_norm="train" if last.batch_norm == "train" else "frozen",
        reference="phase",
    )
    recipe = with_heads(recipe, _discriminator("features", width))
    return replace(recipe, phases=(*recipe.phases, phase))


@register_method
def adabn(recipe: Recipe) -> Recipe:
    """Then BatchNorm's statistics are measured on the target (Li et al., 2017)."""
    phase = Phase(name="adabn", train={"stage*": 1.0}, losses=(), epochs=1, batch_norm="adapt")
    return replace(recipe, phases=(*recipe.phases, phase))


@register_method
def reweight(recipe: Recipe) -> Recipe:
    """Training pictures count as much as they are like the target's (Sugiyama et al., 2007).

    A discriminator on the source's features gives the ratio of densities.
    """
    return where_stages_train(recipe, lambda phase: replace(phase, reweight=True))


def _stage_rates(phase: Phase) -> dict[str, float]:
    """Multipliers of a phase's stages, the highest 1; of all stages where none trains."""
    rates = {block: rate for block, rate in phase.train.items() if block.startswith("stage")}
    highest = max(rates.values(), default=0.0)
    if not highest:
        return {"stage*": 1.0}
    return {block: rate / highest for block, rate in rates.items()}


def _discriminator(layer: str, width: int) -> Head:
    # Of unit length, so that no feature can grow to mislead it: without, training diverged.
    hidden = (width, width)
    return Head(name="domain", layer=layer, output="domain", units=1, hidden=hidden, normalize=True)
