"""Problems hidden in a data set: near duplicates, and labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import SPLITS, Examples
from tftransfer.data.near_copies import near_copies_across, pairs_of_near_copies
from tftransfer.data.scan import MAX_COMPARED_EXAMPLES
from tftransfer.models.network import Network
from tftransfer.probes.layer_probes import pooled_layer_features, probe_layers
from tftransfer.reports.suspected_labels import describe_suspected_labels, suspected_labels
from tftransfer.reports.training_issues import backbone_until
from tftransfer.utils.wording import first_lines

_MAX_LISTED_PAIRS = 20


def describe_data_quality(
    examples: Examples, network: Network | None, output: Path | None = None
) -> list[str]:
    """Returns lines on near duplicates and suspected labels, for `inspect`.

    Args:
      examples: Examples of any problem type; those without labels, such as a target domain, are
        not used.
      network: Network with the weights of its source; without one, labels are not checked.
      output: CSV file for the suspected labels, or None.
    """
    examples = examples.keep(np.flatnonzero(np.isin(examples.splits, SPLITS)))
    lines = _duplicate_lines(examples) if examples.modality != "audio" else []
    if examples.problem_type is not ProblemType.SINGLE_LABEL:
        reason = "suspected labels: not checked, only single labels are"
        return [*lines, f"{reason}; {output} was not written"] if output else lines
    if network is None:
        return [*lines, "suspected labels: add --backbone=NAME to check the labels by a probe"]
    features_by_layer = pooled_layer_features(network, examples)
    lines += _layer_probe_lines(probe_layers(features_by_layer, examples), network)
    found = suspected_labels(features_by_layer, examples)
    return [*lines, *describe_suspected_labels(found, examples, output)]


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
        found = [f"  {what}: {names[a]} and {names[b]}" for a, b in some]
        lines += first_lines(found, _MAX_LISTED_PAIRS, what)
    return lines
