"""Keras optimizers for phases: by name or as configured, with a rate multiplier per variable."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tftransfer.core.keras_config import KerasConfig
from tftransfer.core.recipe import Phase
from tftransfer.core.typing import Variable
from tftransfer.optim.schedules import make_schedule
from tftransfer.utils.errors import unknown_name
from tftransfer.utils.keras_internals import optimizer_with_rates

Multiplier = Callable[[Variable], float]

# Parts of the names of variables without weight decay: biases, and scales and shifts of norms.
_NOT_DECAYED = ("bias", "gamma", "beta", "balance")
_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
_SGD_MOMENTUM = 0.9


def optimizer_names() -> dict[str, type[keras.optimizers.Optimizer]]:
    """Returns every optimizer of Keras by its name in lower case."""
    return {
        name.lower(): entry
        for name, entry in vars(keras.optimizers).items()
        if inspect.isclass(entry)
        and issubclass(entry, keras.optimizers.Optimizer)
        and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
    }


def optimizer_named(name: str) -> type[keras.optimizers.Optimizer]:
    """Returns the class of an optimizer by its name in any case.

    Raises:
      UserError: Keras has no such optimizer; the nearest names are given.
    """
    classes = optimizer_names()
    if name.lower() not in classes:
        raise unknown_name("optimizer", name, classes)
    return classes[name.lower()]


def check_optimizer(phase: Phase) -> None:
    """Checks that the optimizer and the schedule of a phase can be built.

    Raises:
      UserError: An optimizer does not exist, or a class is not registered with Keras.
    """
    if isinstance(phase.schedule, KerasConfig):
        phase.schedule.build()
    if isinstance(phase.optimizer, KerasConfig):
        phase.optimizer.build()
    else:
        optimizer_named(str(phase.optimizer))


def make_optimizer(
    phase: Phase, multiplier: Multiplier, steps: int, *, replicas: int = 1
) -> keras.optimizers.Optimizer:
    """Returns a new optimizer for a phase.

    One optimizer serves all blocks, so that there is one state, one learning rate, and one object
    for callbacks to change; the learning rate of each variable is multiplied.

    Args:
      phase: The phase, with its optimizer, schedule, decay and clipping.
      multiplier: Returns the rate multiplier of a variable.
      steps: Number of steps of the phase, for the schedule.
      replicas: Number of devices over which gradients are summed after they are clipped.
    """
    if isinstance(phase.optimizer, KerasConfig):
        return _as_configured(phase, phase.optimizer, multiplier, steps, replicas)
    name = str(phase.optimizer).lower()
    optimizer_class = optimizer_named(name)
    options: dict[str, Any] = {"learning_rate": make_schedule(phase, steps)}
    if phase.clip_norm:
        options["global_clipnorm"] = phase.clip_norm / replicas
    if "weight_decay" in inspect.signature(optimizer_class).parameters:
        options["weight_decay"] = phase.weight_decay
    if name == "sgd":
        options |= {"momentum": _SGD_MOMENTUM, "nesterov": True}
    optimizer = optimizer_with_rates(optimizer_class, multiplier)(**options)
    if phase.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=list(_NOT_DECAYED))
    return optimizer


def _as_configured(
    phase: Phase, config: KerasConfig, multiplier: Multiplier, steps: int, replicas: int
) -> keras.optimizers.Optimizer:
    """Returns the optimizer that a configuration describes, with the phase's schedule."""
    built = config.build()
    options = built.get_config() | {"learning_rate": make_schedule(phase, steps)}
    options |= {key: options[key] / replicas for key in _CLIPPING if options.get(key)}
    return optimizer_with_rates(type(built), multiplier).from_config(options)


def multipliers(
    rates: Mapping[str, float], variables: Callable[[str], Sequence[Variable]]
) -> Multiplier:
    """Returns a function from a variable to the rate multiplier of its block.

    Args:
      rates: Rate multiplier of each block.
      variables: Returns the variables of a block.
    """
    table = {id(v): rate for block, rate in rates.items() for v in variables(block)}
    return lambda variable: table[id(variable)]
