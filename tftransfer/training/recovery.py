"""Recovery from a loss that is not finite, and from memory that is insufficient for a batch."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.core.typing import Variable
from tftransfer.utils.errors import UserError
from tftransfer.workdir.run_folder import RunFolder

LOGGER = logging.getLogger(__name__)

_MAX_RETRIES = 3
_START_PREFIX = "start-"


class DivergedError(Exception):
    """A loss or a weight is not finite.

    Args:
      what: What happened, such as `the loss became nan`.
      epoch: Index of the epoch, from 0.
      step: Index of the step in the epoch, from 0.
    """

    def __init__(self, what: str, epoch: int, step: int):
        super().__init__(what)
        self.what, self.epoch, self.step = what, epoch, step


class OutOfMemoryError(Exception):
    """A step found too little memory."""


class Recovery:
    """Decides how a phase retries an epoch: with half the learning rate, or in microbatches.

    The loop restores `start` afterwards; what was learned about rate and memory is kept.

    Args:
      run: The run, whose incidents are recorded.
      phase: Name of the phase.
      batch_size: Number of examples in a batch.
      replicas: Number of devices that share a batch.

    Attributes:
      start: The state at the start of the epoch.
      retries: How often a loss or weight was not finite.
      microbatches: Number of parts that each batch is split into.
    """

    def __init__(self, run: RunFolder, phase: str, *, batch_size: int, replicas: int):
        self._run, self._phase = run, phase
        self._batch_size, self._replicas = batch_size, replicas
        self.start = Checkpoint({}, {})
        self.retries, self.microbatches = 0, 1

    def lower_rate(self, error: DivergedError, batch: Sequence[str], scale: float) -> float:
        """Records a divergence and returns the scale of the learning rate to retry with.

        Args:
          error: The divergence.
          batch: Names of the examples of the batch.
          scale: The present scale of the learning rate.

        Raises:
          UserError: The rate was lowered often enough.
        """
        where = f"phase {self._phase}, epoch {error.epoch + 1}, step {error.step + 1}"
        seen = f"{batch[0]} and {len(batch) - 1} others" if len(batch) > 1 else batch[0]
        self._run.append_incident({"what": error.what, "where": where, "batch": list(batch)})
        self.retries += 1
        if self.retries > _MAX_RETRIES:
            raise UserError(
                f"In {where}, on {seen}, {error.what}, for the {self.retries}th time.",
                f"Look at the batch in {self._run.incidents}, or lower the recipe's "
                "learning_rate; the last good checkpoint is kept.",
            ) from None
        position = self.start.state
        LOGGER.info(
            f"  in {where}, on {seen}, {error.what}: back to epoch {position['epoch'] + 1}, step "
            f"{position['step']}, with {scale / 2:g} times the rate; see incidents.jsonl"
        )
        return scale / 2

    def split_batches(self) -> None:
        """Doubles the number of microbatches.

        Raises:
          UserError: A microbatch is one example already.
        """
        microbatches = self.microbatches * 2
        if microbatches > self._batch_size // self._replicas:
            raise UserError(
                f"Out of memory for a single example in phase {self._phase}.",
                "Give a smaller --image_size, or a smaller backbone.",
            ) from None
        self.microbatches = microbatches
        what = (
            f"out of memory: each batch of {self._batch_size} is split into {microbatches} "
            "microbatches, whose gradients are summed"
        )
        self._run.append_incident({"what": what, "where": f"phase {self._phase}"})
        LOGGER.info(f"  {what}")

    def with_start(self, checkpoint: Checkpoint) -> Checkpoint:
        """Returns a checkpoint inside an epoch with the arrays of the epoch's start added."""
        groups = dict(checkpoint.groups)
        for name, values in self.start.groups.items():
            now = checkpoint.groups[name]
            groups[_START_PREFIX + name] = {k: v for k, v in values.items() if v is not now.get(k)}
        return Checkpoint(groups, {**checkpoint.state, "start": self.start.state})


def start_of_epoch(checkpoint: Checkpoint) -> Checkpoint:
    """Returns the start that `Recovery.with_start` added; a checkpoint without one is a start."""
    if "start" not in checkpoint.state:
        return checkpoint
    groups = {
        name: {**values, **checkpoint.groups[_START_PREFIX + name]}
        for name, values in checkpoint.groups.items()
        if not name.startswith(_START_PREFIX)
    }
    return Checkpoint(groups, checkpoint.state["start"])


def check_finite(variables: Iterable[Variable], epoch: int, step: int) -> None:
    """Checks weights before they are kept.

    Args:
      variables: The weights.
      epoch: Index of the epoch, from 0.
      step: Index of the last step, from 0.

    Raises:
      DivergedError: A weight is not finite.
    """
    for variable in variables:
        if not np.isfinite(variable.numpy()).all():
            raise DivergedError(f"{variable.path} became infinite or NaN", epoch, step)
