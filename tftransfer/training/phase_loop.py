"""The epochs of one phase: steps, validation, the best weights, when to stop."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import operator
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checkpoints import weights
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.core.problem_types import ProblemType
from tftransfer.models.inference import compiled, predict_batches
from tftransfer.optim.optimizers import make_optimizer, multipliers
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.training.recovery import DivergedError, OutOfMemoryError, Recovery, check_finite
from tftransfer.training.reference_weights import Reference
from tftransfer.training.train_step import TrainStep, terms
from tftransfer.utils import signals
from tftransfer.utils.keras_internals import optimized_variables
from tftransfer.utils.progress import LINE_SECONDS, Progress

LOGGER = logging.getLogger(__name__)

_LINES = 10
# Steps without a better figure before a phase stops early, however few an epoch has.
_LEAST_STEPS = 100
_GROUP_SECONDS = 2.0
_PLATEAU = 3
_MOST_STEPS = 64
VALIDATED = 256


class Pace:
    """How many steps go into a group, so that a signal is heard within seconds.

    Entered around a group it takes the time; called, it gives the number for the next.
    """

    def __init__(self) -> None:
        self._steps, self._began = 8, 0.0

    def __call__(self) -> int:
        """Steps of the next group."""
        return self._steps

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *error: object) -> None:
        seconds = time.monotonic() - self._began
        if seconds < _GROUP_SECONDS / 2:
            self._steps = min(2 * self._steps, _MOST_STEPS)
        elif seconds > _GROUP_SECONDS:
            self._steps = max(1, self._steps // 2)


class PhaseLoop:
    """The epochs of one phase.

    Args:
      trainer: the `Trainer` whose network, streams and run these are.
      number: of the phase, from 0.
      planned: the phase.
      reference: the network as it was, for losses that compare with it.
    """

    def __init__(self, trainer: Any, number: int, planned: PhasePlan, reference: Reference):
        self.trainer, self.number, self.planned = trainer, number, planned
        self.phase, self.network = planned.phase, trainer.network
        self.epochs_run, self.best_epoch, self.stopped = 0, 0, "all epochs done"
        self.seconds, self.spoken = 0.0, 0.0
        self.best: dict[str, np.ndarray] = {}
        self.best_figure = -math.inf
        self.trained = [block for block, rate in planned.rates.items() if rate]
        self.step_done, self._sums = 0, dict[str, float]()
        self._fell, self._told_to_stop = 0, False
        self._pace = Pace()
        self._mender = Recovery(self)
        self._build(reference)

    def _build(self, reference: Reference) -> None:
        trainer, network, phase = self.trainer, self.network, self.phase
        self.streams = trainer.streams(self.planned)
        supervised = phase.is_supervised and "logits" in phase.tensors()
        self.val = trainer.plan.examples.where("val") if supervised else np.zeros(0, np.int64)
        self.val_inputs = trainer.validation_inputs(self.planned)
        suffix = network.submodel(self.planned.boundary, self.planned.outputs)
        variables = [v for block in self.trained for v in network.variables(block, trainable=True)]
        steps = self.streams.steps * phase.epochs
        with trainer.strategy.scope():
            self.optimizer = make_optimizer(
                phase,
                multipliers(self.planned.rates, network.variables),
                steps,
                replicas=trainer.strategy.num_replicas_in_sync,
            )
            if trainer.plan.experiment.precision == "mixed_float16":
                self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)
            self.optimizer.build(variables)
        self._new_step = functools.partial(
            TrainStep,
            suffix,
            variables,
            phase.losses,
            self.optimizer,
            reference,
            trainer.strategy,
            through=network.apply_head,
            steps=steps,
            xla=trainer.plan.xla,
            shorten=trainer.shortener(self.planned),
        )
        self.make_step()
        self.forward = compiled(network.submodel(self.planned.boundary, ["logits"]), "logits")

    def make_step(self) -> None:
        """The compiled step, for the parts that a batch has now."""
        self.step = self._new_step(microbatches=self._mender.microbatches)

    def go(self, resume: Checkpoint | None) -> None:
        """Runs the epochs, from where `resume` stands; the blocks end with the best weights."""
        self.network.model.stop_training = False
        if resume and "step" in resume.state:
            self.put_back(resume)
            self._mender.start = self._mender.found_start(resume)
        else:
            self._mender.start = self._taken()
        network = self.network
        network.model.compile(optimizer=self.optimizer)
        callbacks = keras.callbacks.CallbackList(
            self.trainer._callbacks, model=network.model, add_history=False
        )
        network.model.stop_training = self._told_to_stop
        callbacks.on_train_begin()
        began = time.monotonic()
        while not self._finished(self.epochs_run):
            try:
                self._epoch(self.epochs_run, callbacks)
            except DivergedError as error:
                self._mender.lower_the_rate(error)
            except OutOfMemoryError:
                self._mender.part_the_batch()
        callbacks.on_train_end()
        if self.best:
            weights.assign_blocks(
                {b: network.blocks[b] for b in self.trained}, self.best, self.trainer.run.workdir
            )
        self.seconds = time.monotonic() - began

    def _finished(self, epoch: int) -> bool:
        if self.step_done:  # what asked to stop inside an epoch waits for its end
            return False
        if self.network.model.stop_training:
            self.stopped = "a callback asked to stop"
            return True
        if epoch >= self.phase.epochs:
            return True
        patience = max(self.phase.patience, -(-_LEAST_STEPS // self.streams.steps))
        if self.phase.patience and len(self.val) and epoch - self.best_epoch >= patience:
            self.stopped = f"no better validation figure for {patience} epochs"
            return True
        return False

    def _epoch(self, epoch: int, callbacks: Any) -> None:
        began = time.monotonic()
        callbacks.on_epoch_begin(epoch)
        what = f"{self.phase.name}, epoch {epoch + 1}"
        pace = None if self.trainer.plan.xla else self._pace  # XLA compiles for each size of group
        groups = self.streams.epoch(epoch, start=self.step_done, most=pace)
        with Progress(what, self.streams.steps, "steps") as progress:
            progress.add(self.step_done)
            for group in groups:
                callbacks.on_train_batch_begin(self.step_done)
                with self._pace:
                    figures = self._stepped(group)
                self._count(figures, epoch)
                progress.add(len(figures["loss"]))
                loss = self._sums["loss"] / self.step_done
                callbacks.on_train_batch_end(self.step_done - 1, {"loss": loss})
                self._keep_inside_epoch()
        self._check_weights()
        logs = {"loss": self._sums["loss"] / self.streams.steps}
        single = self.trainer.plan.examples.problem_type is ProblemType.SINGLE_LABEL
        if single and "logits" in self.phase.tensors() and self._sums["weight"]:
            logs["accuracy"] = self._sums["right"] / self._sums["weight"]
        logs |= {name: self._sums[name] / self.streams.steps for name in terms(self.phase.losses)}
        logs |= self._validate()
        self.epochs_run, self.step_done, self._sums = epoch + 1, 0, {}
        self._remember(epoch, logs)
        callbacks.on_epoch_end(epoch, logs)
        self._record(epoch, logs, time.monotonic() - began)

    def _stepped(self, group: dict[str, Any]) -> dict[str, np.ndarray]:
        with _memory_told():
            return {name: v.numpy() for name, v in self.step(group).items()}

    def _count(self, figures: dict[str, np.ndarray], epoch: int) -> None:
        bad = np.flatnonzero(~np.isfinite(figures["loss"]))
        if len(bad):
            value = figures["loss"][bad[0]]
            raise DivergedError(f"the loss became {value}", epoch, self.step_done + int(bad[0]))
        # One after another: the sum must not depend on how the steps were grouped.
        self._sums = {
            name: functools.reduce(operator.add, values.ravel().tolist(), self._sums.get(name, 0.0))
            for name, values in figures.items()
        }
        self.step_done += len(figures["loss"])

    def _keep_inside_epoch(self) -> None:
        """Between two groups, where everything belongs to the same step."""
        if self.step_done == self.streams.steps:
            return
        if signals.stop_requested() or self.trainer.saver.due():
            self._check_weights()
            self.trainer.saver.save(self._mender.with_start(self._taken()))
        signals.raise_if_stop_requested()

    def _check_weights(self) -> None:
        trained = optimized_variables(self.optimizer)
        check_finite(trained, self.epochs_run, self.step_done - 1)

    def batch_names(self, epoch: int, step: int) -> list[str]:
        """Names of the examples of one batch, of all its streams."""
        names = self.trainer.plan.examples.names
        return [names[index] for index in self.streams.batch(epoch, step)]

    @property
    def scale(self) -> Any:
        """The optimizer's factor on all rates."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer).scale

    @property
    def at_once(self) -> int:
        """How many examples go forward together: memory is parted as that of a batch is."""
        preprocessor = self.network.backbone.preprocessor
        return max(1, preprocessor.scaled_batch_size(VALIDATED) // self._mender.microbatches)

    def _validate(self) -> dict[str, float]:
        if not len(self.val):
            return {}
        some = batches(self.val, self.at_once)
        with _memory_told():
            logits = predict_batches(self.forward, map(self.val_inputs, some))
        examples = self.trainer.plan.examples
        problem_type, tasks = examples.problem_type, examples.tasks
        values = problem_type.probabilities(logits, tasks=tasks)
        figures = problem_type.metrics(values, self.trainer.targets[self.val], tasks)
        return {f"val_{name}": value for name, value in figures.items()}

    def _remember(self, epoch: int, logs: dict[str, float]) -> None:
        figure = _selection_figure(logs)
        if figure is None or figure > self.best_figure:
            self.best_figure = figure if figure is not None else -math.inf
            self.best_epoch = epoch + 1
            blocks = {b: self.network.blocks[b] for b in self.trained}
            self.best = weights.collect(blocks)
        self._lower_on_a_plateau()

    def _lower_on_a_plateau(self) -> None:
        waited = self.epochs_run - max(self.best_epoch, self._fell)
        if self.phase.schedule == "plateau" and waited >= _PLATEAU:
            self._fell = self.epochs_run
            self.scale.assign(self.scale / 3)

    def _record(self, epoch: int, logs: dict[str, float], seconds: float) -> None:
        self.trainer.run.append_metrics(
            {"phase": self.phase.name, "epoch": epoch + 1, "seconds": round(seconds, 3), **logs}
        )
        shown = ", ".join(
            f"{name} {logs[name]:.3f}"
            for name in (
                "loss",
                "accuracy",
                "val_log_loss",
                "val_accuracy",
                "val_macro_f1",
                "val_mean_absolute_error",
            )
            if name in logs and not (name == "val_macro_f1" and "val_accuracy" in logs)
        )
        few = epoch % -(-self.phase.epochs // _LINES) == 0 or epoch + 1 == self.phase.epochs
        if few or time.monotonic() - self.spoken > LINE_SECONDS:
            self.spoken = time.monotonic()
            LOGGER.info(
                f"  {self.phase.name} {epoch + 1}/{self.phase.epochs}: {shown} ({seconds:.1f} s)"
            )
        self._mender.start = self._taken()
        self.trainer.saver.save(self._mender.start)
        signals.raise_if_stop_requested()

    def _taken(self) -> Checkpoint:
        """Everything as it is now: weights, random states, optimizer, position, figures."""
        optimizer = {f"{i:05d}": v.numpy() for i, v in enumerate(self.optimizer.variables)}
        return self.trainer.taken(
            self.number,
            self.epochs_run,
            best=self.best,
            optimizer=optimizer,
            step=self.step_done,
            sums=self._sums,
            best_figure=self.best_figure,
            best_epoch=self.best_epoch,
            retries=self._mender.retries,
            microbatches=self._mender.microbatches,
            fell=self._fell,
            told_to_stop=bool(self.network.model.stop_training),
        )

    def put_back(self, checkpoint: Checkpoint | None) -> None:
        """Everything as it was taken."""
        assert checkpoint is not None
        self.trainer.put_back(checkpoint)
        for variable, value in zip(
            self.optimizer.variables, checkpoint.groups["optimizer"].values(), strict=True
        ):
            variable.assign(value)
        state = checkpoint.state
        self.best = dict(checkpoint.groups["best"])
        self.best_figure, self.best_epoch = float(state["best_figure"]), int(state["best_epoch"])
        self.epochs_run, self.step_done = int(state["epoch"]), int(state["step"])
        self._sums, self._fell = dict(state["sums"]), int(state["fell"])
        self._told_to_stop = bool(state["told_to_stop"])
        self._mender.retries = int(state["retries"])
        if state["microbatches"] != self._mender.microbatches:
            self._mender.microbatches = int(state["microbatches"])
            self.make_step()


@contextlib.contextmanager
def _memory_told() -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OutOfMemoryError from error


def batches(indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The indices, `size` at a time."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _selection_figure(logs: dict[str, float]) -> float | None:
    """What the best epoch is chosen by: validation log loss, or error for regression."""
    for name in ("val_log_loss", "val_mean_absolute_error"):
        if name in logs:
            return -logs[name]
    return None
