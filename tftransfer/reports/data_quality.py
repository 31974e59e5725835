"""Problems hidden in a data set: near duplicates, and labels that are probably wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array, FloatArray
from tftransfer.data.examples import SPLITS, Examples, read_item
from tftransfer.data.groups import units
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.models.network import FEATURES, Network
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.probes.cross_validation import folds
from tftransfer.probes.layer_probes import pooled_layer_features, probe_layers
from tftransfer.probes.linear_probe import cross_validated_scores
from tftransfer.reports.near_copies import SIDE, near_copies
from tftransfer.reports.training_issues import backbone_until
from tftransfer.utils.text_encoding import decode_text

_MAX_COMPARED_EXAMPLES = 20_000
_MAX_PAIRS = 10_000
_BLOCK_EXAMPLES = 512
# Gray levels between the darkest and the lightest tenth of an image; below it there is no content.
_MIN_CONTRAST_LEVELS = 8
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


def near_duplicates(examples: Examples) -> list[tuple[int, int]]:
    """Finds pairs of examples with almost the same content.

    Texts with the same words, regardless of case and punctuation, and images of the same scene,
    also cropped by up to a tenth, moved, mirrored, lighter or compressed again; none of audio.
    The first 20,000 examples are compared.

    Returns:
      At most 10,000 pairs of indices, the lower index first; exact copies are not among them.
    """
    if examples.modality == "image":
        return _similar_images(examples)
    return _texts_of_same_words(examples) if examples.modality == "text" else []


def _texts_of_same_words(examples: Examples) -> list[tuple[int, int]]:
    first_index: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    for index, item in enumerate(examples.items[:_MAX_COMPARED_EXAMPLES]):
        words = _words(decode_text(read_item(item)))
        first = first_index.setdefault(words, index)
        if words and examples.sha256[first] != examples.sha256[index]:
            pairs.append((first, index))
    return pairs[:_MAX_PAIRS]


def _words(text: str) -> str:
    """The text in lower case, without punctuation."""
    kept = (c if unicodedata.category(c)[0] in "LMNS" else " " for c in text.casefold())
    return " ".join("".join(kept).split())


def _similar_images(examples: Examples) -> list[tuple[int, int]]:
    gray = _gray_images(examples)
    low, high = np.quantile(gray.reshape(len(gray), -1), (0.1, 0.9), axis=1)
    usable = np.flatnonzero(high - low >= _MIN_CONTRAST_LEVELS)
    pairs = usable[near_copies(gray[usable])]
    same = [examples.sha256[a] == examples.sha256[b] for a, b in pairs]
    return [(int(a), int(b)) for a, b in pairs[~np.array(same, bool)][:_MAX_PAIRS]]


def _gray_images(examples: Examples) -> FloatArray:
    """Returns the first images in gray, float32 [n, 64, 64]."""
    count = min(len(examples), _MAX_COMPARED_EXAMPLES)
    images = InputPipeline(examples, ImagePreprocessor(SIDE), keep=False)
    gray = np.zeros((count, SIDE, SIDE), np.float32)
    for number, block in enumerate(images.batches(np.arange(count), _BLOCK_EXAMPLES)):
        start = number * _BLOCK_EXAMPLES
        gray[start : start + len(block)] = block.mean(axis=-1)
    return gray


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
    pairs = near_duplicates(examples)
    if not pairs:
        compared = min(len(examples), _MAX_COMPARED_EXAMPLES)
        return [f"near duplicates: none among the first {compared:,} examples"]
    names, splits, targets = examples.names, examples.splits, examples.targets()
    across = [(a, b) for a, b in pairs if splits[a] != splits[b]]
    conflicting = [(a, b) for a, b in pairs if (targets[a] != targets[b]).any()]
    lines = [f"near duplicates: {len(pairs):,} pairs, {len(across):,} of them in different splits"]
    for what, some in (("in different splits", across), ("with different labels", conflicting)):
        lines += [f"  {what}: {names[a]} and {names[b]}" for a, b in some[:_MAX_LISTED_PAIRS]]
    return lines
