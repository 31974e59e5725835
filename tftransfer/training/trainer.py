"""The one trainer: it runs any recipe, phase by phase, and proves what stayed frozen."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.checkpoints import weights
from tftransfer.checkpoints.async_saver import AsyncSaver
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.core.block_patterns import match_blocks
from tftransfer.core.recipe import Phase
from tftransfer.data.stream_specs import STREAM_SPECS, split_of_stream
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.features.phase_features import PhaseFeatures
from tftransfer.models.inference import compiled, predict_batches
from tftransfer.models.network import FEATURES, Network
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.planning.plan import Plan
from tftransfer.training import domain_adaptation
from tftransfer.training.microbatches import check_batch_size
from tftransfer.training.phase_loop import VALIDATED, PhaseLoop, batches
from tftransfer.training.reference_weights import Reference
from tftransfer.training.stepless_phases import without_steps
from tftransfer.training.streams import Stream, Streams, balanced_class_weights
from tftransfer.training.teacher_outputs import TeacherOutputs
from tftransfer.utils import signals
from tftransfer.workdir.run_folder import RunFolder

LOGGER = logging.getLogger(__name__)


class Trainer:
    """Trains a plan's network into a run.

    Args:
      plan: checked.
      run: started.
      callbacks: Keras callbacks; they see the network's model and one optimizer per phase. Those of
        batches are called once for a group of steps, as with Keras's `steps_per_execution`.
      strategy: of `tf.distribute`; the network must have been made in its scope.
    """

    def __init__(
        self, plan: Plan, run: RunFolder, *, callbacks: Iterable[Any] = (), strategy: Any = None
    ):
        self.plan, self.run = plan, run
        self.network: Network = plan.network
        self.strategy = strategy or tf.distribute.get_strategy()
        self._callbacks = list(callbacks)
        examples = plan.examples
        check_batch_size(plan.batch_size, self.strategy)
        self.extractor = self._extractor(plan.network, [each.features for each in plan.phases])
        # A teacher's features are those of all its layers.
        read = [replace(each.features, boundary=FEATURES) for each in plan.phases]
        teachers = [self._extractor(each.network, read) for each in plan.teachers]
        self._teacher_outputs = TeacherOutputs(plan, teachers, self.extractor.decoded)
        self.targets = examples.targets()
        self._frozen: dict[str, np.ndarray] = {}
        self._trained: dict[str, list[Any]] = {}
        self._ratios: np.ndarray | None = None
        self._to_logits: dict[str, Any] = {}
        self._at_once = self.network.backbone.preprocessor.scaled_batch_size(VALIDATED)
        self.phases: list[dict[str, Any]] = []
        self.planned = list(plan.phases)
        self.saver = AsyncSaver(run.checkpoints)

    def _extractor(self, network: Network, phases: Sequence[PhaseFeatures]) -> FeatureExtractor:
        plan = self.plan
        return FeatureExtractor(
            network,
            plan.examples,
            cache=plan.cache,
            clock=plan.clock,
            shared=plan.shared,
            phases=phases,
            run_file=self.run.workdir / "autotune.json",
        )

    def fit(self) -> list[dict[str, Any]]:
        """Runs the phases that are not done yet; the network ends with the best weights.

        Returns:
          What each phase did, for `result.json`.
        """
        reference = Reference(self.network)
        if any(planned.phase.reweight for planned in self.plan.phases):
            self._ratios = domain_adaptation.density_weights(self.extractor, self.plan)
        resume = self._found()
        try:
            self._run_phases(0, reference, resume)
            self.planned += domain_adaptation.end_with_the_best(self)
            self._run_phases(len(self.plan.phases), reference, resume)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                self.saver.write()
            raise
        self.saver.write()
        return self.phases

    def _run_phases(self, first: int, reference: Reference, resume: Checkpoint | None) -> None:
        """The planned phases from a number on, but those that were done before `resume`."""
        for number, planned in enumerate(self.planned[first:], first):
            if resume and number < resume.state["phase"]:
                continue
            here = resume if resume and number == resume.state["phase"] else None
            self._run_phase(number, planned, reference, here)

    def close(self) -> None:
        """Waits until all that is to be kept is on disk.

        Raises:
          UserError: a checkpoint could not be written.
        """
        try:
            self._teacher_outputs.close()
            self.extractor.close()
        finally:
            self.saver.close()

    def logits(self, indices: np.ndarray) -> np.ndarray:
        """Raw outputs of the network as it is, float32 [n, k]; its frozen prefix comes stored."""
        return self.phase_logits(self.planned[-1], indices)

    def phase_logits(self, planned: PhasePlan, indices: np.ndarray) -> np.ndarray:
        """As `logits`, with the frozen prefix of a phase."""
        if not len(indices):
            return np.zeros((0, 1), np.float32)
        inputs, boundary = self.extractor.inputs(planned.features, indices), planned.boundary
        if boundary not in self._to_logits:
            self._to_logits[boundary] = compiled(
                self.network.submodel(boundary, ["logits"]), "logits"
            )
        forward, some = self._to_logits[boundary], batches(indices, self._at_once)
        return predict_batches(forward, map(inputs, some))

    def _run_phase(
        self, number: int, planned: PhasePlan, start: Reference, resume: Checkpoint | None
    ) -> None:
        phase, network = planned.phase, self.network
        blocks = list(network.blocks)
        inside = bool(resume and "step" in resume.state)
        if resume and not inside:
            self.put_back(resume)
        if phase.reset and not inside:
            reset = sorted({b for p in phase.reset for b in match_blocks(p, blocks)})
            network.reset(reset, self.plan.experiment.seed)
        reference = self._reference(number, phase, inside) or start
        with self.strategy.scope():  # low-rank updates are variables
            network.set_trainable(planned.rates, batch_norm=phase.batch_norm, lora=phase.lora)
        reference.begin_phase()
        if resume and inside:  # into the variables that the phase adds, too
            self.put_back(resume)
        frozen = [block for block in blocks if not planned.rates[block]]
        before = {block: network.digest([block]) for block in frozen}
        self._frozen = weights.collect({block: network.blocks[block] for block in frozen})
        self._trained = {b: network.blocks[b] for b in blocks if b not in frozen}
        self.extractor.weights_changed()
        did = self._steps(number, planned, reference, resume)
        network.merge_lora()
        if phase.lora:  # what was traced with the updates
            self._to_logits.clear()
        self.extractor.weights_changed()
        did |= domain_adaptation.judged(number, planned, self)
        moved = [block for block in frozen if network.digest([block]) != before[block]]
        if moved:
            raise RuntimeError(f"frozen blocks moved in phase {phase.name}: {moved}")
        self.phases.append(
            {
                "name": phase.name,
                **did,
                "rates": planned.rates,
                "cut": planned.boundary,
                "views": planned.views.cached or "fresh",
                "frozen_verified": frozen,
                **({"again": True} if number >= len(self.plan.phases) else {}),
            }
        )
        LOGGER.info(
            f"  {phase.name}: {did['said']}; "
            f"frozen blocks proved unchanged: {', '.join(frozen) or 'none'}"
        )
        if number + 1 < len(self.planned):
            self.saver.save(self.taken(number + 1, 0, best={}, optimizer={}))
        signals.raise_if_stop_requested()

    def _steps(
        self, number: int, planned: PhasePlan, reference: Reference, resume: Checkpoint | None
    ) -> dict[str, Any]:
        """What the phase does; a phase that is solved or only measured has no steps."""
        if planned.phase.solve or planned.phase.batch_norm == "adapt":
            return without_steps(planned, self, reference)
        loop = PhaseLoop(self, number, planned, reference)
        loop.go(resume)
        self._to_logits[planned.boundary], self._at_once = loop.forward, loop.at_once
        return {
            "epochs": loop.epochs_run,
            "best_epoch": loop.best_epoch,
            "stopped": loop.stopped,
            "seconds": loop.seconds,
            "said": f"best epoch {loop.best_epoch} of {loop.epochs_run}",
        }

    def _reference(self, number: int, phase: Phase, inside: bool) -> Reference | None:
        """The network at the start of a phase, kept for a resumed run; None for the run's."""
        phases, blocks = self.planned, self.network.blocks
        start = self.run.workdir / f"reference-{number + 1}.npz"
        wanted = any(p.phase.reference == "before" for p in phases[number + 1 : number + 2])
        if (wanted or phase.reference == "phase") and not inside:
            weights.store(start, weights.collect(blocks))
        if phase.reference == "run" or (phase.reference == "before" and not number):
            return None
        path = start if phase.reference == "phase" else start.with_name(f"reference-{number}.npz")
        now = weights.collect(blocks)
        weights.assign_blocks(blocks, weights.read(path), path)
        reference = Reference(self.network)
        weights.assign_blocks(blocks, now, path)
        return reference

    def streams(self, planned: PhasePlan) -> Streams:
        """The streams that a phase reads, their frozen prefix computed."""
        made: dict[str, Stream] = {}
        for name in planned.streams:
            # Streams of one order show the same examples at each step, so they begin anew together.
            first = STREAM_SPECS[planned.streams[0]].order == STREAM_SPECS[name].order
            steps = 0 if first else next(iter(made.values())).steps
            made[name] = self._stream(name, planned, steps)
        return Streams(made, most_steps=64 if self.strategy.num_replicas_in_sync == 1 else 1)

    def shortener(self, planned: PhasePlan) -> Callable[..., list[Any]] | None:
        """See `Network.padding_trimmer`; none under XLA, which would compile for each length."""
        if self.plan.xla:
            return None
        return self.network.padding_trimmer(planned.boundary, planned.outputs)

    def _stream(self, name: str, planned: PhasePlan, steps: int) -> Stream:
        phase, examples, experiment = planned.phase, self.plan.examples, self.plan.experiment
        kind = STREAM_SPECS[name]
        indices = examples.where(split_of_stream(name, examples))
        augment = kind.augment or phase.augment
        keys = self.extractor.keys(planned.features, indices, augment)
        if not keys:
            with self.plan.clock.measure("decode"):
                self.extractor.decoded.prepare(np.flatnonzero(examples.splits != "test"))
        lengths = None
        if self.shortener(planned):
            with self.plan.clock.measure("decode"):
                lengths = self.extractor.decoded.lengths(indices)
        return Stream(
            indices=indices,
            targets=self.targets,
            batch_size=self.plan.batch_size,
            seed=experiment.seed,
            order=kind.order,
            draw=kind.draw,
            endless=steps,
            decoded=self.extractor.decoded,
            store=self.extractor.store,
            augmenter=self.network.backbone.preprocessor.augmenter(augment),
            keys=keys,
            prefix=self.extractor.streamed(planned.features),
            beside=self._teacher_outputs.beside(name, planned, indices, augment),
            mixup=phase.mixup if name == "train" else 0.0,
            class_weight=balanced_class_weights(self.targets[examples.where("train")]),
            weight=self._ratios if phase.reweight and name == "train" else None,
            lengths=lengths,
        )

    def validation_inputs(self, planned: PhasePlan) -> Callable[[np.ndarray], list[Any]]:
        """A function from indices to the suffix's inputs, without augmentation."""
        return self.extractor.inputs(planned.features, self.plan.examples.where("val"))

    def taken(
        self, phase: int, epoch: int, *, best: dict, optimizer: dict, **state: Any
    ) -> Checkpoint:
        """All that a run needs to go on from here: in a phase, after so many of its epochs."""
        groups = {
            "weights": self._frozen | weights.collect(self._trained),
            "seeds": {f"{i:04d}": s.numpy() for i, s in enumerate(self.network.seed_states())},
            "best": best,
            "optimizer": optimizer,
        }
        position = {"phase": phase, "epoch": epoch, "phases": list(self.phases), **state}
        return Checkpoint(groups, position)

    def put_back(self, checkpoint: Checkpoint) -> None:
        """Weights and random states as they were taken."""
        stored = checkpoint.groups["weights"]
        weights.assign_blocks(self.network.blocks, stored, self.run.checkpoints)
        seeds = checkpoint.groups["seeds"].values()
        for state, value in zip(self.network.seed_states(), seeds, strict=True):
            state.assign(value)

    def _found(self) -> Checkpoint | None:
        checkpoint = self.saver.newest()
        if checkpoint is None:
            return None
        state = checkpoint.state
        self.phases = list(state["phases"])
        inside = f", step {state['step']} of the next" if state.get("step") else ""
        LOGGER.info(f"resuming in phase {state['phase'] + 1} after epoch {state['epoch']}{inside}")
        return checkpoint
