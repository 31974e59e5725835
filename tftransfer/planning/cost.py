"""How long a plan takes on this machine, measured on a few random inputs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tftransfer.data.examples import Examples
from tftransfer.data.stream_specs import split_of_stream
from tftransfer.models.inference import compiled
from tftransfer.models.network import INPUT, Network
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.utils.progress import waiting

_MEASURED_EXAMPLES = 16
# A training step of a layer computes its output, and the gradients of its input and its weights.
_STEP_OVER_FORWARD = 3.0
_MINUTES_FROM_SECONDS = 90
_HOURS_FROM_SECONDS = 5400


def estimate(network: Network, examples: Examples, phases: Sequence[PhasePlan]) -> list[str]:
    """Returns lines with the time that each phase takes, and what that is based on.

    The frozen and the trainable layers of each phase run on random inputs. Decoding, early stopping
    and the final evaluation are not included.

    Args:
      network: The network.
      examples: The examples, already split.
      phases: The phases as planned.
    """
    total, lines = 0.0, []
    with waiting("measuring the cost of each phase"):
        for planned in phases:
            frozen, steps = _phase_seconds(planned, network, examples)
            total += frozen + steps
            lines.append(
                f"cost      {planned.phase.name}: frozen layers {_duration(frozen)}, "
                f"training at most {_duration(steps)}"
            )
    many = "images" if examples.modality == "image" else "examples"
    lines.append(
        f"cost      about {_duration(total)} for frozen layers and training, measured on "
        f"{_MEASURED_EXAMPLES} random {many}; start, evaluation and export take further time"
    )
    return lines


def _phase_seconds(planned: PhasePlan, network: Network, examples: Examples) -> tuple[float, float]:
    """Returns the seconds of the frozen layers and of the training steps."""
    if not planned.phase.has_steps:
        return 0.0, 0.0
    val, boundary = len(examples.where("val")), planned.boundary
    first = len(examples.where(split_of_stream(planned.streams[0], examples)))
    train, epochs = first * len(planned.streams), planned.phase.epochs
    trains = any(planned.rates.values())
    upper = _example_seconds(network.submodel(boundary, planned.outputs)) if trains else 0.0
    lower = _example_seconds(network.submodel(INPUT, boundary)) if boundary != INPUT else 0.0
    steps = epochs * (train * _STEP_OVER_FORWARD + val) * upper
    if planned.views.cached:
        return lower * (planned.views.cached * train + val), steps
    return 0.0, steps + epochs * (train + val) * lower


def _example_seconds(model: keras.Model) -> float:
    """Returns the seconds of inference per example."""
    forward = compiled(model)
    inputs = [_random_input(tensor) for tensor in model.inputs]
    forward(*inputs)
    started = time.perf_counter()
    forward(*inputs)
    return (time.perf_counter() - started) / _MEASURED_EXAMPLES


def _random_input(tensor: keras.KerasTensor) -> tf.Tensor:
    shape = (_MEASURED_EXAMPLES, *tensor.shape[1:])
    if tensor.dtype == "string":
        return tf.constant(np.full(shape, b"word", object))
    return tf.random.uniform(shape)


def _duration(seconds: float) -> str:
    if seconds < _MINUTES_FROM_SECONDS:
        return f"{seconds:.0f} s"
    minutes = seconds < _HOURS_FROM_SECONDS
    return f"{seconds / 60:.0f} min" if minutes else f"{seconds / 3600:.1f} h"
