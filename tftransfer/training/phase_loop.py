"""The epochs of one phase: steps, validation, the best weights, when to stop."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array, Variable
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.training.best_epoch import BestEpoch
from tftransfer.training.context import TrainingContext
from tftransfer.training.epoch_logs import EpochSums, summary
from tftransfer.training.pacing import StepPacing
from tftransfer.training.phase_inputs import make_streams
from tftransfer.training.recovery import (
    DivergedError,
    OutOfMemoryError,
    Recovery,
    check_finite,
    start_of_epoch,
)
from tftransfer.training.reference_weights import Reference
from tftransfer.training.run_state import RunState
from tftransfer.training.step_factory import build_optimizer, step_factory, trained_variables
from tftransfer.training.train_step import terms
from tftransfer.training.validation import Validation, selection_value
from tftransfer.utils import signals
from tftransfer.utils.keras_internals import optimized_variables
from tftransfer.utils.progress import LINE_SECONDS, Progress

LOGGER = logging.getLogger(__name__)

# Epochs that are logged at most, besides one line every few seconds.
_LOGGED_EPOCHS = 10
# Steps without a better validation value before a phase stops, however few an epoch has.
_MIN_PATIENCE_STEPS = 100
# Epochs without a better validation value after which `plateau` lowers the rate, to a third.
_PLATEAU_EPOCHS = 3
_PLATEAU_DIVISOR = 3


class PhaseLoop:
    """The epochs of one phase.

    Args:
      context: What the training reads.
      state: The state of the run; snapshots of the loop extend it.
      number: Index of the phase, from 0.
      planned: The phase.
      reference: The network as it was, for losses that compare with it.
      density_ratios: Weight of each example, float32 [n]; None where the phase does not reweight.

    Attributes:
      epochs_run: Number of finished epochs.
      best: The best epoch so far and its weights.
      stopped: Why the phase ended.
      seconds: Duration of the phase, in seconds.
      validation: Evaluates the network on the validation split.
    """

    def __init__(
        self,
        context: TrainingContext,
        state: RunState,
        number: int,
        planned: PhasePlan,
        reference: Reference,
        density_ratios: Array | None = None,
    ):
        self._context, self._state, self._number = context, state, number
        self.phase, self.network = planned.phase, context.network
        self.epochs_run, self.stopped = 0, "all epochs done"
        self.seconds, self._logged_at = 0.0, 0.0
        self._sums, self._pacing, self._callbacks = EpochSums(), StepPacing(), context.callbacks
        self._rate_lowered_at, self._stop_requested = 0, False
        blocks = self.network.blocks
        self.best = BestEpoch({b: blocks[b] for b, rate in planned.rates.items() if rate})
        self.streams = make_streams(context, planned, density_ratios)
        self.validation = Validation(context, planned, reference)
        self._recovery = Recovery(
            context.run,
            self.phase.name,
            batch_size=self.streams.batch_size,
            replicas=context.strategy.num_replicas_in_sync,
        )
        variables, steps = trained_variables(context, planned), self.steps * self.phase.epochs
        self.optimizer = build_optimizer(context, planned, variables, steps)
        self._make_step = step_factory(
            context, planned, reference, self.optimizer, variables, steps
        )
        self.step, self._rate_assigned = self._make_step(microbatches=1), False

    @property
    def steps(self) -> int:
        """Number of steps of an epoch."""
        return self.streams.steps

    @property
    def step_done(self) -> int:
        """Number of steps of the present epoch that are done."""
        return self._sums.steps

    @property
    def _inner_optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer without the one that scales the loss."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer)

    @property
    def scale(self) -> Variable:
        """The optimizer's factor of all learning rates."""
        return self._inner_optimizer.scale

    @property
    def validation_batch_size(self) -> int:
        """Examples that go forward together; fewer where training batches had to be split."""
        return self.validation.batch_size(self._recovery.microbatches)

    def run(self, resume: Checkpoint | None) -> None:
        """Runs the epochs; the trained blocks end with their best weights.

        Args:
          resume: A checkpoint inside this phase to resume from; another one is ignored.
        """
        model = self.network.model
        model.stop_training = False
        if resume and "step" in resume.state:
            self._restore(resume)
            self._recovery.start = start_of_epoch(resume)
        else:
            self._recovery.start = self._snapshot()
        model.compile(optimizer=self.optimizer)
        model.stop_training = self._stop_requested
        before, epochs = self._state.epochs_run, self.phase.epochs
        self._callbacks.begin_phase(model, first_epoch=before, epochs=epochs, steps=self.steps)
        began = time.monotonic()
        while not self._finished(self.epochs_run):
            try:
                self._epoch(self.epochs_run)
            except DivergedError as error:
                batch = self.batch_names(error.epoch, error.step)
                self._retry(self._recovery.lower_rate(error, batch, float(self.scale.numpy())))
            except OutOfMemoryError:
                self._recovery.split_batches()
                self._retry(float(self.scale.numpy()))
        self._callbacks.end_phase()
        self.best.assign(self._context.run.workdir)
        self.seconds = time.monotonic() - began

    def batch_names(self, epoch: int, step: int) -> list[str]:
        """Returns the names of the examples of one batch, of all its streams."""
        names = self._context.examples.names
        return [names[index] for index in self.streams.batch(epoch, step)]

    def _retry(self, scale: float) -> None:
        """Restores the start of the epoch; what was learned of rate and memory is kept."""
        recovery = self._recovery
        retries, microbatches = recovery.retries, recovery.microbatches
        self._restore(recovery.start)
        self.scale.assign(scale)
        recovery.retries = retries
        self._set_microbatches(microbatches)

    def _set_microbatches(self, microbatches: int) -> None:
        self._recovery.microbatches = microbatches
        if microbatches != self.step.microbatches:
            self.step = self._make_step(microbatches=microbatches)

    def _follow_assigned_rate(self) -> None:
        """Compiles the step again once a callback has assigned a learning rate."""
        assigned = self._inner_optimizer.rate_assigned
        if assigned != self._rate_assigned:
            self._rate_assigned = assigned
            self.step = self._make_step(microbatches=self._recovery.microbatches)

    def _finished(self, epoch: int) -> bool:
        if self.step_done:  # a callback's request inside an epoch takes effect at its end
            return False
        if self.network.model.stop_training:
            self.stopped = "a callback requested the stop"
            return True
        if epoch >= self.phase.epochs:
            return True
        patience = max(self.phase.patience, -(-_MIN_PATIENCE_STEPS // self.steps))
        validated = self.phase.patience and len(self.validation.indices)
        if validated and epoch - self.best.number >= patience:
            self.stopped = f"no better validation value for {patience} epochs"
            return True
        return False

    def _epoch(self, epoch: int) -> None:
        began = time.monotonic()
        self._callbacks.on_epoch_begin(epoch)
        # XLA compiles for each number of steps.
        pacing = None if self._context.xla else self._pacing
        groups = self.streams.epoch(epoch, start=self.step_done, max_steps=pacing)
        with Progress(f"{self.phase.name}, epoch {epoch + 1}", self.steps, "steps") as progress:
            progress.add(self.step_done)
            for group in groups:
                self._callbacks.on_train_batch_begin(self.step_done)
                self._follow_assigned_rate()
                with self._pacing, _out_of_memory_raised():
                    values = {name: np.asarray(v) for name, v in self.step(group).items()}
                self._count(values, epoch)
                progress.add(len(values["loss"]))
                self._callbacks.on_train_batch_end(self.step_done - 1, {"loss": self._sums.loss})
                self._save_inside_epoch()
        self._check_weights()
        logs = self._train_logs() | self._validate()
        self.epochs_run = epoch + 1
        self._sums.reset()
        self.best.update(self.epochs_run, selection_value(logs))
        self._lower_rate_on_plateau()
        self._callbacks.on_epoch_end(epoch, logs)
        self._record(epoch, logs, time.monotonic() - began)

    def _count(self, values: dict[str, Array], epoch: int) -> None:
        """Adds the values of a group of steps."""
        self._sums.add(values, epoch)

    def _train_logs(self) -> dict[str, float]:
        single = self._context.examples.problem_type is ProblemType.SINGLE_LABEL
        accuracy = single and "logits" in self.phase.tensors()
        logs = self._sums.logs(terms(self.phase.losses), accuracy=accuracy)
        return {**logs, "learning_rate": float(self.optimizer.learning_rate)}

    def _validate(self) -> dict[str, float]:
        with _out_of_memory_raised():
            return self.validation(self.validation_batch_size)

    def _save_inside_epoch(self) -> None:
        """Saves between two calls of the step, where everything belongs to the same step."""
        if self.step_done == self.steps:
            return
        saver = self._context.saver
        if signals.stop_requested() or saver.due():
            self._check_weights()
            saver.save(self._recovery.with_start(self._snapshot()))
        signals.raise_if_stop_requested()

    def _check_weights(self) -> None:
        check_finite(optimized_variables(self.optimizer), self.epochs_run, self.step_done - 1)

    def _lower_rate_on_plateau(self) -> None:
        waited = self.epochs_run - max(self.best.number, self._rate_lowered_at)
        if self.phase.schedule == "plateau" and waited >= _PLATEAU_EPOCHS:
            self._rate_lowered_at = self.epochs_run
            self.scale.assign(self.scale / _PLATEAU_DIVISOR)

    def _record(self, epoch: int, logs: dict[str, float], seconds: float) -> None:
        phase, context = self.phase, self._context
        context.run.append_metrics(
            {"phase": phase.name, "epoch": epoch + 1, "seconds": round(seconds, 3), **logs}
        )
        every = -(-phase.epochs // _LOGGED_EPOCHS)
        chosen = epoch % every == 0 or epoch + 1 == phase.epochs
        if chosen or time.monotonic() - self._logged_at > LINE_SECONDS:
            self._logged_at = time.monotonic()
            LOGGER.info(
                f"  {phase.name} {epoch + 1}/{phase.epochs}: {summary(logs)} ({seconds:.1f} s)"
            )
        self._recovery.start = self._snapshot()
        context.saver.save(self._recovery.start)
        signals.raise_if_stop_requested()

    def _snapshot(self) -> Checkpoint:
        """Returns a copy of everything: weights, random states, optimizer, position, values."""
        optimizer = {f"{i:05d}": v.numpy() for i, v in enumerate(self.optimizer.variables)}
        return self._state.snapshot(
            self._number,
            self.epochs_run,
            best=self.best.weights,
            optimizer=optimizer,
            step=self.step_done,
            sums=self._sums.sums,
            retries=self._recovery.retries,
            microbatches=self._recovery.microbatches,
            rate_lowered_at=self._rate_lowered_at,
            rate_assigned=self._inner_optimizer.rate_assigned,
            stop_requested=bool(self.network.model.stop_training),
            **self.best.position(),
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Assigns everything that a snapshot holds."""
        self._state.restore(checkpoint)
        stored = checkpoint.groups["optimizer"].values()
        for variable, value in zip(self.optimizer.variables, stored, strict=True):
            variable.assign(value)
        state = checkpoint.state
        self.best.restore(checkpoint)
        self.epochs_run, self._rate_lowered_at = int(state["epoch"]), int(state["rate_lowered_at"])
        self._sums.restore(state["sums"], int(state["step"]))
        self._stop_requested = bool(state["stop_requested"])
        self._inner_optimizer.rate_assigned = bool(state["rate_assigned"])
        self._recovery.retries = int(state["retries"])
        self._set_microbatches(int(state["microbatches"]))


@contextlib.contextmanager
def _out_of_memory_raised() -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OutOfMemoryError from error
