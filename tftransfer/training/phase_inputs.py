"""The inputs of a phase: streams of training batches, and the examples of validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tftransfer.core.typing import Array, IntArray
from tftransfer.data.stream_specs import STREAM_SPECS, split_of_stream
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.training.context import TrainingContext
from tftransfer.training.streams import Stream, Streams, column_weights

_MAX_STEPS_PER_CALL = 64


def make_streams(
    context: TrainingContext, planned: PhasePlan, density_ratios: Array | None
) -> Streams:
    """Returns the streams that a phase reads, the features of their frozen layers computed.

    Args:
      context: What the training reads.
      planned: The phase.
      density_ratios: Weight of each example, float32 [n]; None where the phase does not reweight.
    """
    made: dict[str, Stream] = {}
    for name in planned.streams:
        # Streams of one order show the same examples at each step, so they repeat together.
        same_order = STREAM_SPECS[planned.streams[0]].order == STREAM_SPECS[name].order
        steps = 0 if same_order else next(iter(made.values())).steps
        made[name] = _make_stream(context, planned, name, steps, density_ratios)
    one_device = context.strategy.num_replicas_in_sync == 1
    return Streams(made, max_steps=_MAX_STEPS_PER_CALL if one_device else 1)


def padding_trimmer(
    context: TrainingContext, planned: PhasePlan
) -> Callable[..., list[Any]] | None:
    """See `Network.padding_trimmer`; None under XLA, which would compile for each length."""
    if context.xla:
        return None
    return context.network.padding_trimmer(planned.boundary, planned.outputs)


def validation_inputs(
    context: TrainingContext, planned: PhasePlan
) -> Callable[[IntArray], list[Any]]:
    """Returns a function from indices to the inputs of the trainable layers, not augmented."""
    return context.extractor.inputs(planned.features, context.examples.where("val"))


def _make_stream(
    context: TrainingContext,
    planned: PhasePlan,
    name: str,
    steps: int,
    density_ratios: Array | None,
) -> Stream:
    phase, examples, extractor = planned.phase, context.examples, context.extractor
    spec = STREAM_SPECS[name]
    indices = examples.where(split_of_stream(name, examples))
    augment = spec.augment or phase.augment
    keys = extractor.keys(planned.features, indices, augment)
    if not keys:
        with context.clock.measure("decode"):
            extractor.decoded.prepare(np.flatnonzero(examples.splits != "test"))
    lengths = None
    if padding_trimmer(context, planned):
        with context.clock.measure("decode"):
            lengths = extractor.decoded.lengths(indices)
    return Stream(
        indices=indices,
        targets=context.targets,
        batch_size=context.batch_size,
        seed=context.seed,
        order=spec.order,
        draw=spec.draw,
        steps_per_epoch=steps,
        decoded=extractor.decoded,
        store=extractor.store,
        augmenter=context.network.backbone.preprocessor.augmenter(augment),
        keys=keys,
        frozen_layers=extractor.streamed(planned.features),
        extra_fields=context.teacher_outputs.stream_fields(name, planned, indices, augment),
        mixup=phase.mixup if name == "train" else 0.0,
        class_weight=column_weights(
            context.targets[examples.where("train")], examples.problem_type
        ),
        weight=density_ratios if phase.reweight and name == "train" else None,
        lengths=lengths,
    )
