"""What a phase does about a loss that is no number, and about memory that does not do."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.utils.errors import UserError

LOGGER = logging.getLogger(__name__)

_MOST_RETRIES = 3
_START = "start-"


class DivergedError(Exception):
    """A loss or weight that is no finite number."""

    def __init__(self, what: str, epoch: int, step: int):
        super().__init__(what)
        self.what, self.epoch, self.step = what, epoch, step


class OutOfMemoryError(Exception):
    """A step found no memory."""


class Recovery:
    """Takes a loop back to where its epoch began, with half the rate or smaller parts of a batch.

    Args:
      loop: the `PhaseLoop` of the phase.

    Attributes:
      start: all state where the epoch began.
      retries: how often the loss was no number.
      microbatches: into which each batch is cut.
    """

    def __init__(self, loop: Any):
        self._loop = loop
        self.start: Checkpoint | None = None
        self.retries, self.microbatches = 0, 1

    def lower_the_rate(self, error: DivergedError) -> None:
        """Goes back, with half the rate.

        Raises:
          UserError: that was done often enough.
        """
        loop, run = self._loop, self._loop.trainer.run
        names = loop.batch_names(error.epoch, error.step)
        where = f"phase {loop.phase.name}, epoch {error.epoch + 1}, step {error.step + 1}"
        seen = f"{names[0]} and {len(names) - 1} others" if len(names) > 1 else names[0]
        retries, scale = self.retries + 1, float(loop.scale.numpy()) / 2
        run.append_incident({"what": error.what, "where": where, "batch": names})
        if retries > _MOST_RETRIES:
            raise UserError(
                f"In {where}, on {seen}, {error.what}, for the {retries}th time.",
                f"Look at the batch in {run.incidents}, or lower the recipe's "
                "learning_rate; the last good checkpoint is kept.",
            ) from None
        self._go_back(retries, self.microbatches, scale)
        LOGGER.info(
            f"  in {where}, on {seen}, {error.what}: back to epoch {loop.epochs_run + 1}, step "
            f"{loop.step_done}, with {scale:g} times the rate; see incidents.jsonl"
        )

    def part_the_batch(self) -> None:
        """Goes back, with smaller parts of each batch at a time.

        Raises:
          UserError: a part is one example already.
        """
        loop, trainer = self._loop, self._loop.trainer
        size, microbatches = loop.streams.batch_size, self.microbatches * 2
        if microbatches > size // trainer.strategy.num_replicas_in_sync:
            raise UserError(
                f"Memory does not do for one example in phase {loop.phase.name}.",
                "Give a smaller --image_size, or a smaller backbone.",
            ) from None
        self._go_back(self.retries, microbatches, float(loop.scale.numpy()))
        said = (
            f"out of memory: each batch of {size} goes in {microbatches} parts, "
            "their gradients added"
        )
        trainer.run.append_incident({"what": said, "where": f"phase {loop.phase.name}"})
        LOGGER.info(f"  {said} up")

    def _go_back(self, retries: int, microbatches: int, scale: float) -> None:
        """To where the epoch began; what was learnt of rate and memory since then stays."""
        self._loop.put_back(self.start)
        self._loop.scale.assign(scale)
        self.retries = retries
        if microbatches != self.microbatches:
            self.microbatches = microbatches
            self._loop.make_step()

    def with_start(self, checkpoint: Checkpoint) -> Checkpoint:
        """A checkpoint inside an epoch, and what of its start is another array."""
        assert self.start is not None
        groups = dict(checkpoint.groups)
        for name, values in self.start.groups.items():
            now = checkpoint.groups[name]
            groups[_START + name] = {k: v for k, v in values.items() if v is not now.get(k)}
        return Checkpoint(groups, {**checkpoint.state, "start": self.start.state})

    def found_start(self, checkpoint: Checkpoint) -> Checkpoint:
        """The inverse of `with_start`; of a checkpoint between epochs, itself."""
        if "start" not in checkpoint.state:
            return checkpoint
        groups = {
            name: {**values, **checkpoint.groups[_START + name]}
            for name, values in checkpoint.groups.items()
            if not name.startswith(_START)
        }
        return Checkpoint(groups, checkpoint.state["start"])


def check_finite(variables: Any, epoch: int, step: int) -> None:
    """What is kept must be good to go on from.

    Raises:
      DivergedError: a weight is no finite number.
    """
    for variable in variables:
        if not np.isfinite(variable.numpy()).all():
            raise DivergedError(f"{variable.path} became infinite or NaN", epoch, step)
