"""Problems hidden in a data set: near duplicates, and labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.data.examples import SPLITS, Examples
from tftransfer.data.groups import units
from tftransfer.data.near_copies import near_copies_across, pairs_of_near_copies
from tftransfer.data.scan import MAX_COMPARED_EXAMPLES
from tftransfer.models.network import FEATURES, Network
from tftransfer.probes.cross_validation import folds
from tftransfer.probes.layer_probes import pooled_layer_features, probe_layers
from tftransfer.probes.linear_probe import cross_validated_scores
from tftransfer.reports.training_issues import backbone_until

_FOLDS = 5
# Difference of probabilities from which a label is suspected.
_MIN_MARGIN = 0.5
_MAX_LISTED_LABELS = 10
_MAX_LISTED_PAIRS = 5


@dataclass(frozen=True)
class SuspectedLabel:
    """An example whose label is probably wrong.

    Attributes:
      index: Index of the example.
      predicted: Class that the probe predicts.
      margin: Probability of the predicted class minus that of the label, from 0.5 to 1.
    """

    index: int
    predicted: str
    margin: float


def suspected_labels(
    features_by_layer: Mapping[str, Array], examples: Examples, seed: int = 0
) -> list[SuspectedLabel] | None:
    """Finds labels that a cross-validated probe considers unlikely (Northcutt et al., 2021).

    The probe of an example is fitted on the other folds, which contain none of the example's group
    or copies.

    Args:
      features_by_layer: Features of a network with the weights of its source, as
        `pooled_layer_features` returns them, float [n, d].
      examples: Examples with single labels.
      seed: Seed of the folds.

    Returns:
      Suspected labels in descending order of the margin, of margins above 0.5; None where there are
      too few examples or groups.
    """
    counts = np.bincount(examples.labels, minlength=len(examples.classes))
    usable = np.flatnonzero(counts[examples.labels] >= _FOLDS)
    if len(np.unique(examples.labels[usable])) < 2:
        return None
    features = features_by_layer[FEATURES][usable]
    labels = examples.labels[usable]
    classes, places = np.unique(labels, return_inverse=True)
    splits = folds(labels, np.asarray(units(examples))[usable], _FOLDS, seed=seed)
    if not splits:
        return None
    scores = cross_validated_scores(features, places, splits)
    given = scores[np.arange(len(labels)), places]
    margin = np.where(given > 0, scores.max(axis=1) - given, 0.0)
    order = np.argsort(-margin, kind="stable")
    return [
        SuspectedLabel(
            int(usable[k]), examples.classes[classes[scores[k].argmax()]], float(margin[k])
        )
        for k in order
        if margin[k] > _MIN_MARGIN
    ]


def describe_data_quality(examples: Examples, network: Network | None) -> list[str]:
    """Returns lines on near duplicates and suspected labels, for `inspect`.

    Args:
      examples: Examples of any problem type; those without labels, such as a target domain, are
        not used.
      network: Network with the weights of its source; without one, labels are not checked.
    """
    examples = examples.keep(np.flatnonzero(np.isin(examples.splits, SPLITS)))
    lines = _duplicate_lines(examples) if examples.modality != "audio" else []
    if examples.problem_type is not ProblemType.SINGLE_LABEL:
        return lines
    if network is None:
        return [*lines, "suspected labels: add --backbone=NAME to check the labels by a probe"]
    features_by_layer = pooled_layer_features(network, examples)
    lines += _layer_probe_lines(probe_layers(features_by_layer, examples), network)
    found = suspected_labels(features_by_layer, examples)
    if found is None:
        return [*lines, "suspected labels: not checked, there are too few examples or groups"]
    lines.append(f"suspected labels, by a cross-validated probe: {len(found)}")
    for each in found[:_MAX_LISTED_LABELS]:
        label = examples.classes[examples.labels[each.index]]
        lines.append(
            f"  {examples.names[each.index]}: label {label}, predicted {each.predicted} "
            f"(probability higher by {each.margin:.2f})"
        )
    return lines


def _layer_probe_lines(accuracies: Mapping[str, float], network: Network) -> list[str]:
    if len(accuracies) < 2:
        return []
    best = max(accuracies, key=accuracies.__getitem__)
    lines = ["accuracy of a cross-validated linear probe on each stage:"]
    for name, value in accuracies.items():
        lines.append(f"  {name:<10}{value:.3f}{'  best' * (name == best)}")
    last = network.backbone.stages[-1].name
    if best != last and accuracies[best] > accuracies[last]:
        backbone = backbone_until(network.backbone.name, best)
        lines.append(f"to use the features of {best}: --backbone={backbone}")
    return lines


def _duplicate_lines(examples: Examples) -> list[str]:
    pairs, across = pairs_of_near_copies(examples), near_copies_across(examples)
    if not pairs:
        compared = min(len(examples), MAX_COMPARED_EXAMPLES)
        return [f"near duplicates: none among the first {compared:,} examples"]
    names, targets = examples.names, examples.targets()
    conflicting = [(a, b) for a, b in pairs if (targets[a] != targets[b]).any()]
    lines = [f"near duplicates: {len(pairs):,} pairs, {len(across):,} of them in different splits"]
    for what, some in (("in different splits", across), ("with different labels", conflicting)):
        lines += [f"  {what}: {names[a]} and {names[b]}" for a, b in some[:_MAX_LISTED_PAIRS]]
    return lines
