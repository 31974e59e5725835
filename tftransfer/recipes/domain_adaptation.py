"""Methods that adapt to another domain by its unlabeled examples, `--target_data`."""

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

# The learning rate of ADDA's discriminator relative to that of the stages.
_ADDA_DISCRIMINATOR_RATE = 10.0


@register_method
def dann(
    recipe: Recipe, *, strength: float = 1.0, reversal: float = 0.3, width: int = 128
) -> Recipe:
    """Trains features whose domain a discriminator cannot predict (Ganin & Lempitsky, 2015).

    Args:
      recipe: Recipe to change.
      strength: Weight of the discriminator's loss.
      reversal: Factor of the reversed gradient, reached at the end of its ramp.
      width: Width of the discriminator's two hidden layers.
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
    certainty: bool = True,
) -> Recipe:
    """Adds a domain discriminator of features times scores (CDAN+E, Long et al., 2018).

    Args:
      recipe: Recipe to change.
      strength: Weight of the discriminator's loss.
      reversal: Factor of the reversed gradient, reached at the end of its ramp.
      width: Width of the discriminator's two hidden layers.
      certainty: Whether examples with certain scores have higher weights, by 1 + exp(-entropy).
    """
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
    """Adds the MMD of the domains' features, by Gaussian kernels (DAN, Long et al., 2015).

    Args:
      recipe: Recipe to change.
      strength: Weight of the loss.
      ramp: Steepness of the rise of the weight from 0, as `Loss.ramp`; 0 for none.
    """
    return with_losses(recipe, MMD(weight=strength, ramp=ramp))


@register_method
def ddc(recipe: Recipe, *, strength: float = 0.1, ramp: float = 10.0) -> Recipe:
    """Adds the distance of the means of the domains' features (DDC, Tzeng et al., 2014).

    Args:
      recipe: Recipe to change.
      strength: Weight of the loss.
      ramp: Steepness of the rise of the weight from 0, as `Loss.ramp`; 0 for none.
    """
    return with_losses(recipe, MMD(weight=strength, ramp=ramp, kernel="linear"))


@register_method
def coral(recipe: Recipe, *, strength: float = 100.0, ramp: float = 10.0) -> Recipe:
    """Adds the distance of the domains' feature covariances (Deep CORAL, Sun & Saenko, 2016).

    Args:
      recipe: Recipe to change.
      strength: Weight of the loss.
      ramp: Steepness of the rise of the weight from 0, as `Loss.ramp`; 0 for none.
    """
    return with_losses(recipe, CORAL(weight=strength, ramp=ramp))


@register_method
def entropy(recipe: Recipe, *, strength: float = 0.1, ramp: float = 10.0) -> Recipe:
    """Adds the entropy of the scores of target examples (Grandvalet & Bengio, 2005).

    Args:
      recipe: Recipe to change.
      strength: Weight of the loss.
      ramp: Steepness of the rise of the weight from 0, as `Loss.ramp`; 0 for none.
    """
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
    """Adds a phase that trains an encoder of the target adversarially (Tzeng et al., 2017).

    The source's features stay those of the network before this phase, and so does the head. The
    stages train that trained before, if any did, with their BatchNorm.

    Args:
      recipe: Recipe that comes before the phase.
      epochs: Number of epochs of the phase.
      learning_rate: Learning rate of the stages; the discriminator's is ten times as high. Much
        above the default, the target's features collapse, since no label constrains them.
      width: Width of the discriminator's two hidden layers.
      strength: Weight of the loss.
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
        train={**_stage_rates(last), "domain": _ADDA_DISCRIMINATOR_RATE},
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
    """Adds a phase that measures BatchNorm's statistics on the target (Li et al., 2017)."""
    phase = Phase(name="adabn", train={"stage*": 1.0}, losses=(), epochs=1, batch_norm="adapt")
    return replace(recipe, phases=(*recipe.phases, phase))


@register_method
def reweight(recipe: Recipe) -> Recipe:
    """Weights training examples by their density ratio to the target (Sugiyama et al., 2007).

    A discriminator on the source's features estimates the ratio.
    """
    return where_stages_train(recipe, lambda phase: replace(phase, reweight=True))


def _stage_rates(phase: Phase) -> dict[str, float]:
    """Returns a phase's multipliers of stages, the highest 1; of all stages if none trains."""
    rates = {block: rate for block, rate in phase.train.items() if block.startswith("stage")}
    highest = max(rates.values(), default=0.0)
    if not highest:
        return {"stage*": 1.0}
    return {block: rate / highest for block, rate in rates.items()}


def _discriminator(layer: str, width: int) -> Head:
    # Without normalization, features grew to mislead the discriminator, and training diverged.
    hidden = (width, width)
    return Head(name="domain", layer=layer, output="domain", units=1, hidden=hidden, normalize=True)
