"""How the losses of several tasks are weighted."""

from __future__ import annotations

from dataclasses import replace

from tftransfer.core.loss import Loss
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.losses import MultiTask
from tftransfer.recipes.composition import with_heads
from tftransfer.recipes.registry import register_method
from tftransfer.utils.errors import UserError


@register_method
def multi_task(
    recipe: Recipe,
    *,
    problem_type: ProblemType = ProblemType.MULTI_TASK,
    balance: str = "uncertainty",
    weights: tuple[float, ...] = (),
    alpha: float = 1.5,
    rate: float = 10.0,
) -> Recipe:
    """Weights the losses of several tasks; without this method each has the weight 1.

    Args:
      recipe: Recipe to change.
      problem_type: Problem type of the labels, a `ProblemType`.
      balance: How weights are found: `uncertainty`, by trained variances (Kendall et al., 2018);
        `gradnorm`, such that all tasks learn equally fast (Chen et al., 2018); or `fixed`, by
        `weights`.
      weights: Weights of the tasks for `fixed`, in the order of the table's label columns.
      alpha: Strength for `gradnorm` by which slow tasks gain weight.
      rate: Learning rate of the trained weights, relative to the phase's.

    Raises:
      UserError: There is one task, or no phase that trains on labels by optimizer steps.
    """
    if problem_type != ProblemType.MULTI_TASK:
        raise UserError(
            f"The method multi_task weights several tasks, and the problem type is {problem_type}.",
            "Give a table with several label columns, or remove the method.",
        )
    if not any(phase.is_supervised for phase in recipe.phases):
        raise UserError(
            f"The recipe {recipe.name} has no phase that trains on labels by optimizer steps, "
            "hence no tasks to weight.",
            "Begin with another recipe, such as fine_tune, or remove the method.",
        )
    trained = "" if balance == "fixed" else "train.balance"

    def weighted(loss: Loss) -> Loss:
        if not isinstance(loss, MultiTask):
            return loss
        return replace(loss, balance=balance, weights=tuple(weights), trained=trained, alpha=alpha)

    def change(phase: Phase) -> Phase:
        train = {**phase.train, "balance": rate} if trained else phase.train
        return replace(phase, losses=tuple(map(weighted, phase.losses)), train=train)

    phases = [change(phase) if phase.is_supervised else phase for phase in recipe.phases]
    recipe = replace(recipe, phases=tuple(phases))
    head = Head(name="balance", output="balance", kind="balance")
    return with_heads(recipe, head) if trained else recipe
