"""The state of a run between two steps, as checkpoints hold it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from tftransfer.checkpoints import weights
from tftransfer.checkpoints.async_saver import AsyncSaver
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.core.typing import JSON, Array
from tftransfer.models.network import Network

LOGGER = logging.getLogger(__name__)


class RunState:
    """Weights, random states, and the records of the finished phases.

    Args:
      network: The network that trains.
      saver: Writes the checkpoints of the run.

    Attributes:
      records: What each finished phase did, for `result.json`.
    """

    def __init__(self, network: Network, saver: AsyncSaver):
        self._network, self._saver = network, saver
        self._frozen: dict[str, Array] = {}
        self._trained = list(network.blocks)
        self.records: list[dict[str, Any]] = []

    @property
    def epochs_run(self) -> int:
        """Number of epochs of all finished phases."""
        return sum(int(record["epochs"]) for record in self.records)

    def begin_phase(self, frozen: Iterable[str]) -> None:
        """Copies the weights of the blocks that do not train, once for all snapshots."""
        frozen = set(frozen)
        self._frozen = self._collect(frozen)
        self._trained = [block for block in self._network.blocks if block not in frozen]

    def snapshot(
        self,
        phase: int,
        epoch: int,
        *,
        best: Mapping[str, Array] | None = None,
        optimizer: Mapping[str, Array] | None = None,
        **position: JSON,
    ) -> Checkpoint:
        """Returns a copy of all that is needed to resume from here.

        Args:
          phase: Index of the phase, from 0.
          epoch: Number of its epochs that are finished.
          best: The best weights of the phase so far.
          optimizer: Values of the optimizer's variables.
          **position: What else the phase needs to resume inside of it.
        """
        seeds = self._network.seed_states()
        groups: dict[str, Mapping[str, Array]] = {
            "weights": self._frozen | self._collect(self._trained),
            "seeds": {f"{number:04d}": seed.numpy() for number, seed in enumerate(seeds)},
            "best": best or {},
            "optimizer": optimizer or {},
        }
        state = {"phase": phase, "epoch": epoch, "phases": list(self.records), **position}
        return Checkpoint(groups, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Assigns the weights and random states of a snapshot."""
        stored = checkpoint.groups["weights"]
        weights.assign_blocks(self._network.blocks, stored, self._saver.folder)
        seeds = checkpoint.groups["seeds"].values()
        for state, value in zip(self._network.seed_states(), seeds, strict=True):
            state.assign(value)

    def newest_checkpoint(self) -> Checkpoint | None:
        """Reads the newest checkpoint of the run and the records in it; None for a new run."""
        checkpoint = self._saver.newest()
        if checkpoint is None:
            return None
        state = checkpoint.state
        self.records = list(state["phases"])
        inside = f", step {state['step']} of the next" if state.get("step") else ""
        LOGGER.info(f"resuming in phase {state['phase'] + 1} after epoch {state['epoch']}{inside}")
        return checkpoint

    def _collect(self, blocks: Iterable[str]) -> dict[str, Array]:
        return weights.collect({block: self._network.blocks[block] for block in blocks})
