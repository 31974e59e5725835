"""The optimizer and the compiled step of a phase."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import keras

from tftransfer.core.typing import Variable
from tftransfer.optim.optimizers import make_optimizer, multipliers
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.training.context import TrainingContext
from tftransfer.training.phase_inputs import padding_trimmer
from tftransfer.training.reference_weights import Reference
from tftransfer.training.train_step import TrainStep


def trained_variables(context: TrainingContext, planned: PhasePlan) -> list[Variable]:
    """Returns the variables that a phase trains, those of low-rank updates included."""
    blocks = [block for block, rate in planned.rates.items() if rate]
    return [v for block in blocks for v in context.network.variables(block, trainable=True)]


def build_optimizer(
    context: TrainingContext, planned: PhasePlan, variables: Sequence[Variable], steps: int
) -> keras.optimizers.Optimizer:
    """Returns the built optimizer of a phase.

    Args:
      context: What the training reads.
      planned: The phase.
      variables: The variables that train.
      steps: Number of steps of the phase.
    """
    strategy = context.strategy
    with strategy.scope():
        optimizer = make_optimizer(
            planned.phase,
            multipliers(planned.rates, context.network.variables),
            steps,
            replicas=strategy.num_replicas_in_sync,
        )
        if context.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(list(variables))
    return optimizer


def step_factory(
    context: TrainingContext,
    planned: PhasePlan,
    reference: Reference,
    optimizer: keras.optimizers.Optimizer,
    variables: Sequence[Variable],
    steps: int,
) -> Callable[..., TrainStep]:
    """Returns a function from the number of `microbatches` to a compiled step.

    Args:
      context: What the training reads.
      planned: The phase.
      reference: The network as it was, for losses that compare with it.
      optimizer: The built optimizer.
      variables: The variables that train.
      steps: Number of steps of the phase.
    """
    return functools.partial(
        TrainStep,
        context.network.submodel(planned.boundary, planned.outputs),
        variables,
        planned.phase.losses,
        optimizer,
        reference,
        context.strategy,
        apply_head=context.network.apply_head,
        steps=steps,
        xla=context.xla,
        trim_padding=padding_trimmer(context, planned),
    )
