"""Any Keras optimizer by name, with a rate multiplier per variable, and its schedule."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from tftransfer.core.recipe import Phase
from tftransfer.utils.errors import unknown_name
from tftransfer.utils.keras_internals import optimizer_with_rates

_NOT_DECAYED = ("bias", "gamma", "beta", "balance")


def optimizer_names() -> dict[str, type]:
    """Lower-case name to class of every optimizer that Keras has."""
    return {
        name.lower(): entry
        for name, entry in vars(keras.optimizers).items()
        if inspect.isclass(entry)
        and issubclass(entry, keras.optimizers.Optimizer)
        and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
    }


def optimizer_named(name: str) -> type:
    """The class of a name, in any case.

    Raises:
      UserError: Keras has no such optimizer; the nearest names are given.
    """
    classes = optimizer_names()
    if name.lower() not in classes:
        raise unknown_name("optimizer", name, classes)
    return classes[name.lower()]


def make_optimizer(
    phase: Phase, multiplier: Callable[[Any], float], steps: int, *, replicas: int = 1
) -> Any:
    """The phase's optimizer.

    One optimizer serves all blocks, so that its state, its learning rate and the
    callbacks that change it are one; the update of each variable is scaled.

    Args:
      phase: names the optimizer, rate, schedule and decay.
      multiplier: variable to its block's rate multiplier.
      steps: Optimizer steps of the whole phase, for the schedule.
      replicas: over how many of them the gradients will be summed after they are clipped.
    """
    name = phase.optimizer.lower()
    optimizer_class = optimizer_named(name)
    options: dict[str, Any] = {"learning_rate": make_schedule(phase, steps)}
    if phase.clip_norm:
        options["global_clipnorm"] = phase.clip_norm / replicas
    if "weight_decay" in inspect.signature(optimizer_class).parameters:
        options["weight_decay"] = phase.weight_decay
    if name == "sgd":
        options |= {"momentum": 0.9, "nesterov": True}
    optimizer = optimizer_with_rates(optimizer_class, multiplier)(**options)
    if phase.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=list(_NOT_DECAYED))
    return optimizer


def make_schedule(phase: Phase, steps: int) -> Any:
    """The rate over the steps of a phase: a number when it does not change."""
    if phase.schedule in ("constant", "plateau") and not phase.warmup:
        return float(phase.learning_rate)
    # On a plateau the loop lowers the optimizer's scale.
    shape = "constant" if phase.schedule == "plateau" else phase.schedule
    return WarmUp(phase.learning_rate, steps, phase.warmup, shape)


@keras.saving.register_keras_serializable("tftransfer")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from zero, then `cosine` (Loshchilov & Hutter, 2017), `linear` or `constant`.

    Args:
      peak: the highest rate.
      steps: length of the whole schedule.
      warmup: fraction of the steps in which the rate rises.
      shape: of what follows.
    """

    def __init__(self, peak: float, steps: int, warmup: float, shape: str):
        self.peak, self.steps, self.warmup, self.shape = peak, steps, warmup, shape

    def __call__(self, step: Any) -> Any:
        """The rate at a step, float32."""
        step = ops.cast(step, "float32")
        rise = max(1.0, self.warmup * self.steps)
        done = ops.clip((step - rise) / max(1.0, self.steps - rise), 0.0, 1.0)
        fall = {
            "cosine": 0.5 * (1.0 + ops.cos(math.pi * done)),
            "linear": 1.0 - done,
            "constant": ops.ones_like(done),
        }[self.shape]
        start = ops.minimum((step + 1.0) / rise, 1.0) if self.warmup else 1.0
        return self.peak * start * fall

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup, "shape": self.shape}


def multipliers(
    rates: Mapping[str, float], variables: Callable[[str], list[Any]]
) -> Callable[[Any], float]:
    """A function from a variable to the rate of the block it belongs to."""
    table = {id(v): rate for block, rate in rates.items() for v in variables(block)}
    return lambda variable: table[id(variable)]
