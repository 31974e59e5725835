"""Methods that learn without labels, from `--unlabelled_data`, else from the training split."""

from __future__ import annotations

from dataclasses import replace

from tftransfer.core.recipe import Head, Loss, Phase, Recipe
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
    """First, two views of a picture learn to find each other (Chen et al., 2020).

    Args:
      recipe: that goes on from there.
      pretrain_epochs: of that phase.
      pretrain_rate: its peak learning rate.
      temperature: of the similarities.
      width: of the projection.
    """
    head = Head(name="projection", output="projection", units=width, hidden=(2 * width,))
    losses = (NTXent(temperature=temperature),)
    return _first(recipe, "simclr", losses, (head,), pretrain_epochs, pretrain_rate)


@register_method
def simsiam(
    recipe: Recipe, *, pretrain_epochs: int = 50, pretrain_rate: float = 1e-3, width: int = 128
) -> Recipe:
    """First, each view of a picture learns to tell the other (Chen & He, 2021)."""
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
    return _first(recipe, "simsiam", (SimSiam(),), heads, pretrain_epochs, pretrain_rate)


@register_method
def autoencoder(
    recipe: Recipe, *, pretrain_epochs: int = 50, pretrain_rate: float = 1e-3, noise: int = 0
) -> Recipe:
    """First, the picture is told from its features.

    Args:
      recipe: that goes on from there.
      pretrain_epochs: of that phase.
      pretrain_rate: its peak learning rate.
      noise: 1 to add noise to the pixels that the network must take away (denoising, Vincent et
        al., 2008).
    """
    heads = (Head(name="decoder", output="decoded", kind="decoder"),)
    losses = (Reconstruction(),)
    augment = "noise" if noise else "none"
    return _first(
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
    """First, the picture is told from a code that is like noise (Kingma & Welling, 2014).

    Args:
      recipe: that goes on from there.
      pretrain_epochs: of that phase.
      pretrain_rate: its peak learning rate.
      width: of the code.
      strength: of the code's likeness to noise, beside the mean squared error of a pixel.
    """
    heads = (
        Head(name="code", output="code", units=2 * width),
        Head(name="decoder", layer="~code", output="decoded", kind="decoder"),
    )
    losses = (Reconstruction(), GaussianPrior(weight=strength))
    return _first(recipe, "vae", losses, heads, pretrain_epochs, pretrain_rate, augment="none")


@register_method
def fixmatch(recipe: Recipe, *, strength: float = 1.0, threshold: float = 0.95) -> Recipe:
    """What is sure of a picture is taught to its strongly changed view (Sohn et al., 2020).

    Labels are not smoothed beside it: by smoothed ones, hardly a score would become sure.
    """
    consistency = Consistency(weight=strength, threshold=threshold)

    def change(phase: Phase) -> Phase:
        return replace(phase, losses=(*map(_unsmoothed, phase.losses), consistency))

    return where_stages_train(recipe, change)


def _unsmoothed(loss: Loss) -> Loss:
    if hasattr(loss, "label_smoothing"):
        return replace(loss, label_smoothing=0.0)  # type: ignore[call-arg]
    return loss


def _first(
    recipe: Recipe,
    name: str,
    losses: tuple[Loss, ...],
    heads: tuple[Head, ...],
    epochs: int,
    learning_rate: float,
    *,
    augment: str = "strong",
) -> Recipe:
    """The recipe after a phase without labels; what it learnt is not thrown away again."""
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
