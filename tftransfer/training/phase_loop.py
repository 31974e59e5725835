"""The epochs of one phase: steps, validation, the best weights, when to stop."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import operator
import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checkpoints import weights
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array, Variable
from tftransfer.models.inference import predict_batches
from tftransfer.optim.optimizers import make_optimizer, multipliers
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.training.context import TrainingContext
from tftransfer.training.network_logits import VALIDATION_BATCH, batches, forward_to_logits
from tftransfer.training.pacing import StepPacing
from tftransfer.training.phase_inputs import make_streams, padding_trimmer, validation_inputs
from tftransfer.training.recovery import (
    DivergedError,
    OutOfMemoryError,
    Recovery,
    check_finite,
    start_of_epoch,
)
from tftransfer.training.reference_weights import Reference
from tftransfer.training.run_state import RunState
from tftransfer.training.train_step import TrainStep, terms
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
      best_epoch: Number of the epoch with the best validation value, from 1.
      stopped: Why the phase ended.
      seconds: Duration of the phase, in seconds.
      forward: Function from the inputs of the trainable layers to the logits.
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
        self._context, self._state, self._number, self._planned = context, state, number, planned
        self.phase, self.network = planned.phase, context.network
        self.epochs_run, self.best_epoch, self.stopped = 0, 0, "all epochs done"
        self.seconds, self._logged_at = 0.0, 0.0
        self._best: dict[str, Array] = {}
        self._best_value = -math.inf
        self._trained = {b: self.network.blocks[b] for b, rate in planned.rates.items() if rate}
        self.step_done, self._sums = 0, dict[str, float]()
        self._rate_lowered_at, self._stop_requested = 0, False
        self._pacing = StepPacing()
        self._build(reference, density_ratios)

    def _build(self, reference: Reference, density_ratios: Array | None) -> None:
        context, planned, phase = self._context, self._planned, self.phase
        self.streams = make_streams(context, planned, density_ratios)
        supervised = phase.is_supervised and "logits" in phase.tensors()
        self.val = context.examples.where("val") if supervised else np.zeros(0, np.int64)
        self.val_inputs = validation_inputs(context, planned)
        variables = [v for b in self._trained for v in self.network.variables(b, trainable=True)]
        trainable_layers = self.network.submodel(planned.boundary, planned.outputs)
        steps = self.streams.steps * phase.epochs
        self.optimizer = self._make_optimizer(variables, steps)
        self._recovery = Recovery(
            context.run,
            phase.name,
            batch_size=self.streams.batch_size,
            replicas=context.strategy.num_replicas_in_sync,
        )
        self._new_step = functools.partial(
            TrainStep,
            trainable_layers,
            variables,
            phase.losses,
            self.optimizer,
            reference,
            context.strategy,
            apply_head=self.network.apply_head,
            steps=steps,
            xla=context.xla,
            trim_padding=padding_trimmer(context, planned),
        )
        self._make_step()
        self.forward = forward_to_logits(self.network, planned.boundary)

    def _make_optimizer(self, variables: list[Variable], steps: int) -> keras.optimizers.Optimizer:
        strategy = self._context.strategy
        with strategy.scope():
            optimizer = make_optimizer(
                self.phase,
                multipliers(self._planned.rates, self.network.variables),
                steps,
                replicas=strategy.num_replicas_in_sync,
            )
            if self._context.precision == "mixed_float16":
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            optimizer.build(variables)
        return optimizer

    def _make_step(self) -> None:
        """Compiles the step for the present number of microbatches."""
        self.step = self._new_step(microbatches=self._recovery.microbatches)

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
        callbacks = self._context.callbacks.of_phase(model)
        model.stop_training = self._stop_requested
        callbacks.on_train_begin()
        began = time.monotonic()
        while not self._finished(self.epochs_run):
            try:
                self._epoch(self.epochs_run, callbacks)
            except DivergedError as error:
                batch = self.batch_names(error.epoch, error.step)
                self._retry(self._recovery.lower_rate(error, batch, float(self.scale.numpy())))
            except OutOfMemoryError:
                self._recovery.split_batches()
                self._retry(float(self.scale.numpy()))
        callbacks.on_train_end()
        if self._best:
            weights.assign_blocks(self._trained, self._best, self._context.run.workdir)
        self.seconds = time.monotonic() - began

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
            self._make_step()

    def _finished(self, epoch: int) -> bool:
        if self.step_done:  # a callback's request inside an epoch takes effect at its end
            return False
        if self.network.model.stop_training:
            self.stopped = "a callback requested the stop"
            return True
        if epoch >= self.phase.epochs:
            return True
        patience = max(self.phase.patience, -(-_MIN_PATIENCE_STEPS // self.streams.steps))
        if self.phase.patience and len(self.val) and epoch - self.best_epoch >= patience:
            self.stopped = f"no better validation value for {patience} epochs"
            return True
        return False

    def _epoch(self, epoch: int, callbacks: keras.callbacks.CallbackList) -> None:
        began = time.monotonic()
        callbacks.on_epoch_begin(epoch)
        # XLA compiles for each number of steps.
        pacing = None if self._context.xla else self._pacing
        groups = self.streams.epoch(epoch, start=self.step_done, max_steps=pacing)
        with Progress(f"{self.phase.name}, epoch {epoch + 1}", self.streams.steps, "steps") as bar:
            bar.add(self.step_done)
            for group in groups:
                callbacks.on_train_batch_begin(self.step_done)
                with self._pacing, _out_of_memory_raised():
                    values = {name: np.asarray(v) for name, v in self.step(group).items()}
                self._count(values, epoch)
                bar.add(len(values["loss"]))
                loss = self._sums["loss"] / self.step_done
                callbacks.on_train_batch_end(self.step_done - 1, {"loss": loss})
                self._save_inside_epoch()
        self._check_weights()
        logs = self._train_logs() | self._validate()
        self.epochs_run, self.step_done, self._sums = epoch + 1, 0, {}
        self._update_best(epoch, logs)
        callbacks.on_epoch_end(epoch, logs)
        self._record(epoch, logs, time.monotonic() - began)

    def _train_logs(self) -> dict[str, float]:
        sums, steps = self._sums, self.streams.steps
        logs = {"loss": sums["loss"] / steps}
        single = self._context.examples.problem_type is ProblemType.SINGLE_LABEL
        if single and "logits" in self.phase.tensors() and sums["weight"]:
            logs["accuracy"] = sums["correct"] / sums["weight"]
        return logs | {name: sums[name] / steps for name in terms(self.phase.losses)}

    def _count(self, values: dict[str, Array], epoch: int) -> None:
        """Adds the values of a group of steps to the sums of the epoch."""
        bad = np.flatnonzero(~np.isfinite(values["loss"]))
        if len(bad):
            value = values["loss"][bad[0]]
            raise DivergedError(f"the loss became {value}", epoch, self.step_done + int(bad[0]))
        # One after another: the sum must not depend on how the steps were grouped.
        self._sums = {
            name: functools.reduce(operator.add, each.ravel().tolist(), self._sums.get(name, 0.0))
            for name, each in values.items()
        }
        self.step_done += len(values["loss"])

    def _save_inside_epoch(self) -> None:
        """Saves between two calls of the step, where everything belongs to the same step."""
        if self.step_done == self.streams.steps:
            return
        saver = self._context.saver
        if signals.stop_requested() or saver.due():
            self._check_weights()
            saver.save(self._recovery.with_start(self._snapshot()))
        signals.raise_if_stop_requested()

    def _check_weights(self) -> None:
        check_finite(optimized_variables(self.optimizer), self.epochs_run, self.step_done - 1)

    def batch_names(self, epoch: int, step: int) -> list[str]:
        """Returns the names of the examples of one batch, of all its streams."""
        names = self._context.examples.names
        return [names[index] for index in self.streams.batch(epoch, step)]

    @property
    def scale(self) -> Variable:
        """The optimizer's factor of all learning rates."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer).scale

    @property
    def validation_batch_size(self) -> int:
        """Examples that go forward together; fewer where training batches had to be split."""
        preprocessor = self.network.backbone.preprocessor
        return max(
            1, preprocessor.scaled_batch_size(VALIDATION_BATCH) // self._recovery.microbatches
        )

    def _validate(self) -> dict[str, float]:
        if not len(self.val):
            return {}
        some = batches(self.val, self.validation_batch_size)
        with _out_of_memory_raised():
            logits = predict_batches(self.forward, map(self.val_inputs, some))
        examples, targets = self._context.examples, self._context.targets[self.val]
        problem_type, tasks = examples.problem_type, examples.tasks
        scores = problem_type.probabilities(logits, tasks=tasks)
        values = problem_type.metrics(scores, targets, tasks)
        return {f"val_{name}": value for name, value in values.items()}

    def _update_best(self, epoch: int, logs: dict[str, float]) -> None:
        value = _selection_value(logs)
        if value is None or value > self._best_value:
            self._best_value = value if value is not None else -math.inf
            self.best_epoch = epoch + 1
            self._best = weights.collect(self._trained)
        self._lower_rate_on_plateau()

    def _lower_rate_on_plateau(self) -> None:
        waited = self.epochs_run - max(self.best_epoch, self._rate_lowered_at)
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
                f"  {phase.name} {epoch + 1}/{phase.epochs}: {_logged(logs)} ({seconds:.1f} s)"
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
            best=self._best,
            optimizer=optimizer,
            step=self.step_done,
            sums=self._sums,
            best_value=self._best_value,
            best_epoch=self.best_epoch,
            retries=self._recovery.retries,
            microbatches=self._recovery.microbatches,
            rate_lowered_at=self._rate_lowered_at,
            stop_requested=bool(self.network.model.stop_training),
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Assigns everything that a snapshot holds."""
        self._state.restore(checkpoint)
        stored = checkpoint.groups["optimizer"].values()
        for variable, value in zip(self.optimizer.variables, stored, strict=True):
            variable.assign(value)
        state = checkpoint.state
        self._best = dict(checkpoint.groups["best"])
        self._best_value, self.best_epoch = float(state["best_value"]), int(state["best_epoch"])
        self.epochs_run, self.step_done = int(state["epoch"]), int(state["step"])
        self._sums, self._rate_lowered_at = dict(state["sums"]), int(state["rate_lowered_at"])
        self._stop_requested = bool(state["stop_requested"])
        self._recovery.retries = int(state["retries"])
        self._set_microbatches(int(state["microbatches"]))


@contextlib.contextmanager
def _out_of_memory_raised() -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OutOfMemoryError from error


def _selection_value(logs: dict[str, float]) -> float | None:
    """Returns what the best epoch is selected by: minus the log loss, or the absolute error."""
    for name in ("val_log_loss", "val_mean_absolute_error"):
        if name in logs:
            return -logs[name]
    return None


def _logged(logs: dict[str, float]) -> str:
    """Returns the values of an epoch for the log."""
    names = ["loss", "accuracy", "val_log_loss", "val_accuracy", "val_mean_absolute_error"]
    if "val_accuracy" not in logs:
        names.insert(-1, "val_macro_f1")
    return ", ".join(f"{name} {logs[name]:.3f}" for name in names if name in logs)
