"""Adaptation to a target domain: its examples' weights, and whether it helped, without labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from tftransfer.checkpoints import weights
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.recipe import Phase
from tftransfer.evaluation.domain_gap import density_ratios, proxy_a_distance
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.losses import Domain
from tftransfer.planning.phase_plan import PhasePlan, without_target
from tftransfer.planning.plan import Plan
from tftransfer.probes.closed_form import SOLVERS
from tftransfer.training.train_step import terms

LOGGER = logging.getLogger(__name__)

# Of accuracy, that a later phase or another run may be worse; and in standard errors of the
# difference, as few validation examples tell little.
_TOLERANCE, _ERRORS = 0.02, 2.0
# Of the proxy A-distance, by which a phase for the target alone may part the domains further.
_WIDER = 0.05
# Share of the predictions that would have to change class, for a collapse to be suspected.
_COLLAPSED = 0.5
# Cross-entropy of a discriminator, in nats: of one that guesses, and of one that is sure.
_GUESS, _SURE = float(np.log(2)), 0.05


def judge(
    source: np.ndarray,
    target: np.ndarray,
    scores: np.ndarray,
    val: np.ndarray,
    labels: np.ndarray,
    val_labels: np.ndarray,
    seed: int,
) -> dict[str, float]:
    """Figures of a network, by its features and its scores of the target's pictures.

    Args:
      source: features of the training split, float [n, d].
      target: of the target's pictures, float [m, d].
      scores: of these, float [m, k].
      val: features of the validation split, float [v, d].
      labels: one-hot, of the training split, [n, k].
      val_labels: of the validation split, [v, k].
      seed: of the folds.

    Returns:
      `domain_gap`: the proxy A-distance. `reverse_validation`: accuracy on the validation split of
      a classifier that learnt the target's features and our guesses of their classes (Zhong et
      al., 2010; Ganin et al., 2016). `moved`: how far the guesses' frequencies are from the
      labels', as total variation.
    """
    guesses = np.eye(scores.shape[1], dtype=np.float32)[scores.argmax(axis=1)]
    kernel, bias = SOLVERS["ridge"](target, guesses)
    right = (val @ kernel + bias).argmax(axis=1) == val_labels.argmax(axis=1)
    moved = 0.5 * np.abs(guesses.mean(axis=0) - labels.mean(axis=0)).sum()
    return {
        "domain_gap": proxy_a_distance(source, target, seed),
        "reverse_validation": float(right.mean()) if len(right) else 0.0,
        "moved": float(moved),
    }


def best_phase(judged: list[dict[str, Any]], leaving: list[bool], count: int) -> tuple[int, str]:
    """The place of the phase to end with, and why: the last, unless an earlier one is better.

    Args:
      judged: figures of each phase.
      leaving: of each phase, whether it makes the network one for the target alone. Nothing holds
        that to the labels, and it is to bring the domains together: where they lie further apart
        after it, and the guesses' frequencies too lie further from the labels', it failed at its
        own aim.
      count: of the validation examples.
    """
    keys = ("domain_gap", "reverse_validation", "moved")
    gap, reverse, moved = ([each[key] for each in judged] for key in keys)
    kept = [0]
    for number in range(1, len(judged)):
        before = kept[-1]
        apart = gap[number] > gap[before] + _WIDER and moved[number] >= moved[before]
        if not (leaving[number] and apart):
            kept.append(number)
    last, best = kept[-1], max(kept, key=lambda number: reverse[number])
    if reverse[best] > reverse[last] + _chance((reverse[best], reverse[last]), count):
        return best, (
            f"did harm by reverse validation ({reverse[last]:.3f} after {reverse[best]:.3f})"
        )
    return last, (
        f"parted the domains further (gap {gap[-1]:.2f} after {gap[last]:.2f}), and the guesses' "
        "frequencies are no nearer to the labels'"
    )


def best_run(judged: dict[str, dict[str, float]], accuracy: dict[str, float], count: int) -> str:
    """The run to take of several for a target domain, by figures that need no label of it.

    Of those whose errors on the source and in reverse validation together are no worse than the
    best's by more than chance explains, the one whose guesses have class frequencies nearest to
    the labels': the errors alone were measured to tell bad from good, but not good from better.

    Args:
      judged: by name, the figures of `judge`.
      accuracy: by name, on the source's validation split.
      count: of the validation examples.
    """
    right = {name: (accuracy[name], judged[name]["reverse_validation"]) for name in judged}
    best = max(right, key=lambda name: sum(right[name]))
    good = [
        name
        for name in right
        if sum(right[name]) >= sum(right[best]) - _chance((*right[name], *right[best]), count)
    ]
    return min(good, key=lambda name: judged[name]["moved"])


def final(phases: list[dict[str, Any]]) -> dict[str, float]:
    """The figures of the network that a run ended with; none where nothing was judged."""
    kept = [phase for phase in phases if phase.get("kept")]
    ended = phases[-1] if phases[-1].get("again") or not kept else kept[-1]
    return ended.get("judged", {})


def _chance(shares: Sequence[float], count: int) -> float:
    """How far sums of such shares of `count` examples may lie apart by chance, at least 0.02."""
    variance = sum(p * (1 - p) for p in shares) / max(1, count)
    return max(_TOLERANCE, _ERRORS * variance**0.5)


def warnings_of(judged: dict[str, Any], told_apart: Sequence[float] = ()) -> list[str]:
    """What looks wrong, in words.

    Args:
      judged: as of `judge`.
      told_apart: the discriminator's cross-entropy in each epoch, in nats, where there is one.
    """
    found = []
    if told_apart and told_apart[-1] < _SURE:
        found.append(
            f"the discriminator tells the domains apart without doubt (its loss is "
            f"{told_apart[-1]:.3f}; a guess has {_GUESS:.3f}): nothing misleads it, so the domains "
            "are not brought together"
        )
    elif told_apart and min(told_apart) > 0.99 * _GUESS and judged["domain_gap"] > 1:
        found.append(
            f"the discriminator has collapsed: in no epoch did it do better than a guess (its loss "
            f"is {told_apart[-1]:.3f}), though the domains can be told apart"
        )
    if judged["moved"] > _COLLAPSED:
        found.append(
            f"{judged['moved']:.0%} of the guesses for the target are in other classes than the "
            "training labels' frequencies would have: the adaptation may have collapsed, or the "
            "target has other classes"
        )
    return found


def density_weights(extractor: FeatureExtractor, plan: Plan) -> np.ndarray:
    """The weight of each example: how much more the target is like it than the source is."""
    train, target = plan.examples.where("train"), plan.examples.where("target")
    weights = np.ones(len(plan.examples), np.float32)
    weights[train] = density_ratios(
        extractor.features(train), extractor.features(target), plan.experiment.seed
    )
    return weights


def judged(number: int, planned: PhasePlan, trainer: Any) -> dict[str, Any]:
    """Where there is a target domain, how the network does on it as far as can be seen."""
    examples = trainer.plan.examples
    target, val = examples.where("target"), examples.where("val")
    if not len(target):
        return {}
    if not len(val) or examples.problem_type is not ProblemType.SINGLE_LABEL:
        LOGGER.info(
            "  how the target domain fares is not judged: that takes a validation split, and one "
            "label per example"
        )
        return {}
    weights.store(trainer.run.phase_weights(number), weights.collect(trainer.network.blocks))
    train = examples.where("train")
    source, source_val = _source_features(number, trainer, train, val)
    found = judge(
        source,
        trainer.extractor.features(target),
        trainer.phase_logits(planned, target),
        source_val,
        trainer.targets[train],
        trainer.targets[val],
        trainer.plan.experiment.seed,
    )
    LOGGER.info(
        f"  {planned.phase.name}: domain gap {found['domain_gap']:.2f} (0 alike, 2 apart), "
        f"reverse validation {found['reverse_validation']:.3f}"
    )
    for warning in warnings_of(found, _told_apart(planned.phase, trainer)):
        LOGGER.info(f"  {warning}")
    return {"judged": found}


def _told_apart(phase: Phase, trainer: Any) -> list[float]:
    """The loss of a discriminator in each epoch, beside others; none where there is none."""
    misled = [
        isinstance(loss, Domain) and loss.objective == "gradient_reversal" for loss in phase.losses
    ]
    names = [name for name, is_it in zip(terms(phase.losses), misled) if is_it]
    records = [each for each in trainer.run.metrics() if each["phase"] == phase.name]
    return [each[name] for each in records for name in names[:1]]


def _source_features(number: int, trainer: Any, *parts: np.ndarray) -> list[np.ndarray]:
    """Of examples of the source, by the network as it was before it left the source."""
    phases = trainer.planned[: number + 1]
    before = [k for k, each in enumerate(phases) if not each.phase.serves_target_only]
    if not before or before[-1] == number:
        return [trainer.extractor.features(indices) for indices in parts]
    now = weights.collect(trainer.network.blocks)
    try:
        _as_after(before[-1], trainer)
        return [trainer.extractor.features(indices) for indices in parts]
    finally:
        weights.assign_blocks(trainer.network.blocks, now, trainer.run.workdir)
        trainer.extractor.weights_changed()


def end_with_the_best(trainer: Any) -> list[PhasePlan]:
    """Goes back to an earlier phase where the adaptation did harm.

    Returns:
      The phases to go on with: those that were undone and learn labels, without the target.
    """
    found = [phase["judged"] for phase in trainer.phases if "judged" in phase]
    adapts = any(planned.phase.adapts for planned in trainer.plan.phases)
    if not adapts or len(found) < 2 or len(found) < len(trainer.phases):
        return []
    leaving = [planned.phase.serves_target_only for planned in trainer.plan.phases]
    best, why = best_phase(found, leaving, len(trainer.plan.examples.where("val")))
    if best == len(found) - 1:
        return []
    _as_after(best, trainer)
    trainer.phases[best]["kept"] = True
    later = trainer.plan.phases[best + 1 :]
    again = [without_target(planned, trainer.network) for planned in later]
    LOGGER.info(
        f"  what followed phase {trainer.phases[best]['name']} {why}: the run "
        f"{'goes on from' if any(again) else 'ends with'} that phase's weights"
        f"{', without the target' * any(again)}"
    )
    return [planned for planned in again if planned]


def _as_after(number: int, trainer: Any) -> None:
    """The network as it was at the end of a phase."""
    path = trainer.run.phase_weights(number)
    weights.assign_blocks(trainer.network.blocks, weights.read(path), path)
    trainer.extractor.weights_changed()
