"""Values of an epoch: sums over its steps, and their line in the log."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.training.recovery import DivergedError


class EpochSums:
    """Adds up loss, correct predictions and weights over the steps of an epoch.

    Attributes:
      sums: The sums so far, by name.
      steps: Number of the steps that they contain.
    """

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.steps = 0

    def add(self, values: Mapping[str, Array], epoch: int) -> None:
        """Adds a group of steps.

        Args:
          values: The values of each step by name, [steps]; `loss` is one of them.
          epoch: Index of the epoch, from 0, for the error.

        Raises:
          DivergedError: A loss is not finite.
        """
        bad = np.flatnonzero(~np.isfinite(values["loss"]))
        if len(bad):
            value = values["loss"][bad[0]]
            raise DivergedError(f"the loss became {value}", epoch, self.steps + int(bad[0]))
        # One after another: the sum must not depend on how the steps were grouped.
        self.sums = {
            name: functools.reduce(operator.add, each.ravel().tolist(), self.sums.get(name, 0.0))
            for name, each in values.items()
        }
        self.steps += len(values["loss"])

    @property
    def loss(self) -> float:
        """Mean loss of the steps so far."""
        return self.sums["loss"] / self.steps

    def logs(self, losses: Sequence[str], *, accuracy: bool) -> dict[str, float]:
        """Returns the means of the epoch.

        Args:
          losses: Names of several losses.
          accuracy: Whether the share of correct predictions is the accuracy.
        """
        logs = {"loss": self.loss}
        if accuracy and self.sums["weight"]:
            logs["accuracy"] = self.sums["correct"] / self.sums["weight"]
        return logs | {name: self.sums[name] / self.steps for name in losses}

    def reset(self) -> None:
        """Begins an epoch."""
        self.sums, self.steps = {}, 0

    def restore(self, sums: Mapping[str, float], steps: int) -> None:
        """Continues an epoch.

        Args:
          sums: The sums by name.
          steps: Number of the steps that they contain.
        """
        self.sums, self.steps = dict(sums), steps


def summary(logs: Mapping[str, float]) -> str:
    """Returns the values of an epoch for the log."""
    names = ["loss", "accuracy", "val_log_loss", "val_accuracy", "val_mean_absolute_error"]
    if "val_accuracy" not in logs:
        names.insert(-1, "val_macro_f1")
    return ", ".join(f"{name} {logs[name]:.3f}" for name in names if name in logs)
