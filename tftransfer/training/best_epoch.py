"""The best epoch of a phase, by its validation value, whose weights are kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tftransfer.checkpoints import weights as block_weights
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.core.typing import JSON, Array, KerasLayer


class BestEpoch:
    """Keeps the weights that the blocks that train have after their best epoch.

    Args:
      blocks: The layers of each block that trains.

    Attributes:
      weights: Arrays by name; empty before the first epoch has ended.
      number: Number of the epoch, from 1; 0 before the first has ended.
    """

    def __init__(self, blocks: Mapping[str, Sequence[KerasLayer]]):
        self._blocks, self._value = blocks, -math.inf
        self.weights: dict[str, Array] = {}
        self.number = 0

    def update(self, epoch: int, value: float | None) -> None:
        """Keeps the present weights if they are better.

        Args:
          epoch: Number of the epoch that has ended, from 1.
          value: Its validation value, higher is better; None without validation, where the last
            epoch counts as the best.
        """
        if value is not None and value <= self._value:
            return
        self._value = -math.inf if value is None else value
        self.number, self.weights = epoch, block_weights.collect(self._blocks)

    def assign(self, source: Path) -> None:
        """Assigns the kept weights to the network.

        Args:
          source: The folder of the run, for messages.
        """
        if self.weights:
            block_weights.assign_blocks(self._blocks, self.weights, source)

    def position(self) -> dict[str, JSON]:
        """Returns what a checkpoint holds besides the weights."""
        return {"best_value": self._value, "best_epoch": self.number}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restores what a checkpoint holds."""
        state: Mapping[str, Any] = checkpoint.state
        self.weights = dict(checkpoint.groups["best"])
        self._value, self.number = float(state["best_value"]), int(state["best_epoch"])
