"""Whether adaptation to a target domain helped, measured without its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.evaluation.domain_gap import proxy_a_distance
from tftransfer.probes.closed_form import SOLVERS

# Accuracy by which a later phase or another run may be worse: at least 0.02, and two standard
# errors of the difference, as few validation examples measure it poorly.
_TOLERANCE = 0.02
_STANDARD_ERRORS = 2.0
# Proxy A-distance by which a phase for the target alone may move the domains apart.
_GAP_TOLERANCE = 0.05
# Share of the predictions that would have to change class for a collapse to be suspected.
_COLLAPSED_DISTANCE = 0.5
# Cross-entropy of a domain discriminator in nats: of one that guesses, and of one that is sure.
_GUESSING_LOSS = float(np.log(2))
_CERTAIN_LOSS = 0.05


def adaptation_metrics(
    source: Array,
    target: Array,
    scores: Array,
    val: Array,
    labels: Array,
    val_labels: Array,
    seed: int,
) -> dict[str, float]:
    """Computes metrics of a network that need no label of the target domain.

    Args:
      source: Features of the training split, float [n, d].
      target: Features of the target's examples, float [m, d].
      scores: Scores of the target's examples, float [m, k].
      val: Features of the validation split, float [v, d].
      labels: One-hot labels of the training split, [n, k].
      val_labels: One-hot labels of the validation split, [v, k].
      seed: Seed of the folds.

    Returns:
      `domain_gap`: the proxy A-distance. `reverse_validation`: accuracy on the validation split of
      a classifier that was fitted to the target's features and the predicted classes (Zhong et
      al., 2010; Ganin et al., 2016). `class_frequency_distance`: the total
      variation between the frequencies of the predicted classes and of the labels.
    """
    predicted = np.eye(scores.shape[1], dtype=np.float32)[scores.argmax(axis=1)]
    kernel, bias = SOLVERS["ridge"](target, predicted)
    correct = (val @ kernel + bias).argmax(axis=1) == val_labels.argmax(axis=1)
    class_frequency_distance = 0.5 * np.abs(predicted.mean(axis=0) - labels.mean(axis=0)).sum()
    return {
        "domain_gap": proxy_a_distance(source, target, seed),
        "reverse_validation": float(correct.mean()) if len(correct) else 0.0,
        "class_frequency_distance": float(class_frequency_distance),
    }


def best_phase(
    phases: Sequence[Mapping[str, float]], leaves_source: Sequence[bool], count: int
) -> tuple[int, str]:
    """Selects the phase to end with: the last one, unless an earlier one is better.

    Args:
      phases: The `adaptation_metrics` of each phase.
      leaves_source: Whether each phase fits the network to the target alone. Labels do not
        constrain such a phase, and its aim is to bring the domains together: it has failed where
        they are further apart after it and the predicted frequencies are also further from the
        labels'.
      count: Number of validation examples.

    Returns:
      The index of the phase, and the reason where it is not the last.
    """
    keys = ("domain_gap", "reverse_validation", "class_frequency_distance")
    gap, reverse, distance = ([each[key] for each in phases] for key in keys)
    kept = [0]
    for number in range(1, len(phases)):
        before = kept[-1]
        apart = gap[number] > gap[before] + _GAP_TOLERANCE and distance[number] >= distance[before]
        if not (leaves_source[number] and apart):
            kept.append(number)
    last, best = kept[-1], max(kept, key=lambda number: reverse[number])
    if reverse[best] > reverse[last] + _tolerance((reverse[best], reverse[last]), count):
        return best, (
            f"lowered reverse validation to {reverse[last]:.3f}, from {reverse[best]:.3f}"
        )
    return last, (
        f"moved the domains apart (gap {gap[-1]:.2f}, before {gap[last]:.2f}), and the predicted "
        "class frequencies are no closer to the labels'"
    )


def best_run(
    runs: Mapping[str, Mapping[str, float]], accuracy: Mapping[str, float], count: int
) -> str:
    """Selects the run to use for a target domain, without its labels.

    Among the runs whose errors on the source and in reverse validation together exceed the best
    run's by no more than chance explains, it is the one whose predicted class frequencies are
    closest to the labels'. The errors alone were measured to separate bad runs from good ones, but
    not good ones from better ones.

    Args:
      runs: The `adaptation_metrics` of each run, by name.
      accuracy: Accuracy of each run on the source's validation split, by name.
      count: Number of validation examples.
    """
    shares = {name: (accuracy[name], runs[name]["reverse_validation"]) for name in runs}
    best = max(shares, key=lambda name: sum(shares[name]))
    good = [
        name
        for name in shares
        if sum(shares[name])
        >= sum(shares[best]) - _tolerance((*shares[name], *shares[best]), count)
    ]
    return min(good, key=lambda name: runs[name]["class_frequency_distance"])


def final_metrics(phases: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the `adaptation_metrics` of the network that a run ended with; empty if unknown.

    Args:
      phases: The records of the phases in `result.json`.
    """
    kept = [phase for phase in phases if phase.get("kept")]
    last = phases[-1] if phases[-1].get("without_target") or not kept else kept[-1]
    return dict(last.get("adaptation", {}))


def adaptation_warnings(
    values: Mapping[str, float], discriminator_losses: Sequence[float] = ()
) -> list[str]:
    """Returns warnings about an adaptation that may have failed.

    Args:
      values: The `adaptation_metrics` of the phase.
      discriminator_losses: Cross-entropy of the domain discriminator in each epoch, in nats;
        empty where there is none.
    """
    found = []
    if discriminator_losses and discriminator_losses[-1] < _CERTAIN_LOSS:
        found.append(
            "the discriminator separates the domains with certainty (its loss is "
            f"{discriminator_losses[-1]:.3f}; guessing has {_GUESSING_LOSS:.3f}): the features do "
            "not confuse it, so the domains are not brought together"
        )
    elif (
        discriminator_losses
        and min(discriminator_losses) > 0.99 * _GUESSING_LOSS
        and values["domain_gap"] > 1
    ):
        found.append(
            "the discriminator has collapsed: in no epoch was it better than guessing (its loss is "
            f"{discriminator_losses[-1]:.3f}), although the domains can be separated"
        )
    if values["class_frequency_distance"] > _COLLAPSED_DISTANCE:
        share = f"{values['class_frequency_distance']:.0%}"
        found.append(
            f"{share} of the target's predictions would have to change class "
            "to match the class frequencies of the training labels: the adaptation may have "
            "collapsed, or the target has other classes"
        )
    return found


def _tolerance(shares: Sequence[float], count: int) -> float:
    """Returns by how much sums of shares of `count` examples may differ by chance."""
    variance = sum(p * (1 - p) for p in shares) / max(1, count)
    return max(_TOLERANCE, _STANDARD_ERRORS * float(np.sqrt(variance)))
