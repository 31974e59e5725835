"""The epochs of one phase: steps, validation, the best weights, when to stop."""

from __future__ import annotations

import functools
import math
import operator
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.building.network import FEATURES, compiled
from tftransfer.ground import stops
from tftransfer.ground.errors import UserError
from tftransfer.ground.progress import SPEAK_EVERY, Progress
from tftransfer.parts import arrays, scores
from tftransfer.parts.checkpoints import Checkpoint
from tftransfer.parts.optimizers import make_optimizer, multipliers
from tftransfer.using.plan import PhasePlan
from tftransfer.using.step import Reference, Step

_LINES = 10
# Steps without a better figure before a phase stops early, however few an epoch has.
_LEAST_STEPS = 100
_GROUP_SECONDS = 2.0
_NO_SUMS = {"loss": 0.0, "weight": 0.0, "right": 0.0}
_MOST_RETRIES = 3
_PLATEAU = 3
_MOST_STEPS = 64


class _Diverged(Exception):
    """A loss or weight that is no finite number."""

    def __init__(self, what: str, epoch: int, step: int):
        super().__init__(what)
        self.what, self.epoch, self.step = what, epoch, step


class _NoMemory(Exception):
    """A step found no memory."""


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


class Loop:
    """The epochs of one phase.

    Args:
      trainer: the `Trainer` whose network, streams and run these are.
      number: of the phase, from 0.
      planned: the phase.
      reference: the network as it was before training.
    """

    def __init__(self, trainer: Any, number: int, planned: PhasePlan, reference: Reference):
        self.trainer, self.number, self.planned = trainer, number, planned
        self.phase, self.network = planned.phase, trainer.network
        self.epochs_run, self.best_epoch, self.stopped = 0, 0, "all epochs done"
        self.seconds, self.spoken = 0.0, 0.0
        self.best: dict[str, np.ndarray] = {}
        self.best_figure = -math.inf
        self.trained = [block for block, rate in planned.rates.items() if rate]
        self._step_done, self._sums = 0, dict(_NO_SUMS)
        self._retries, self._parts, self._fell = 0, 1, 0
        self._pace = Pace()
        self._start: Checkpoint | None = None
        self._build(reference)

    def _build(self, reference: Reference) -> None:
        trainer, network, phase = self.trainer, self.network, self.phase
        self.stream = trainer.stream(self.planned)
        self.val = trainer.plan.examples.where("val")
        self.val_inputs = trainer.validation_inputs(self.planned)
        outputs = list(dict.fromkeys([FEATURES, *(h.output for h in network.heads)]))
        suffix = network.part(self.planned.cut, outputs)
        variables = [v for block in self.trained for v in network.variables(block, trainable=True)]
        with trainer.strategy.scope():
            self.optimizer = make_optimizer(
                phase,
                multipliers(self.planned.rates, network.variables),
                self.stream.steps * phase.epochs,
                replicas=trainer.strategy.num_replicas_in_sync,
            )
            if trainer.plan.experiment.precision == "mixed_float16":
                self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)
            self.optimizer.build(variables)
        self._make_step = functools.partial(
            Step, suffix, variables, phase.losses, self.optimizer, reference, trainer.strategy,
            xla=trainer.plan.xla,
        )  # fmt: skip
        self.step = self._make_step(parts=self._parts)
        self.forward = compiled(suffix, "logits")

    def go(self, resume: Checkpoint | None) -> None:
        """Runs the epochs, from where `resume` stands; the blocks end with the best weights."""
        if resume and "step" in resume.state:
            self._put_back(resume)
        self._start = self._taken()
        network = self.network
        network.model.compile(optimizer=self.optimizer)
        callbacks = keras.callbacks.CallbackList(
            self.trainer._callbacks, model=network.model, add_history=False
        )
        network.model.stop_training = False
        callbacks.on_train_begin()
        began = time.monotonic()
        while self.epochs_run < self.phase.epochs and not self._finished(self.epochs_run):
            try:
                self._epoch(self.epochs_run, callbacks)
            except _Diverged as error:
                self._lower_the_rate(error)
            except _NoMemory:
                self._part_the_batch()
            if network.model.stop_training:
                self.stopped = "a callback asked to stop"
                break
        callbacks.on_train_end()
        if self.best:
            arrays.assign_blocks(
                {b: network.blocks[b] for b in self.trained}, self.best, self.trainer.run.workdir
            )
        self.seconds = time.monotonic() - began

    def _finished(self, epoch: int) -> bool:
        patience = max(self.phase.patience, -(-_LEAST_STEPS // self.stream.steps))
        if self.phase.patience and len(self.val) and epoch - self.best_epoch >= patience:
            self.stopped = f"no better validation figure for {patience} epochs"
            return True
        return False

    def _epoch(self, epoch: int, callbacks: Any) -> None:
        began = time.monotonic()
        callbacks.on_epoch_begin(epoch)
        what = f"{self.phase.name}, epoch {epoch + 1}"
        pace = None if self.trainer.plan.xla else self._pace  # XLA compiles for each size of group
        groups = self.stream.epoch(epoch, start=self._step_done, most=pace)
        with Progress(self.trainer.say, what, self.stream.steps, "steps") as progress:
            progress.add(self._step_done)
            for group in groups:
                callbacks.on_train_batch_begin(self._step_done)
                with self._pace:
                    figures = self._stepped(group)
                self._count(figures, epoch)
                progress.add(len(figures["loss"]))
                loss = self._sums["loss"] / self._step_done
                callbacks.on_train_batch_end(self._step_done - 1, {"loss": loss})
                self._keep_inside_epoch()
        self._check_weights()
        logs = {"loss": self._sums["loss"] / self.stream.steps}
        if self.trainer.plan.examples.target == "single_label":
            logs["accuracy"] = self._sums["right"] / self._sums["weight"]
        logs |= self._validate()
        self.epochs_run, self._step_done, self._sums = epoch + 1, 0, dict(_NO_SUMS)
        self._remember(epoch, logs)
        callbacks.on_epoch_end(epoch, logs)
        self._record(epoch, logs, time.monotonic() - began)

    def _stepped(self, group: dict[str, Any]) -> dict[str, np.ndarray]:
        try:
            return {name: v.numpy() for name, v in self.step({"train": group}).items()}
        except tf.errors.ResourceExhaustedError as error:
            raise _NoMemory from error

    def _count(self, figures: dict[str, np.ndarray], epoch: int) -> None:
        bad = np.flatnonzero(~np.isfinite(figures["loss"]))
        if len(bad):
            value = figures["loss"][bad[0]]
            raise _Diverged(f"the loss became {value}", epoch, self._step_done + int(bad[0]))
        # One after another: the sum must not depend on how the steps were grouped.
        self._sums = {
            name: functools.reduce(operator.add, values.ravel().tolist(), self._sums[name])
            for name, values in figures.items()
        }
        self._step_done += len(figures["loss"])

    def _keep_inside_epoch(self) -> None:
        """Between two groups, where everything belongs to the same step."""
        if self._step_done == self.stream.steps:
            return
        if stops.asked() or self.trainer.due():
            self._check_weights()
            self.trainer.save(self._taken())
        stops.check()

    def _check_weights(self) -> None:
        """What is kept must be good to go on from."""
        for variable in self.optimizer._trainable_variables:
            if not np.isfinite(variable.numpy()).all():
                what = f"{variable.path} became infinite or NaN"
                raise _Diverged(what, self.epochs_run, self._step_done - 1)

    def _lower_the_rate(self, error: _Diverged) -> None:
        """Goes back to where the epoch began, with half the rate."""
        examples = self.trainer.plan.examples
        batch = self.stream.batch(error.epoch, error.step)
        names = [examples.names[index] for index in batch]
        where = f"phase {self.phase.name}, epoch {error.epoch + 1}, step {error.step + 1}"
        seen = f"{names[0]} and {len(names) - 1} others" if len(names) > 1 else names[0]
        retries, scale = self._retries + 1, float(self._scale.numpy()) / 2
        self.trainer.run.incident({"what": error.what, "where": where, "batch": names})
        if retries > _MOST_RETRIES:
            raise UserError(
                f"In {where}, on {seen}, {error.what}, for the {retries}th time.",
                f"Look at the batch in {self.trainer.run.incidents}, or lower the recipe's "
                "learning_rate; the last good checkpoint is kept.",
            ) from None
        self._put_back(self._start)
        self._retries = retries
        self._scale.assign(scale)
        self.trainer.say(
            f"  in {where}, on {seen}, {error.what}: back to epoch {self.epochs_run + 1}, step "
            f"{self._step_done}, with {scale:g} times the rate; see incidents.jsonl"
        )

    def _part_the_batch(self) -> None:
        """Goes back to where the epoch began, with smaller parts of each batch at a time."""
        size, parts = self.stream.batch_size, self._parts * 2
        if parts > size // self.trainer.strategy.num_replicas_in_sync:
            raise UserError(
                f"Memory does not do for one example in phase {self.phase.name}.",
                "Give a smaller --image_size, or a smaller backbone.",
            ) from None
        self._put_back(self._start)
        self._parts = parts
        self.step = self._make_step(parts=parts)
        said = f"out of memory: each batch of {size} goes in {parts} parts, their gradients added"
        self.trainer.run.incident({"what": said, "where": f"phase {self.phase.name}"})
        self.trainer.say(f"  {said} up")

    @property
    def _scale(self) -> Any:
        return getattr(self.optimizer, "inner_optimizer", self.optimizer).scale

    def _validate(self) -> dict[str, float]:
        if not len(self.val):
            return {}
        logits = [self.forward(*self.val_inputs(s)).numpy() for s in batches(self.val, 256)]
        target = self.trainer.plan.examples.target
        values = scores.probabilities(np.concatenate(logits), target)
        figures = scores.metrics(values, self.trainer.targets[self.val], target)
        return {f"val_{name}": value for name, value in figures.items()}

    def _remember(self, epoch: int, logs: dict[str, float]) -> None:
        figure = _selection_figure(logs)
        if figure is None or figure > self.best_figure:
            self.best_figure = figure if figure is not None else -math.inf
            self.best_epoch = epoch + 1
            blocks = {b: self.network.blocks[b] for b in self.trained}
            self.best = arrays.collect(blocks)
        self._lower_on_a_plateau()

    def _lower_on_a_plateau(self) -> None:
        waited = self.epochs_run - max(self.best_epoch, self._fell)
        if self.phase.schedule == "plateau" and waited >= _PLATEAU:
            self._fell = self.epochs_run
            self._scale.assign(self._scale / 3)

    def _record(self, epoch: int, logs: dict[str, float], seconds: float) -> None:
        self.trainer.run.log(
            {"phase": self.phase.name, "epoch": epoch + 1, "seconds": round(seconds, 3), **logs}
        )
        shown = ", ".join(
            f"{name} {logs[name]:.3f}"
            for name in ("loss", "accuracy", "val_log_loss", "val_accuracy", "val_macro_f1",
                         "val_mean_absolute_error")
            if name in logs and not (name == "val_macro_f1" and "val_accuracy" in logs)
        )  # fmt: skip
        few = epoch % -(-self.phase.epochs // _LINES) == 0 or epoch + 1 == self.phase.epochs
        if few or time.monotonic() - self.spoken > SPEAK_EVERY:
            self.spoken = time.monotonic()
            self.trainer.say(
                f"  {self.phase.name} {epoch + 1}/{self.phase.epochs}: {shown} ({seconds:.1f} s)"
            )
        self._start = self._taken()
        self.trainer.save(self._start)
        stops.check()

    def _taken(self) -> Checkpoint:
        """Everything as it is now: weights, random states, optimizer, position, figures."""
        optimizer = {f"{i:05d}": v.numpy() for i, v in enumerate(self.optimizer.variables)}
        return self.trainer.taken(
            self.number, self.epochs_run, best=self.best, optimizer=optimizer,
            step=self._step_done, sums=self._sums, best_figure=self.best_figure,
            best_epoch=self.best_epoch, retries=self._retries, parts=self._parts,
            fell=self._fell,
        )  # fmt: skip

    def _put_back(self, checkpoint: Checkpoint | None) -> None:
        assert checkpoint is not None
        self.trainer.put_back(checkpoint)
        for variable, value in zip(
            self.optimizer.variables, checkpoint.groups["optimizer"].values(), strict=True
        ):
            variable.assign(value)
        state = checkpoint.state
        self.best = dict(checkpoint.groups["best"])
        self.best_figure, self.best_epoch = float(state["best_figure"]), int(state["best_epoch"])
        self.epochs_run, self._step_done = int(state["epoch"]), int(state["step"])
        self._sums, self._fell = dict(state["sums"]), int(state["fell"])
        self._retries = int(state["retries"])
        if state["parts"] != self._parts:
            self._parts = int(state["parts"])
            self.step = self._make_step(parts=self._parts)


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
