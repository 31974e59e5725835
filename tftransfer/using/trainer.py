"""The one trainer: it runs any recipe, phase by phase, and proves what stayed frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.building.network import FEATURES, PIXELS, Network, compiled
from tftransfer.building.streams import Stream, balanced_class_weights
from tftransfer.ground.errors import UserError
from tftransfer.ground.recipe import match_blocks
from tftransfer.parts import arrays, checkpoints, scores
from tftransfer.parts.augment import Augmenter, view_kind
from tftransfer.parts.checkpoints import Checkpoint
from tftransfer.parts.forward import fastest
from tftransfer.parts.optimizers import make_optimizer, multipliers
from tftransfer.parts.pixels import Pixels
from tftransfer.parts.prefix import Key, PrefixStore
from tftransfer.using.plan import PhasePlan, Plan
from tftransfer.using.run import Run
from tftransfer.using.step import Reference, Step, check_batch_size

_SPEAK_EVERY = 10.0
_LINES = 10
# Steps without a better figure before a phase stops early, however few an epoch has.
_LEAST_STEPS = 100


@dataclass
class Outcome:
    """What a training has to tell besides the weights."""

    phases: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Trains a plan's network into a run.

    Args:
      plan: checked.
      run: started.
      say: where progress goes, a line at a time.
      callbacks: Keras callbacks; they see the network's model and one optimizer per phase.
      strategy: of `tf.distribute`; the network must have been made in its scope.
    """

    def __init__(
        self,
        plan: Plan,
        run: Run,
        *,
        say: Callable[[str], None] = print,
        callbacks: Iterable[Any] = (),
        strategy: Any = None,
    ):
        self.plan, self.run, self.say = plan, run, say
        self.network: Network = plan.network
        self.strategy = strategy or tf.distribute.get_strategy()
        self._callbacks = list(callbacks)
        experiment, examples = plan.experiment, plan.examples
        check_batch_size(experiment.batch_size, self.strategy)
        self.pixels = Pixels(examples, experiment.image_size)
        self._cache = plan.cache if self.network.form() else None
        self.store = PrefixStore(
            self.pixels, examples.sha256, experiment.seed, say, cache=self._cache,
            basis=repr((self.network.form(), experiment.image_size, tf.__version__)),
        )  # fmt: skip
        self._forwards: dict[tuple[str, str, str], Any] = {}
        self.targets = examples.targets()
        self.outcome = Outcome()
        self._saves = 0

    def fit(self) -> Outcome:
        """Runs the phases that are not done yet; the network ends with the best weights."""
        started = time.monotonic()
        reference = Reference(self.network)
        resume = self._restore()
        for number, planned in enumerate(self.plan.phases):
            if resume and number < resume.state["phase"]:
                continue
            here = resume if resume and number == resume.state["phase"] else None
            self._run_phase(number, planned, reference, here)
        self.store.close()
        self.outcome.seconds["training"] = time.monotonic() - started - self.store.seconds
        self.outcome.seconds["prefix"] = self.store.seconds
        return self.outcome

    def features(self, indices: np.ndarray) -> np.ndarray:
        """Pooled features of the network as it is, float32 [n, d]; stored while it stays so."""
        key = self._key(FEATURES, 0, "none")
        self._fill(key, indices)
        return self.store.get(key, indices)[0]

    def logits(self, indices: np.ndarray) -> np.ndarray:
        """Raw outputs of the network as it is, float32 [n, k]; its frozen prefix comes stored."""
        if not len(indices):
            return np.zeros((0, 1), np.float32)
        cut = self.plan.phases[-1].cut
        inputs = self._inputs(cut, indices)
        forward = compiled(self.network.part(cut, ["logits"]), "logits")
        return np.concatenate([forward(*inputs(some)).numpy() for some in batches(indices, 256)])

    def _run_phase(
        self, number: int, planned: PhasePlan, reference: Reference, resume: Checkpoint | None
    ) -> None:
        phase, network = planned.phase, self.network
        blocks = list(network.blocks)
        if not resume and phase.reset:
            reset = sorted({b for p in phase.reset for b in match_blocks(p, blocks)})
            network.reset(reset, self.plan.experiment.seed)
        network.set_trainable(planned.rates, batch_norm=phase.batch_norm)
        frozen = [block for block in blocks if not planned.rates[block]]
        before = {block: network.digest([block]) for block in frozen}
        loop = _Loop(self, number, planned, reference)
        loop.go(resume)
        moved = [block for block in frozen if network.digest([block]) != before[block]]
        if moved:
            raise RuntimeError(f"frozen blocks moved in phase {phase.name}: {moved}")
        record = {
            "name": phase.name, "epochs": loop.epochs_run, "best_epoch": loop.best_epoch,
            "stopped": loop.stopped, "rates": planned.rates, "cut": planned.cut,
            "views": planned.views, "frozen_verified": frozen, "seconds": loop.seconds,
        }  # fmt: skip
        self.outcome.phases.append(record)
        self.say(
            f"  {phase.name}: best epoch {loop.best_epoch} of {loop.epochs_run}; "
            f"frozen blocks proved unchanged: {', '.join(frozen) or 'none'}"
        )
        if number + 1 < len(self.plan.phases):
            self.save(number + 1, 0, {}, {}, {})

    def _key(self, cut: str, view: int, augment: str) -> Key:
        weights = self.network.digest(self.network.blocks_below(cut))
        return Key(cut, view, view_kind(augment, view), weights)

    def _fill(self, key: Key, indices: np.ndarray) -> None:
        """Computes features from the deepest cut below that is stored, else from the pixels."""
        if self.store.has(key, indices):
            return
        self._fill_below(key, indices)
        start, source = PIXELS, None
        for cut in self.network.cuts[1 : self.network.cuts.index(key.cut)]:
            below = self._key(cut, key.view, key.augment)
            if self.store.has(below, indices):
                start, source = cut, below
        if not source:
            self.pixels.prepare(indices, self.say)
        prefix = self._forward(start, key, len(indices))
        self.store.fill(key, indices, prefix, self.network.shapes_at(key.cut), source=source)

    def _forward(self, start: str, key: Key, count: int) -> Callable[..., Any]:
        """The frozen network between two cuts; made once for its weights."""
        which = (start, key.cut, key.weights)
        if which not in self._forwards:
            memory = self._cache.trials if self._cache else None
            views = max(planned.views for planned in self.plan.phases)
            self._forwards[which] = fastest(
                self.network.part(start, key.cut), count * max(1, views), memory=memory,
                say=self.say,
            )  # fmt: skip
        return self._forwards[which]

    def _fill_below(self, key: Key, indices: np.ndarray) -> None:
        """First what a phase will want at a lower cut, so that it is not computed twice."""
        cuts = self.network.cuts
        if not np.isin(self.plan.examples.parts[indices], ("train", "val")).all():
            return
        for planned in self.plan.phases:
            augment = view_kind(planned.phase.augment, key.view)
            lower = planned.cut != PIXELS and cuts.index(planned.cut) < cuts.index(key.cut)
            if lower and key.view < planned.views and augment == key.augment:
                self._fill(self._key(planned.cut, key.view, planned.phase.augment), indices)

    def stream(self, planned: PhasePlan) -> Stream:
        """The training stream of a phase, its frozen prefix computed."""
        phase, examples = planned.phase, self.plan.examples
        indices = examples.where("train")
        keys = tuple(self._key(planned.cut, view, phase.augment) for view in range(planned.views))
        for key in keys:
            self._fill(key, indices)
        return Stream(
            indices=indices, targets=self.targets, batch_size=self.plan.experiment.batch_size,
            seed=self.plan.experiment.seed, pixels=self.pixels, augmenter=Augmenter(phase.augment),
            store=self.store, keys=keys, mixup=phase.mixup,
            class_weight=balanced_class_weights(self.targets[indices]),
        )  # fmt: skip

    def validation_inputs(self, cut: str) -> Callable[[np.ndarray], list[Any]]:
        """A function from indices to the suffix's inputs, without augmentation."""
        return self._inputs(cut, self.plan.examples.where("val"))

    def _inputs(self, cut: str, indices: np.ndarray) -> Callable[[np.ndarray], list[Any]]:
        if cut == PIXELS:
            return lambda some: [self.pixels.fetch(some).astype(np.float32)]
        key = self._key(cut, 0, "none")
        self._fill(key, indices)
        return lambda some: self.store.get(key, some)

    def save(self, phase: int, epoch: int, best: dict, optimizer: dict, state: dict) -> None:
        """Writes a checkpoint at an epoch's end."""
        self._saves += 1
        groups = {
            "weights": arrays.collect(self.network.blocks),
            "seeds": {f"{i:04d}": s.numpy() for i, s in enumerate(self.network.seed_states())},
            "best": best,
            "optimizer": optimizer,
        }
        position = {
            "phase": phase, "epoch": epoch, "saves": self._saves,
            "phases": self.outcome.phases, **state,
        }  # fmt: skip
        checkpoints.save(self.run.checkpoints, self._saves, Checkpoint(groups, position))

    def _restore(self) -> Checkpoint | None:
        found = checkpoints.load_newest(self.run.checkpoints)
        if found is None:
            return None
        checkpoint, remarks = found
        for remark in remarks:
            self.say(remark)
        arrays.assign_blocks(
            self.network.blocks, checkpoint.groups["weights"], self.run.checkpoints
        )
        for state, value in zip(
            self.network.seed_states(), checkpoint.groups["seeds"].values(), strict=True
        ):
            state.assign(value)
        self._saves = checkpoint.state["saves"]
        self.outcome.phases = list(checkpoint.state["phases"])
        self.say(
            f"resuming in phase {checkpoint.state['phase'] + 1} after epoch "
            f"{checkpoint.state['epoch']}"
        )
        return checkpoint


class _Loop:
    """The epochs of one phase."""

    def __init__(self, trainer: Trainer, number: int, planned: PhasePlan, reference: Reference):
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
        self.val_inputs = trainer.validation_inputs(self.planned.cut)
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
        began = spoken = time.monotonic()
        callbacks.on_epoch_begin(epoch)
        sums = {"loss": 0.0, "weight": 0.0, "right": 0.0}
        for step, batch in enumerate(self.stream.epoch(epoch)):
            callbacks.on_train_batch_begin(step)
            figures = {k: float(v) for k, v in self.step({"train": batch}).items()}
            if not math.isfinite(figures["loss"]):
                raise UserError(
                    f"The loss became {figures['loss']} in phase {self.phase.name}, epoch "
                    f"{epoch + 1}, step {step + 1}.",
                    "Lower the recipe's learning_rate; the last checkpoint is kept.",
                )
            sums = {k: sums[k] + v for k, v in figures.items()}
            callbacks.on_train_batch_end(step, {"loss": figures["loss"]})
            if time.monotonic() - spoken > _SPEAK_EVERY:
                spoken = time.monotonic()
                left = (spoken - began) / (step + 1) * (self.stream.steps - step - 1)
                self.trainer.say(
                    f"  {self.phase.name}, epoch {epoch + 1}: step {step + 1} of "
                    f"{self.stream.steps}, {left:.0f} s left in the epoch"
                )
        self.epochs_run = epoch + 1
        logs = {"loss": sums["loss"] / self.stream.steps}
        if self.trainer.plan.examples.target == "single_label":
            logs["accuracy"] = sums["right"] / sums["weight"]
        logs |= self._validate()
        self._remember(epoch, logs)
        callbacks.on_epoch_end(epoch, logs)
        self._record(epoch, logs, time.monotonic() - began)

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
        if few or time.monotonic() - self.spoken > _SPEAK_EVERY:
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
