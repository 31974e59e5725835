"""The epochs of one phase: steps, validation, the best weights, when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tftransfer.building.network import FEATURES, compiled
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
        self.step = Step(
            suffix, variables, phase.losses, self.optimizer, reference, trainer.strategy,
            xla=trainer.plan.xla,
        )  # fmt: skip
        self.forward = compiled(suffix, "logits")

    def go(self, resume: Checkpoint | None) -> None:
        """Runs the epochs, from where `resume` stands; the blocks end with the best weights."""
        start = self._resume(resume) if resume and resume.state["epoch"] else 0
        network = self.network
        network.model.compile(optimizer=self.optimizer)
        callbacks = keras.callbacks.CallbackList(
            self.trainer._callbacks, model=network.model, add_history=False
        )
        network.model.stop_training = False
        callbacks.on_train_begin()
        began = time.monotonic()
        for epoch in range(start, self.phase.epochs):
            if self._finished(epoch):
                break
            self._epoch(epoch, callbacks)
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
        began, step = time.monotonic(), 0
        callbacks.on_epoch_begin(epoch)
        sums = {"loss": 0.0, "weight": 0.0, "right": 0.0}
        what = f"{self.phase.name}, epoch {epoch + 1}"
        with Progress(self.trainer.say, what, self.stream.steps, "steps") as progress:
            for group in self.stream.epoch(epoch):
                callbacks.on_train_batch_begin(step)
                figures = {k: v.numpy() for k, v in self.step({"train": group}).items()}
                self._check_finite(figures["loss"], epoch, step)
                sums = {k: sums[k] + float(v.sum()) for k, v in figures.items()}
                step += len(figures["loss"])
                progress.add(len(figures["loss"]))
                callbacks.on_train_batch_end(step - 1, {"loss": sums["loss"] / step})
        self.epochs_run = epoch + 1
        logs = {"loss": sums["loss"] / self.stream.steps}
        if self.trainer.plan.examples.target == "single_label":
            logs["accuracy"] = sums["right"] / sums["weight"]
        logs |= self._validate()
        self._remember(epoch, logs)
        callbacks.on_epoch_end(epoch, logs)
        self._record(epoch, logs, time.monotonic() - began)

    def _check_finite(self, losses: np.ndarray, epoch: int, first: int) -> None:
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            raise UserError(
                f"The loss became {losses[bad[0]]} in phase {self.phase.name}, epoch "
                f"{epoch + 1}, step {first + bad[0] + 1}.",
                "Lower the recipe's learning_rate; the last checkpoint is kept.",
            )

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
        optimizer = {f"{i:05d}": v.numpy() for i, v in enumerate(self.optimizer.variables)}
        state = {"best_figure": self.best_figure, "best_epoch": self.best_epoch}
        self.trainer.save(self.number, epoch + 1, self.best, optimizer, state)

    def _resume(self, checkpoint: Checkpoint) -> int:
        for variable, value in zip(
            self.optimizer.variables, checkpoint.groups["optimizer"].values(), strict=True
        ):
            variable.assign(value)
        self.best = dict(checkpoint.groups["best"])
        self.best_figure = float(checkpoint.state["best_figure"])
        self.best_epoch = int(checkpoint.state["best_epoch"])
        self.epochs_run = int(checkpoint.state["epoch"])
        return self.epochs_run


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
