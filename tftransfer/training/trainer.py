"""The trainer: it runs any recipe, phase by phase, and verifies what stayed frozen."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from tftransfer.checkpoints import weights
from tftransfer.checkpoints.async_saver import AsyncSaver
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.core.block_patterns import match_blocks
from tftransfer.core.recipe import Phase
from tftransfer.core.typing import Array, IntArray
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.features.phase_features import PhaseFeatures
from tftransfer.models.network import FEATURES, Network
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.planning.plan import Plan
from tftransfer.training import domain_adaptation
from tftransfer.training.callbacks import RunCallbacks
from tftransfer.training.context import TrainingContext
from tftransfer.training.microbatches import check_batch_size
from tftransfer.training.network_logits import NetworkLogits
from tftransfer.training.phase_loop import PhaseLoop
from tftransfer.training.reference_weights import Reference
from tftransfer.training.run_state import RunState
from tftransfer.training.stepless_phases import run_stepless_phase
from tftransfer.training.teacher_outputs import TeacherOutputs
from tftransfer.utils import signals
from tftransfer.workdir.run_folder import RunFolder

LOGGER = logging.getLogger(__name__)


class Trainer:
    """Trains a plan's network into a run.

    Args:
      plan: A checked plan.
      run: A started run.
      callbacks: Keras callbacks, see `RunCallbacks`. Their model is that of the network, and
        its optimizer that of the phase. Methods of batches are called once for a group of steps, as
        with Keras's `steps_per_execution`.
      strategy: A strategy of `tf.distribute`, in whose scope the network was made; None is the
        present one.

    Attributes:
      extractor: Computes and caches the features of the frozen layers.
      saver: Writes the checkpoints of the run.
    """

    def __init__(
        self,
        plan: Plan,
        run: RunFolder,
        *,
        callbacks: Iterable[keras.callbacks.Callback] = (),
        strategy: tf.distribute.Strategy | None = None,
    ):
        strategy = strategy or tf.distribute.get_strategy()
        check_batch_size(plan.batch_size, strategy)
        self.extractor = _extractor(plan, run, plan.network, [p.features for p in plan.phases])
        self.saver = AsyncSaver(run.checkpoints)
        self._context = TrainingContext(
            network=plan.network,
            examples=plan.examples,
            targets=plan.examples.targets(),
            extractor=self.extractor,
            teacher_outputs=_teacher_outputs(plan, run, self.extractor),
            strategy=strategy,
            run=run,
            saver=self.saver,
            callbacks=RunCallbacks(callbacks),
            clock=plan.clock,
            batch_size=plan.batch_size,
            seed=plan.experiment.seed,
            precision=plan.experiment.precision,
            xla=plan.xla,
        )
        self._state = RunState(plan.network, self.saver)
        self._logits = NetworkLogits(plan.network, self.extractor)
        self._density_ratios: Array | None = None
        self._planned_count = len(plan.phases)
        self._phases = list(plan.phases)

    def fit(self) -> list[dict[str, Any]]:
        """Runs the phases that are not finished; the network ends with the best weights.

        Returns:
          A record of each phase, for `result.json`.
        """
        start = Reference(self._context.network)
        if any(planned.phase.reweight for planned in self._phases):
            self._density_ratios = domain_adaptation.density_weights(self._context)
        resume = self._state.newest_checkpoint()
        try:
            self._run_phases(0, start, resume)
            self._phases += domain_adaptation.restore_best_phase(
                self._context, self._phases, self._state.records
            )
            self._run_phases(self._planned_count, start, resume)
            self._context.callbacks.end_run()
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to report
                self.saver.write()
            raise
        self.saver.write()
        return self._state.records

    def close(self) -> None:
        """Waits until everything that is to be kept is on disk.

        Raises:
          UserError: A checkpoint could not be written.
        """
        try:
            self._context.teacher_outputs.close()
            self.extractor.close()
        finally:
            self.saver.close()

    def logits(self, indices: IntArray) -> Array:
        """Returns the logits of some examples, float32 [n, k], by the network as it is."""
        return self._logits(self._phases[-1], indices)

    def _run_phases(self, first: int, start: Reference, resume: Checkpoint | None) -> None:
        """Runs the phases from a number on, except those that `resume` has finished."""
        for number, planned in enumerate(self._phases[first:], first):
            if resume and number < resume.state["phase"]:
                continue
            here = resume if resume and number == resume.state["phase"] else None
            self._run_phase(number, planned, start, here)

    def _run_phase(
        self, number: int, planned: PhasePlan, start: Reference, resume: Checkpoint | None
    ) -> None:
        phase, context, network = planned.phase, self._context, self._context.network
        reference = self._prepare(number, planned, start, resume)
        frozen = [block for block in network.blocks if not planned.rates[block]]
        before = {block: network.digest([block]) for block in frozen}
        self._state.begin_phase(frozen)
        self.extractor.weights_changed()
        record = self._train_phase(number, planned, reference, resume)
        network.merge_lora()
        if phase.lora:  # the functions were traced with the updates
            self._logits.forget()
        self.extractor.weights_changed()
        values = domain_adaptation.evaluate_phase(context, self._phases[: number + 1], self._logits)
        changed = [block for block in frozen if network.digest([block]) != before[block]]
        if changed:
            raise RuntimeError(f"frozen blocks changed in phase {phase.name}: {changed}")
        self._state.records.append(
            {
                "name": phase.name,
                **record,
                **({"adaptation": values} if values else {}),
                "rates": planned.rates,
                "boundary": planned.boundary,
                "views": planned.views.cached or "fresh",
                "frozen_verified": frozen,
                **({"without_target": True} if number >= self._planned_count else {}),
            }
        )
        LOGGER.info(
            f"  {phase.name}: {record['summary']}; "
            f"verified that frozen blocks are unchanged: {', '.join(frozen) or 'none'}"
        )
        if number + 1 < len(self._phases):
            self.saver.save(self._state.snapshot(number + 1, 0))
        signals.raise_if_stop_requested()

    def _prepare(
        self, number: int, planned: PhasePlan, start: Reference, resume: Checkpoint | None
    ) -> Reference:
        """Sets what trains and restores the state to resume from; returns the reference."""
        phase, network = planned.phase, self._context.network
        inside = bool(resume and "step" in resume.state)
        if resume and not inside:
            self._state.restore(resume)
        if phase.reset and not inside:
            blocks = list(network.blocks)
            reset = sorted({b for pattern in phase.reset for b in match_blocks(pattern, blocks)})
            network.reset(reset, self._context.seed)
        reference = self._phase_reference(number, phase, inside) or start
        with self._context.strategy.scope():  # low-rank updates are variables
            network.set_trainable(planned.rates, batch_norm=phase.batch_norm, lora=phase.lora)
        reference.begin_phase()
        if resume and inside:  # after the phase has added its variables, which it restores too
            self._state.restore(resume)
        return reference

    def _train_phase(
        self, number: int, planned: PhasePlan, reference: Reference, resume: Checkpoint | None
    ) -> dict[str, Any]:
        """Trains by steps, or without them where the phase solves or measures something."""
        if not planned.phase.has_steps:
            return run_stepless_phase(self._context, planned, reference)
        loop = PhaseLoop(
            self._context, self._state, number, planned, reference, self._density_ratios
        )
        loop.run(resume)
        self._logits.reuse(planned.boundary, loop.validation.forward, loop.validation_batch_size)
        return {
            "epochs": loop.epochs_run,
            "best_epoch": loop.best.number,
            "stopped": loop.stopped,
            "seconds": loop.seconds,
            "summary": f"best epoch {loop.best.number} of {loop.epochs_run}",
        }

    def _phase_reference(self, number: int, phase: Phase, inside: bool) -> Reference | None:
        """Returns the reference of a phase; None where it is the start of the run.

        The weights at the start of the phase are stored where a resumed run needs them.
        """
        network, workdir = self._context.network, self._context.run.workdir
        phases, blocks = self._phases, network.blocks
        start = workdir / f"reference-{number + 1}.npz"
        needed = any(p.phase.reference == "before" for p in phases[number + 1 : number + 2])
        if (needed or phase.reference == "phase") and not inside:
            weights.write(start, weights.collect(blocks))
        if phase.reference == "run" or (phase.reference == "before" and not number):
            return None
        path = start if phase.reference == "phase" else start.with_name(f"reference-{number}.npz")
        now = weights.collect(blocks)
        weights.assign_blocks(blocks, weights.read(path), path)
        reference = Reference(network)
        weights.assign_blocks(blocks, now, path)
        return reference


def _extractor(
    plan: Plan, run: RunFolder, network: Network, phases: Sequence[PhaseFeatures]
) -> FeatureExtractor:
    return FeatureExtractor(
        network,
        plan.examples,
        cache=plan.cache,
        clock=plan.clock,
        shared=plan.shared,
        phases=phases,
        run_file=run.workdir / "autotune.json",
    )


def _teacher_outputs(plan: Plan, run: RunFolder, extractor: FeatureExtractor) -> TeacherOutputs:
    # A teacher's features are those of all its layers.
    read = [replace(planned.features, boundary=FEATURES) for planned in plan.phases]
    extractors = [_extractor(plan, run, teacher.network, read) for teacher in plan.teachers]
    return TeacherOutputs(plan.teachers, extractors, extractor.decoded, len(plan.examples))
