"""Methods that learn without labels, from `--unlabelled_data`, else from the training split."""

from __future__ import annotations

from dataclasses import replace

from tftransfer.core.augmentation import Augment
from tftransfer.core.loss import Loss
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.losses import Consistency, GaussianPrior, NTXent, Reconstruction, SimSiam
from tftransfer.recipes.composition import stages_reset, where_stages_train, with_heads
from tftransfer.recipes.registry import register_method


@register_method
def simclr(
    recipe: Recipe,
    *,
    pretrain_epochs: int = 50,
    pretrain_rate: float = 1e-3,
    temperature: float = 0.2,
    width: int = 128,
) -> Recipe:
    """First trains two views of an example to match each other (SimCLR, Chen et al., 2020).

    Args:
      recipe: Recipe that comes after the phase.
      pretrain_epochs: Number of epochs of the phase.
      pretrain_rate: Peak learning rate of the phase.
      temperature: Divisor of the cosine similarities.
      width: Width of the projection.
    """
    head = Head(name="projection", output="projection", units=width, hidden=(2 * width,))
    losses = (NTXent(temperature=temperature),)
    return _pretrained(recipe, "simclr", losses, (head,), pretrain_epochs, pretrain_rate)


@register_method
def simsiam(
    recipe: Recipe, *, pretrain_epochs: int = 50, pretrain_rate: float = 1e-3, width: int = 128
) -> Recipe:
    """First trains each view of an example to predict the other (SimSiam, Chen & He, 2021).

    Args:
      recipe: Recipe that comes after the phase.
      pretrain_epochs: Number of epochs of the phase.
      pretrain_rate: Peak learning rate of the phase.
      width: Width of the projection and of the prediction.
    """
    heads = (
        Head(name="projection", output="projection", units=width, hidden=(2 * width,)),
        Head(
            name="predictor",
            layer="projection",
            output="prediction",
            units=width,
            hidden=(width // 4,),
        ),
    )
    return _pretrained(recipe, "simsiam", (SimSiam(),), heads, pretrain_epochs, pretrain_rate)


@register_method
def autoencoder(
    recipe: Recipe, *, pretrain_epochs: int = 50, pretrain_rate: float = 1e-3, noise: bool = False
) -> Recipe:
    """First trains the stages to encode an image that a decoder reconstructs.

    Args:
      recipe: Recipe that comes after the phase.
      pretrain_epochs: Number of epochs of the phase.
      pretrain_rate: Peak learning rate of the phase.
      noise: Whether the pixels have noise that the decoder must remove (denoising, Vincent et al.,
        2008).
    """
    heads = (Head(name="decoder", output="decoded", kind="decoder"),)
    losses = (Reconstruction(),)
    augment = "noise" if noise else "none"
    return _pretrained(
        recipe, "autoencoder", losses, heads, pretrain_epochs, pretrain_rate, augment=augment
    )


@register_method
def vae(
    recipe: Recipe,
    *,
    pretrain_epochs: int = 50,
    pretrain_rate: float = 1e-3,
    width: int = 64,
    strength: float = 0.0005,
) -> Recipe:
    """First trains a variational autoencoder of the images (Kingma & Welling, 2014).

    Args:
      recipe: Recipe that comes after the phase.
      pretrain_epochs: Number of epochs of the phase.
      pretrain_rate: Peak learning rate of the phase.
      width: Width of the code.
      strength: Weight of the code's divergence from a standard normal distribution, relative to the
        mean squared error per pixel.
    """
    heads = (
        Head(name="code", output="code", units=2 * width),
        Head(name="decoder", layer="~code", output="decoded", kind="decoder"),
    )
    losses = (Reconstruction(), GaussianPrior(weight=strength))
    return _pretrained(recipe, "vae", losses, heads, pretrain_epochs, pretrain_rate, augment="none")


@register_method
def fixmatch(recipe: Recipe, *, strength: float = 1.0, threshold: float = 0.95) -> Recipe:
    """Adds confident predictions as labels of strongly augmented views (Sohn et al., 2020).

    Labels are not smoothed in these phases: with smoothing, few predictions become confident.

    Args:
      recipe: Recipe to change.
      strength: Weight of the loss.
      threshold: Lowest probability of a prediction that counts as confident.
    """
    consistency = Consistency(weight=strength, threshold=threshold)

    def change(phase: Phase) -> Phase:
        return replace(phase, losses=(*map(_unsmoothed, phase.losses), consistency))

    return where_stages_train(recipe, change)


def _unsmoothed(loss: Loss) -> Loss:
    if hasattr(loss, "label_smoothing"):
        return replace(loss, label_smoothing=0.0)  # type: ignore[call-arg]
    return loss


def _pretrained(
    recipe: Recipe,
    name: str,
    losses: tuple[Loss, ...],
    heads: tuple[Head, ...],
    epochs: int,
    learning_rate: float,
    *,
    augment: Augment = "strong",
) -> Recipe:
    """Returns the recipe after a phase without labels, whose weights later phases do not reset."""
    phase = Phase(
        name=name,
        train={"stage*": 1.0, **{head.name: 1.0 for head in heads}},
        losses=losses,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_norm="train",
        augment=augment,
        reset=stages_reset(recipe.phases[0]),
    )
    kept = [replace(each, reset=()) for each in recipe.phases]
    return replace(with_heads(recipe, *heads), phases=(phase, *kept))
