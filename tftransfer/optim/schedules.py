"""Learning-rate schedules of phases."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import keras
from keras import ops

from tftransfer.core.keras_config import KerasConfig
from tftransfer.core.recipe import Phase
from tftransfer.core.typing import Tensor

Schedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule


def make_schedule(phase: Phase, steps: int) -> float | Schedule:
    """Returns the learning rate over the steps of a phase: a number if it does not change.

    Args:
      phase: The phase, with its schedule, peak learning rate and warm-up.
      steps: Number of steps of the phase.
    """
    if isinstance(phase.schedule, KerasConfig):
        schedule: Schedule = phase.schedule.build()
        return schedule
    if phase.schedule in ("constant", "plateau") and not phase.warmup:
        return float(phase.learning_rate)
    # On a plateau the training loop lowers the optimizer's scale.
    shape = "constant" if phase.schedule == "plateau" else str(phase.schedule)
    return WarmUp(phase.learning_rate, steps, phase.warmup, shape)


@keras.saving.register_keras_serializable("tftransfer")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from zero, then a decay or a constant rate.

    With the rise `r = max(1, warmup * steps)` and the progress
    `p = clip((step - r) / (steps - r), 0, 1)`, the rate is
    `peak * min((step + 1) / r, 1) * f(p)`, where `f(p)` is `0.5 * (1 + cos(pi * p))` for `cosine`
    (Loshchilov & Hutter, 2017), `1 - p` for `linear`, and 1 for `constant`.

    Args:
      peak: The highest rate.
      steps: Number of steps of the whole schedule.
      warmup: Fraction of the steps in which the rate rises; 0 for none.
      shape: `cosine`, `linear` or `constant`.

    Example:
      >>> schedule = WarmUp(peak=1.0, steps=10, warmup=0.2, shape="linear")
      >>> [round(float(schedule(step)), 3) for step in (0, 1, 6, 10)]
      [0.5, 1.0, 0.5, 0.0]
    """

    def __init__(self, peak: float, steps: int, warmup: float, shape: str):
        self.peak, self.steps, self.warmup, self.shape = peak, steps, warmup, shape

    def __call__(self, step: Tensor | int) -> Tensor:
        """Returns the rate at a step, float32."""
        done_steps = ops.cast(step, "float32")
        rise = max(1.0, self.warmup * self.steps)
        done = ops.clip((done_steps - rise) / max(1.0, self.steps - rise), 0.0, 1.0)
        decay = {
            "cosine": 0.5 * (1.0 + ops.cos(math.pi * done)),
            "linear": 1.0 - done,
            "constant": ops.ones_like(done),
        }[self.shape]
        start = ops.minimum((done_steps + 1.0) / rise, 1.0) if self.warmup else 1.0
        rate: Tensor = self.peak * start * decay
        return rate

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup, "shape": self.shape}
