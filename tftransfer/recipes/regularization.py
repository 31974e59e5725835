"""Methods that keep fine-tuning close to the source."""

from __future__ import annotations

from dataclasses import replace

from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.losses import BSS, DELTA, L2SP, Distill
from tftransfer.recipes.composition import trains_stages, with_heads, with_losses
from tftransfer.recipes.registry import register_method
from tftransfer.utils.errors import UserError


@register_method
def l2_sp(recipe: Recipe, *, strength: float = 0.01) -> Recipe:
    """Penalizes the distance of the stages' weights from the source's (Li et al., 2018).

    Args:
      recipe: Recipe to change.
      strength: Weight of the penalty, alpha in the paper.
    """
    return with_losses(recipe, L2SP(weight=strength))


@register_method
def delta(recipe: Recipe, *, stages: int = 5, strength: float = 1.0) -> Recipe:
    """Penalizes the distance of feature maps from the source's (DELTA, Li et al., 2019).

    All channels of the last stage have the same weight. The paper also compares earlier stages, and
    weights channels by how much a first training loses without each.

    Args:
      recipe: Recipe to change.
      stages: Number of stages of the backbone.
      strength: Weight of the penalty.
    """
    path = f"stage{stages}"
    return with_losses(
        recipe,
        DELTA(features=f"train.{path}", reference=f"train.reference.{path}", weight=strength),
    )


@register_method
def bss(recipe: Recipe, *, strength: float = 0.001, count: int = 1) -> Recipe:
    """Penalizes the smallest singular values of the features (BSS, Chen et al., 2019).

    Args:
      recipe: Recipe to change.
      strength: Weight of the penalty.
      count: Number of singular values, from the smallest.
    """
    return with_losses(recipe, BSS(weight=strength, count=count))


@register_method
def lwf(recipe: Recipe, *, strength: float = 1.0, temperature: float = 2.0) -> Recipe:
    """Keeps the scores of the source's own head (Li & Hoiem, 2016).

    The source must be a run; its head becomes the head `source`.

    Args:
      recipe: Recipe to change.
      strength: Weight of the loss.
      temperature: Divisor of the scores before the softmax.
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
    """Trains low-rank updates instead of the stages' kernels (LoRA, Hu et al., 2022).

    Args:
      recipe: Recipe to change.
      rank: Rank of the updates.
      rate: Factor of the stages' learning rates; updates start at zero, so they need higher ones.

    Raises:
      UserError: No stage trains in any phase.
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

    The share of each is selected on the validation split; the curve is in `result.json`.
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
