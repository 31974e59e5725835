"""How several tasks are weighed against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Head, Loss, Phase, Recipe
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
    """Weighs the losses of several tasks; without this method each counts 1.

    Args:
      recipe: that it is added to.
      problem_type: what the labels are.
      balance: `uncertainty`, by trained variances (Kendall et al., 2018); `gradnorm`, so that all
        learn equally fast (Chen et al., 2018); or `fixed`, by `weights`.
      weights: of the tasks, in the order of the table's columns.
      alpha: of `gradnorm`: how hard the slow tasks are pulled.
      rate: of the trained weights, as a multiple of the phase's.

    Raises:
      UserError: there is one task, or no phase that trains on labels by steps.
    """
    if problem_type != ProblemType.MULTI_TASK:
        raise UserError(
            f"The method multi_task weighs several tasks, and the target is {problem_type}.",
            "Give a table with several label columns, or leave the method out.",
        )
    if not any(phase.is_supervised for phase in recipe.phases):
        raise UserError(
            f"The recipe {recipe.name} has no phase that trains on labels by steps, in which tasks "
            "could be weighed.",
            "Begin with another, such as fine_tune, or leave the method out.",
        )
    trained = "" if balance == "fixed" else "train.balance"

    def weighed(loss: Loss) -> Loss:
        if not isinstance(loss, MultiTask):
            return loss
        return replace(loss, balance=balance, weights=tuple(weights), trained=trained, alpha=alpha)

    def change(phase: Phase) -> Phase:
        train = {**phase.train, "balance": rate} if trained else phase.train
        return replace(phase, losses=tuple(map(weighed, phase.losses)), train=train)

    phases = [change(phase) if phase.is_supervised else phase for phase in recipe.phases]
    recipe = replace(recipe, phases=tuple(phases))
    head = Head(name="balance", output="balance", kind="balance")
    return with_heads(recipe, head) if trained else recipe


def with_tasks(recipe: Recipe, sizes: Sequence[int]) -> Recipe:
    """The recipe, its losses and heads of several tasks told how many classes each has.

    Raises:
      UserError: there are no several tasks, or weights of another number of them.
    """

    def told(loss: Loss) -> Loss:
        if not isinstance(loss, MultiTask):
            return loss
        if not sizes or len(loss.weights) not in (0, len(sizes)):
            raise UserError(
                f"There are {len(sizes)} tasks, and weights of {len(loss.weights)}.",
                "Give one weight per task.",
            )
        return replace(loss, sizes=tuple(sizes))

    def wide(head: Head) -> Head:
        return replace(head, units=len(sizes)) if head.kind == "balance" else head

    phases = [replace(phase, losses=tuple(map(told, phase.losses))) for phase in recipe.phases]
    return replace(recipe, phases=tuple(phases), heads=tuple(map(wide, recipe.heads)))
