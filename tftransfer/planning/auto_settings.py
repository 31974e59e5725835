"""Settings that the plan chooses, each with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from tftransfer.backbones.load import max_length
from tftransfer.core.recipe import Recipe
from tftransfer.core.typing import KerasModel, PathLike
from tftransfer.data.examples import Examples
from tftransfer.data.stream_specs import split_of_stream
from tftransfer.preprocessing import get_modality

# Batch sizes are rounded up to a multiple of this number, which common numbers of devices divide.
_BATCH_SIZE_STEP = 8


@dataclass(frozen=True, kw_only=True)
class AutoSetting:
    """A setting with its value, and the reason where the plan chose it.

    Attributes:
      name: Name of the setting, as in `Experiment`.
      value: The value that the run uses.
      unit: Unit of the value, if it has one.
      reason: Why the plan chose the value; empty where it is the value that was given.
    """

    name: str
    value: str | int | float
    unit: str = ""
    reason: str = ""

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return " ".join(filter(None, (self.name, f"{value}", self.unit))) + f": {self.reason}"


def choose_precision(given: str) -> AutoSetting:
    """Chooses the precision of the layers: bfloat16 on TPUs, else float32.

    Args:
      given: `Experiment.precision`.
    """
    if given != "auto":
        return AutoSetting(name="precision", value=given)
    device = _device()
    value = "mixed_bfloat16" if device == "TPU" else "float32"
    return AutoSetting(name="precision", value=value, reason=f"the safe value on a {device}")


def choose_xla(given: str) -> AutoSetting:
    """Chooses whether XLA compiles the training steps: `on` for accelerators.

    Args:
      given: `Experiment.xla`.
    """
    if given != "auto":
        return AutoSetting(name="xla", value=given)
    if _device() != "CPU":
        return AutoSetting(name="xla", value="on", reason=f"steps run on a {_device()}")
    return AutoSetting(name="xla", value="off", reason="it was measured slower on CPUs")


def choose_weights(given: str, recipe: Recipe) -> AutoSetting:
    """Chooses the weights to load: none where the recipe starts all stages from random weights.

    Args:
      given: `Experiment.weights`.
      recipe: The recipe.
    """
    if given == "none" or not starts_from_random_weights(recipe):
        return AutoSetting(name="weights", value=given)
    reason = f"{recipe.name} starts every stage from random weights"
    return AutoSetting(name="weights", value="none", reason=reason)


def starts_from_random_weights(recipe: Recipe) -> bool:
    """Returns whether the first phase gives every stage new random weights."""
    return bool(recipe.phases) and "stage*" in recipe.phases[0].reset


def choose_length(given: float, backbone: PathLike | KerasModel, examples: Examples) -> AutoSetting:
    """Chooses how much of each example is read, such that most training examples are complete.

    Args:
      given: `Experiment.length`: seconds of audio or tokens of text; 0 for the automatic value.
      backbone: The backbone, as `Experiment.backbone`; it limits the length.
      examples: The examples, already split.
    """
    modality = get_modality(examples.modality)
    if given or modality.auto_length is None:
        return AutoSetting(name="length", value=given)
    measures = examples.measures[examples.where("train")]
    length, reason = modality.auto_length(measures, max_length(backbone, modality.name))
    return AutoSetting(name="length", value=length, unit=modality.length_unit, reason=reason)


def choose_batch_size(given: int, recipe: Recipe, examples: Examples) -> AutoSetting:
    """Chooses the batch size: at most the number of examples, rounded up.

    Further places of a batch would be computed and have the weight 0.

    Args:
      given: `Experiment.batch_size`.
      recipe: The recipe, whose phases read streams.
      examples: The examples, already split.
    """
    streams = {stream for phase in recipe.phases for stream in phase.streams or ("train",)}
    count = max(len(examples.where(split_of_stream(stream, examples))) for stream in streams)
    step = math.lcm(_BATCH_SIZE_STEP, tf.distribute.get_strategy().num_replicas_in_sync)
    needed, train = -(-count // step) * step, len(examples.where("train"))
    if given <= train:
        return AutoSetting(name="batch_size", value=min(given, needed))
    reason = f"{given} is more than the {train} training examples, so an epoch is one step"
    return AutoSetting(name="batch_size", value=min(given, needed), reason=reason)


def _device() -> str:
    """Returns the kind of device that the steps run on: `TPU`, `GPU` or `CPU`."""
    return next((kind for kind in ("TPU", "GPU") if tf.config.list_logical_devices(kind)), "CPU")
