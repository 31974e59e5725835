"""What a data set hides: examples that are nearly the same, and labels that look wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import SPLITS, Examples, read_item
from tftransfer.data.groups import units
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.models.network import FEATURES, Network
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.probes.cross_validation import Fold, folds
from tftransfer.probes.layer_probes import linear_probe, pooled_layer_features, probe_layers
from tftransfer.utils.text_encoding import decode_text

# Side of the grey picture, of the waves in it that are compared, and how many of 248 may differ.
# On photographs re-encoded, halved, and made lighter at most 26 differed, on different ones 82.
_SIDE, _WAVES, _BITS = 32, 16, 40
_MOST, _BLOCK, _PAIRS = 20_000, 512, 10_000
# Grey levels between the darkest and the lightest tenth, below which a picture shows nothing.
_CONTRAST = 8
_FOLDS, _SHOWN = 5, 10
_MARGIN = 0.5


def near_duplicates(examples: Examples) -> list[tuple[int, int]]:
    """Pairs of different contents that are nearly the same, as indices, the first the lower.

    Texts of the same words, whatever their capitals and marks; pictures that look the same; none
    of audio. Of more than 20,000 examples, the first so many are compared; 10,000 pairs are given
    at most.
    """
    compared = {"image": _look_alike, "text": _same_words}.get(examples.modality)
    return compared(examples) if compared else []


def _same_words(examples: Examples) -> list[tuple[int, int]]:
    seen: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    for number, item in enumerate(examples.items[:_MOST]):
        words = _words(decode_text(read_item(item)))
        first = seen.setdefault(words, number)
        if words and examples.sha256[first] != examples.sha256[number]:
            pairs.append((first, number))
    return pairs[:_PAIRS]


def _words(text: str) -> str:
    """In lower case, without marks of punctuation."""
    kept = (c if unicodedata.category(c)[0] in "LMNS" else " " for c in text.casefold())
    return " ".join("".join(kept).split())


def _look_alike(examples: Examples) -> list[tuple[int, int]]:
    """By the perceptual hash (Zauner, 2010): of the longest waves of the cosine transform of a grey
    picture, whether each is stronger than their median, 248 bits; two are near where at most 40
    differ. Pictures without contrast are near to none.
    """
    from scipy.fft import dctn

    count = min(len(examples), _MOST)
    small = InputPipeline(examples, ImagePreprocessor(_SIDE), keep=False)
    hashes = np.zeros((count, _WAVES * _WAVES // 8 - 1), np.uint8)
    plain = np.zeros(count, bool)
    for number, block in enumerate(small.batches(np.arange(count), _BLOCK)):
        some = slice(number * _BLOCK, number * _BLOCK + len(block))
        grey = block.mean(axis=-1)
        low, high = np.quantile(grey.reshape(len(block), -1), (0.1, 0.9), axis=1)
        plain[some] = high - low < _CONTRAST
        waves = dctn(grey, axes=(1, 2))[:, :_WAVES, :_WAVES].reshape(len(block), -1)[:, 1:-7]
        stronger = waves > np.median(waves, axis=1, keepdims=True)
        hashes[some] = np.packbits(stronger, axis=1)
    sha = np.asarray(examples.sha256[:count], "S64")
    pairs: list[tuple[int, int]] = []
    for start in range(0, count, _BLOCK):
        mine = hashes[start : start + _BLOCK, None]
        differing = np.bitwise_count(mine ^ hashes[None]).sum(axis=-1, dtype=np.int32)
        rows = np.arange(start, start + len(mine))
        near = (differing <= _BITS) & (rows[:, None] < np.arange(count))
        near &= ~plain[rows, None] & ~plain & (sha[rows, None] != sha)
        pairs += [(start + int(a), int(b)) for a, b in np.argwhere(near)[: _PAIRS - len(pairs)]]
    return pairs


def suspected_labels(
    features_by_layer: Mapping[str, np.ndarray], examples: Examples, seed: int = 0
) -> list[tuple[int, str, float]] | None:
    """Examples whose label a probe, which has not seen them, finds unlikely.

    Cross-validated scores as in confident learning (Northcutt et al., 2021): a linear probe on the
    network's features, fitted on the other folds, which hold none of the example's group or copies.

    Args:
      features_by_layer: of `pooled_layer_features`, of a network with its source's weights.
      examples: of single labels.
      seed: of the folds.

    Returns:
      Index, the class that the probe would say, and how much likelier it finds that, in falling
      order; only where the difference is above 0.5. None where there are too few examples or groups
      to tell.
    """
    counts = np.bincount(examples.labels, minlength=len(examples.classes))
    usable = np.flatnonzero(counts[examples.labels] >= _FOLDS)
    if len(np.unique(examples.labels[usable])) < 2:
        return None
    features = features_by_layer[FEATURES][usable]
    labels = examples.labels[usable]
    known, places = np.unique(labels, return_inverse=True)
    parted = folds(labels, np.asarray(units(examples))[usable], _FOLDS, seed=seed)
    if not parted:
        return None
    scores = _unseen_scores(features, places, parted)
    given = scores[np.arange(len(labels)), places]
    margin = np.where(given > 0, scores.max(axis=1) - given, 0.0)
    order = np.argsort(-margin, kind="stable")
    return [
        (int(usable[k]), examples.classes[known[scores[k].argmax()]], float(margin[k]))
        for k in order
        if margin[k] > _MARGIN
    ]


def _unseen_scores(features: np.ndarray, labels: np.ndarray, parted: list[Fold]) -> np.ndarray:
    """Of a probe that learnt the other folds, [n, k]; 0 for classes that are not in these."""
    from threadpoolctl import threadpool_limits

    model = linear_probe()
    scores = np.zeros((len(labels), int(labels.max()) + 1))
    with threadpool_limits(1):
        for learn, test in parted:
            found = model.fit(features[learn], labels[learn]).predict_proba(features[test])
            scores[test[:, None], model.classes_] = found
    return scores


def sheet(examples: Examples, network: Network | None) -> list[str]:
    """Lines on both, for `inspect`; without a network, how to ask for the second.

    Examples without labels, as of a target domain, are left out.
    """
    examples = examples.keep(np.flatnonzero(np.isin(examples.splits, SPLITS)))
    lines = _near_lines(examples) if examples.modality != "audio" else []
    if examples.problem_type is not ProblemType.SINGLE_LABEL:
        return lines
    if network is None:
        return [*lines, "suspected labels: add --backbone=NAME and --weights for them"]
    features_by_layer = pooled_layer_features(network, examples)
    lines += _layer_probe_lines(probe_layers(features_by_layer, examples), network)
    found = suspected_labels(features_by_layer, examples)
    if found is None:
        return [*lines, "suspected labels: there are too few examples or groups to tell"]
    lines.append(f"suspected labels, by a cross-validated probe: {len(found)}")
    for index, said, margin in found[:_SHOWN]:
        label = examples.classes[examples.labels[index]]
        lines.append(f"  {examples.names[index]}: {label}, rather {said} (by {margin:.2f})")
    return lines


def _layer_probe_lines(found: Mapping[str, float], network: Network) -> list[str]:
    if len(found) < 2:
        return []
    best = max(found, key=found.__getitem__)
    lines = ["accuracy of a cross-validated linear probe on each stage:"]
    lines += [
        f"  {name:<10}{value:.3f}{'  best' * (name == best)}" for name, value in found.items()
    ]
    last = network.backbone.stages[-1].name
    if best != last and found[best] > found[last]:
        lines.append(f"features of {best} are to be had by --backbone=NAME:layer={best}")
    return lines


def _near_lines(examples: Examples) -> list[str]:
    pairs = near_duplicates(examples)
    if not pairs:
        return [f"near duplicates: none among the first {min(len(examples), _MOST):,}"]
    names, splits, labels = examples.names, examples.splits, examples.targets()
    across = [pair for pair in pairs if splits[pair[0]] != splits[pair[1]]]
    torn = [(a, b) for a, b in pairs if (labels[a] != labels[b]).any()]
    lines = [f"near duplicates: {len(pairs):,} pairs, {len(across):,} of them across the split"]
    for what, some in (("across the split", across), ("with different labels", torn)):
        lines += [f"  {what}: {names[a]} and {names[b]}" for a, b in some[:5]]
    return lines
