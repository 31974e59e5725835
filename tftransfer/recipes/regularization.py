"""Methods that hold fine-tuning to what the source knew."""

from __future__ import annotations

from dataclasses import replace

from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.losses import BSS, DELTA, L2SP, Distill
from tftransfer.recipes.composition import trains_stages, with_heads, with_losses
from tftransfer.recipes.registry import register_method
from tftransfer.utils.errors import UserError


@register_method
def l2_sp(recipe: Recipe, *, strength: float = 0.01) -> Recipe:
    """Holds the weights of stages to the source's (Li et al., 2018).

    Args:
      recipe: that it is added to.
      strength: weight of the penalty, the paper's alpha.
    """
    return with_losses(recipe, L2SP(weight=strength))


@register_method
def delta(recipe: Recipe, *, stages: int = 5, strength: float = 1.0) -> Recipe:
    """Holds the last stage's feature maps to the source's (DELTA, Li et al., 2019).

    All channels count alike: the paper's attention, which weighs them by what a first training
    loses without each, is left out, and so are the maps of earlier stages.
    """
    path = f"stage{stages}"
    return with_losses(
        recipe,
        DELTA(features=f"train.{path}", reference=f"train.reference.{path}", weight=strength),
    )


@register_method
def bss(recipe: Recipe, *, strength: float = 0.001, count: int = 1) -> Recipe:
    """Holds the smallest singular values of the features small (BSS, Chen et al., 2019)."""
    return with_losses(recipe, BSS(weight=strength, count=count))


@register_method
def lwf(recipe: Recipe, *, strength: float = 1.0, temperature: float = 2.0) -> Recipe:
    """Holds the scores of the source's own head to what they were (Li & Hoiem, 2016).

    The source must be a run, whose head goes on as the head `source`.
    """
    recipe = with_heads(recipe, Head(name="source", output="source_logits", like="source"))
    distill = Distill(
        logits="train.source_logits",
        teacher="train.reference.source_logits",
        temperature=temperature,
        weight=strength,
    )
    return with_losses(recipe, distill, train={"source": 1.0})


@register_method
def lora(recipe: Recipe, *, rank: int = 4, rate: float = 10.0) -> Recipe:
    """Trains low-rank updates in place of the stages' kernels (Hu et al., 2022).

    Args:
      recipe: that it is added to.
      rank: of the updates.
      rate: factor of the stages' rates: an update that begins at zero has a way to go.

    Raises:
      UserError: no stage trains in any phase.
    """
    if not any(map(trains_stages, recipe.phases)):
        raise UserError(
            f"No stage trains in the recipe {recipe.name}, so lora has nothing to update.",
            "Begin with a recipe that trains stages, such as fine_tune.",
        )

    def change(phase: Phase) -> Phase:
        train = {
            block: value * rate if block.startswith("stage") else value
            for block, value in phase.train.items()
        }
        return replace(phase, lora=rank, train=train)

    phases = [change(phase) if trains_stages(phase) else phase for phase in recipe.phases]
    return replace(recipe, phases=tuple(phases))


@register_method
def wise_ft(recipe: Recipe) -> Recipe:
    """Averages the weights before and after the last phase (WiSE-FT, Wortsman et al., 2022).

    How much of each is chosen on the validation split; the curve is in `result.json`.
    """
    mix = Phase(
        name="wise_ft",
        train={"stage*": 1.0, "head": 1.0},
        losses=(),
        epochs=1,
        solve="interpolate",
        reference="before",
    )
    return replace(recipe, phases=(*recipe.phases, mix))
