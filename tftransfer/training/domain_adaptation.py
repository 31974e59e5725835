"""Adaptation to a target domain while training: example weights, and falling back when it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tftransfer.checkpoints import weights
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Phase
from tftransfer.core.typing import Array, IntArray
from tftransfer.evaluation.adaptation_quality import (
    adaptation_metrics,
    adaptation_warnings,
    best_phase,
)
from tftransfer.evaluation.domain_gap import density_ratios
from tftransfer.losses import Domain
from tftransfer.planning.phase_plan import PhasePlan, without_target
from tftransfer.training.context import TrainingContext
from tftransfer.training.train_step import terms
from tftransfer.workdir.run_folder import RunFolder

LOGGER = logging.getLogger(__name__)

Logits = Callable[[PhasePlan, IntArray], Array]


def density_weights(context: TrainingContext) -> Array:
    """Returns the weight of each example, float32 [n]: `p_target(x) / p_source(x)`."""
    examples, features = context.examples, context.extractor.features
    train, target = examples.where("train"), examples.where("target")
    found = np.ones(len(examples), np.float32)
    found[train] = density_ratios(features(train), features(target), context.seed)
    return found


def evaluate_phase(
    context: TrainingContext, phases: Sequence[PhasePlan], logits: Logits
) -> dict[str, float] | None:
    """Evaluates the network on the target domain at the end of a phase.

    Args:
      context: What the training reads.
      phases: The phases up to the one that has ended.
      logits: A function from a phase and indices to logits of the network as it is.

    Returns:
      The `adaptation_metrics`; None without a target domain, or where they cannot be computed.
    """
    examples, number, phase = context.examples, len(phases) - 1, phases[-1].phase
    target, val, train = (examples.where(split) for split in ("target", "val", "train"))
    if not len(target):
        return None
    if not len(val) or examples.problem_type is not ProblemType.SINGLE_LABEL:
        LOGGER.info(
            "  the target domain is not evaluated: that takes a validation split, and one label "
            "per example"
        )
        return None
    weights.write(context.run.phase_weights(number), weights.collect(context.network.blocks))
    source, source_val = _source_features(context, phases, train, val)
    values = adaptation_metrics(
        source,
        context.extractor.features(target),
        logits(phases[-1], target),
        source_val,
        context.targets[train],
        context.targets[val],
        context.seed,
    )
    LOGGER.info(
        f"  {phase.name}: domain gap {values['domain_gap']:.2f} (0 same, 2 apart), "
        f"reverse validation {values['reverse_validation']:.3f}"
    )
    for warning in adaptation_warnings(values, _discriminator_losses(phase, context.run)):
        LOGGER.info(f"  {warning}")
    return values


def restore_best_phase(
    context: TrainingContext, phases: Sequence[PhasePlan], records: Sequence[dict[str, Any]]
) -> list[PhasePlan]:
    """Restores the weights of an earlier phase where the adaptation after it failed.

    Args:
      context: What the training reads.
      phases: The phases of the plan.
      records: The records of the finished phases; that of the restored one is marked `kept`.

    Returns:
      The phases to run next: those that were undone and learn labels, without the target.
    """
    values = [record["adaptation"] for record in records if "adaptation" in record]
    adapts = any(planned.phase.adapts for planned in phases)
    if not adapts or len(values) < 2 or len(values) < len(records):
        return []
    leaves_source = [planned.phase.serves_target_only for planned in phases]
    best, reason = best_phase(values, leaves_source, len(context.examples.where("val")))
    if best == len(values) - 1:
        return []
    _restore_weights(context, best)
    records[best]["kept"] = True
    later = [without_target(planned, context.network) for planned in phases[best + 1 :]]
    repeated = [planned for planned in later if planned]
    LOGGER.info(
        f"  what followed phase {records[best]['name']} {reason}: the run "
        f"{'continues from' if repeated else 'ends with'} that phase's weights"
        f"{', without the target' * bool(repeated)}"
    )
    return repeated


def _discriminator_losses(phase: Phase, run: RunFolder) -> list[float]:
    """Returns the discriminator's loss in each epoch; empty where it is no separate loss."""
    reversed_game = [
        isinstance(loss, Domain) and loss.objective == "gradient_reversal" for loss in phase.losses
    ]
    names = [name for name, chosen in zip(terms(phase.losses), reversed_game) if chosen]
    records = [record for record in run.metrics() if record["phase"] == phase.name]
    return [record[name] for record in records for name in names[:1]]


def _source_features(
    context: TrainingContext, phases: Sequence[PhasePlan], *splits: IntArray
) -> list[Array]:
    """Returns features of source examples by the network as it was before it left the source."""
    features, network = context.extractor.features, context.network
    number = len(phases) - 1
    before = [k for k, planned in enumerate(phases) if not planned.phase.serves_target_only]
    if not before or before[-1] == number:
        return [features(indices) for indices in splits]
    now = weights.collect(network.blocks)
    try:
        _restore_weights(context, before[-1])
        return [features(indices) for indices in splits]
    finally:
        weights.assign_blocks(network.blocks, now, context.run.workdir)
        context.extractor.weights_changed()


def _restore_weights(context: TrainingContext, number: int) -> None:
    """Assigns the weights that the network had at the end of a phase."""
    path = context.run.phase_weights(number)
    weights.assign_blocks(context.network.blocks, weights.read(path), path)
    context.extractor.weights_changed()
