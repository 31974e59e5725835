"""What a plan will take on this machine: measured on a few pictures, not guessed."""

from __future__ import annotations

import time
from typing import Any

import tensorflow as tf

from tftransfer.data.stream_specs import split_of_stream
from tftransfer.models.inference import compiled
from tftransfer.models.network import INPUT
from tftransfer.planning.plan import PhasePlan, Plan

_PICTURES = 16
# A training step of a layer computes its output, and the gradients of its input and its weights.
_STEP_OVER_FORWARD = 3.0


def estimate(plan: Plan) -> list[str]:
    """Lines that say how long each phase will take, and what that rests on.

    The frozen prefix and the suffix of each phase are run on random pictures; decoding,
    early stopping and the final evaluation are not counted.
    """
    total, lines = 0.0, []
    for planned in plan.phases:
        prefix, steps = _phase_seconds(plan, planned)
        total += prefix + steps
        lines.append(
            f"cost      {planned.phase.name}: prefix {_said(prefix)}, "
            f"training at most {_said(steps)}"
        )
    lines.append(
        f"cost      about {_said(total)} for prefix and training, measured on {_PICTURES} "
        "random pictures; start-up, evaluation and export come on top"
    )
    return lines


def _phase_seconds(plan: Plan, planned: PhasePlan) -> tuple[float, float]:
    if not planned.phase.has_steps:
        return 0.0, 0.0
    network, examples = plan.network, plan.examples
    val, lowest = len(examples.where("val")), planned.boundary
    master = len(examples.where(split_of_stream(planned.streams[0], examples)))
    train = master * len(planned.streams)
    whole = (
        _per_picture(network.submodel(lowest, planned.outputs))
        if any(planned.rates.values())
        else 0.0
    )
    frozen = _per_picture(network.submodel(INPUT, lowest)) if lowest != INPUT else 0.0
    epochs = planned.phase.epochs
    steps = epochs * (train * _STEP_OVER_FORWARD + val) * whole
    if planned.views:
        return frozen * (planned.views * train + val), steps
    return 0.0, steps + epochs * (train + val) * frozen


def _per_picture(model: Any) -> float:
    forward = compiled(model)
    inputs = [tf.random.uniform((_PICTURES, *t.shape[1:])) for t in model.inputs]
    forward(*inputs)
    started = time.perf_counter()
    forward(*inputs)
    return (time.perf_counter() - started) / _PICTURES


def _said(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
