"""The one trainer: it runs any recipe, phase by phase, and proves what stayed frozen."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.building.network import FEATURES, PIXELS, Network, compiled
from tftransfer.building.streams import Stream, balanced_class_weights
from tftransfer.ground import stops
from tftransfer.ground.errors import UserError
from tftransfer.ground.recipe import match_blocks
from tftransfer.parts import arrays, checkpoints
from tftransfer.parts.augment import Augmenter, view_kind
from tftransfer.parts.checkpoints import Checkpoint
from tftransfer.parts.forward import fastest
from tftransfer.parts.prefix import Key
from tftransfer.using.loop import Loop, batches
from tftransfer.using.plan import PhasePlan, Plan
from tftransfer.using.run import Run
from tftransfer.using.step import Reference, check_batch_size

# Of the training's time, what checkpoints may take; and what the first is expected to take.
_SAVING_SHARE, _FIRST_SAVE = 0.02, 0.1


class Trainer:
    """Trains a plan's network into a run.

    Args:
      plan: checked.
      run: started.
      say: where progress goes, a line at a time.
      callbacks: Keras callbacks; they see the network's model and one optimizer per phase. Those of
        batches are called once for a group of steps, as with Keras's `steps_per_execution`.
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
        self.pixels = plan.shared.pixels(examples, experiment.image_size)
        form = self.network.form()
        self._cache = plan.cache if form else None
        self._basis = repr((form or id(self.network), experiment.image_size, tf.__version__))
        self.store = plan.shared.store(
            examples, experiment.image_size, self._basis,
            seed=experiment.seed, cache=self._cache, say=say,
        )  # fmt: skip
        self._forwards: dict[tuple[str, str, str], Any] = {}
        self.targets = examples.targets()
        self._below: dict[str, str] = {}
        self._frozen: dict[str, np.ndarray] = {}
        self._trained: dict[str, list[Any]] = {}
        self._to_logits: Any = None
        self.phases: list[dict[str, Any]] = []
        self._saves = 0
        self._unsaved: Checkpoint | None = None
        self._writer, self._beside = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._writing: Future | None = None
        self._saved_at, self._save_seconds = time.monotonic(), _FIRST_SAVE

    def fit(self) -> list[dict[str, Any]]:
        """Runs the phases that are not done yet; the network ends with the best weights.

        Returns:
          What each phase did, for `result.json`.
        """
        reference = Reference(self.network)
        resume = self._restore()
        try:
            for number, planned in enumerate(self.plan.phases):
                if resume and number < resume.state["phase"]:
                    continue
                here = resume if resume and number == resume.state["phase"] else None
                self._run_phase(number, planned, reference, here)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                self._write_checkpoint()
            raise
        self._write_checkpoint()
        return self.phases

    def close(self) -> None:
        """Waits until all that is to be kept is on disk.

        Raises:
          UserError: a checkpoint could not be written.
        """
        self._beside.shutdown(wait=False)
        try:
            self.store.close()
        finally:
            self._written()
            self._writer.shutdown()

    def remembered(self, *parts: Any) -> Path | None:
        """The cache's file for what depends on the features and on `parts`; None without cache."""
        return self._cache.record(self._basis, *parts) if self._cache else None

    def features(self, indices: np.ndarray) -> np.ndarray:
        """Pooled features of the network as it is, float32 [n, d]; stored while it stays so."""
        key = self._key(FEATURES, 0, "none")
        self._fill(key, indices)
        return self.store.get(key, indices)[0]

    def logits(self, indices: np.ndarray) -> np.ndarray:
        """Raw outputs of the network as it is, float32 [n, k]; its frozen prefix comes stored."""
        if not len(indices):
            return np.zeros((0, 1), np.float32)
        last = self.plan.phases[-1]
        inputs = self._inputs(last, indices)
        if self._to_logits is None:
            self._to_logits = compiled(self.network.part(last.cut, ["logits"]), "logits")
        parts = [self._to_logits(*inputs(some)).numpy() for some in batches(indices, 256)]
        return np.concatenate(parts)

    def _run_phase(
        self, number: int, planned: PhasePlan, reference: Reference, resume: Checkpoint | None
    ) -> None:
        phase, network = planned.phase, self.network
        blocks = list(network.blocks)
        if phase.reset and not (resume and "step" in resume.state):
            reset = sorted({b for p in phase.reset for b in match_blocks(p, blocks)})
            network.reset(reset, self.plan.experiment.seed)
        network.set_trainable(planned.rates, batch_norm=phase.batch_norm)
        frozen = [block for block in blocks if not planned.rates[block]]
        before = {block: network.digest([block]) for block in frozen}
        self._frozen = arrays.collect({block: network.blocks[block] for block in frozen})
        self._trained = {b: network.blocks[b] for b in blocks if b not in frozen}
        self._below.clear()
        loop = Loop(self, number, planned, reference)
        loop.go(resume)
        self._to_logits = loop.forward
        self._below.clear()
        moved = [block for block in frozen if network.digest([block]) != before[block]]
        if moved:
            raise RuntimeError(f"frozen blocks moved in phase {phase.name}: {moved}")
        record = {
            "name": phase.name, "epochs": loop.epochs_run, "best_epoch": loop.best_epoch,
            "stopped": loop.stopped, "rates": planned.rates, "cut": planned.cut,
            "views": planned.views, "frozen_verified": frozen, "seconds": loop.seconds,
        }  # fmt: skip
        self.phases.append(record)
        self.say(
            f"  {phase.name}: best epoch {loop.best_epoch} of {loop.epochs_run}; "
            f"frozen blocks proved unchanged: {', '.join(frozen) or 'none'}"
        )
        if number + 1 < len(self.plan.phases):
            self.save(self.taken(number + 1, 0, best={}, optimizer={}))
        stops.check()

    def _key(self, cut: str, view: int, augment: str) -> Key:
        if cut not in self._below:
            self._below[cut] = self.network.digest(self.network.blocks_below(cut))
        return Key(cut, view, view_kind(augment, view), self._below[cut])

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
        clock, shapes = self.plan.clock, self.network.shapes_at(key.cut)
        # Making the forwards that are tried keeps one core at most; decoding takes the others, and
        # goes on to the pictures that will be asked for next.
        coming = self.store.missing(key, np.arange(len(self.plan.examples)))
        decoding = None if source else self._beside.submit(self.pixels.prepare, coming, self.say)

        def decoded() -> None:
            with clock.part("decode"):
                if decoding:
                    decoding.result()

        try:
            with clock.part("trial"):
                prefix = self._forward(start, key, len(indices), ready=decoded)
            decoded()
        except BaseException:
            self.pixels.stop()
            raise
        with clock.part("prefix"):
            self.store.fill(key, indices, prefix, shapes, source=source)

    def _forward(
        self, start: str, key: Key, count: int, *, ready: Callable[[], None] = lambda: None
    ) -> Callable[..., Any]:
        """The frozen network between two cuts; made once for its weights."""
        which = (start, key.cut, key.weights)
        if which not in self._forwards:
            memory = self._cache.trials if self._cache else None
            views = max(planned.views for planned in self.plan.phases)
            self._forwards[which] = fastest(
                self.network.part(start, key.cut), count * max(1, views), memory=memory,
                own=self.run.workdir / "forwards.json", say=self.say, ready=ready,
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
        if not keys:
            with self.plan.clock.part("decode"):
                self.pixels.prepare(np.flatnonzero(examples.parts != "test"), self.say)
        return Stream(
            indices=indices, targets=self.targets, batch_size=self.plan.experiment.batch_size,
            seed=self.plan.experiment.seed, pixels=self.pixels, augmenter=Augmenter(phase.augment),
            store=self.store, keys=keys, prefix=self._streamed(planned), mixup=phase.mixup,
            class_weight=balanced_class_weights(self.targets[indices]),
            most_steps=64 if self.strategy.num_replicas_in_sync == 1 else 1,
        )  # fmt: skip

    def validation_inputs(self, planned: PhasePlan) -> Callable[[np.ndarray], list[Any]]:
        """A function from indices to the suffix's inputs, without augmentation."""
        return self._inputs(planned, self.plan.examples.where("val"))

    def _streamed(self, planned: PhasePlan) -> Callable[..., list[Any]] | None:
        """The prefix where it is not stored: in inference, as a stored one is."""
        if planned.views or planned.cut == PIXELS:
            return None
        key = self._key(planned.cut, 0, "none")
        return self._forward(PIXELS, key, planned.phase.epochs * len(self.plan.examples))

    def _inputs(self, planned: PhasePlan, indices: np.ndarray) -> Callable[[np.ndarray], list[Any]]:
        if not planned.views:
            prefix = self._streamed(planned) or (lambda pictures: [pictures])
            return lambda some: prefix(self.pixels.fetch(some))
        key = self._key(planned.cut, 0, "none")
        self._fill(key, indices)
        return lambda some: self.store.get(key, some)

    def taken(
        self, phase: int, epoch: int, *, best: dict, optimizer: dict, **state: Any
    ) -> Checkpoint:
        """All that a run needs to go on from here: in a phase, after so many of its epochs."""
        groups = {
            "weights": self._frozen | arrays.collect(self._trained),
            "seeds": {f"{i:04d}": s.numpy() for i, s in enumerate(self.network.seed_states())},
            "best": best,
            "optimizer": optimizer,
        }
        position = {"phase": phase, "epoch": epoch, "phases": list(self.phases), **state}
        return Checkpoint(groups, position)

    def put_back(self, checkpoint: Checkpoint) -> None:
        """Weights and random states as they were taken."""
        weights = checkpoint.groups["weights"]
        arrays.assign_blocks(self.network.blocks, weights, self.run.checkpoints)
        seeds = checkpoint.groups["seeds"].values()
        for state, value in zip(self.network.seed_states(), seeds, strict=True):
            state.assign(value)

    def due(self) -> bool:
        """Whether the last checkpoint is so old that another takes little of the time."""
        free = self._writing is None or self._writing.done()
        return free and time.monotonic() - self._saved_at > self._save_seconds / _SAVING_SHARE

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint when that is due; what stops the training writes it anyway."""
        self._unsaved = checkpoint
        if self.due():
            self._write_checkpoint()

    def keep(self) -> None:
        """Writes what was last to be saved, and waits for it."""
        self._write_checkpoint()
        self._written()

    def _written(self) -> None:
        try:
            if self._writing:
                self._writing.result()
        except OSError as error:
            self._writing = None
            raise UserError(
                f"A checkpoint could not be written in {self.run.checkpoints}: {error.strerror}.",
                "Make room there, then go on with --resume.",
            ) from None

    def _write_checkpoint(self) -> None:
        self._written()
        if self._unsaved:
            self._saves += 1
            self._writing = self._writer.submit(self._save_now, self._saves, self._unsaved)
            self._unsaved = None

    def _save_now(self, number: int, checkpoint: Checkpoint) -> None:
        started = time.monotonic()
        checkpoints.save(self.run.checkpoints, number, checkpoint)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def _restore(self) -> Checkpoint | None:
        found = checkpoints.load_newest(self.run.checkpoints)
        if found is None:
            return None
        checkpoint, remarks = found
        for remark in remarks:
            self.say(remark)
        self.put_back(checkpoint)
        state = checkpoint.state
        self._saves = max(checkpoints.numbers(self.run.checkpoints))
        self.phases = list(state["phases"])
        inside = f", step {state['step']} of the next" if state.get("step") else ""
        self.say(f"resuming in phase {state['phase'] + 1} after epoch {state['epoch']}{inside}")
        return checkpoint
