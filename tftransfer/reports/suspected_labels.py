"""Labels that are probably wrong, by the probabilities of a cross-validated probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples
from tftransfer.data.groups import units
from tftransfer.models.network import FEATURES
from tftransfer.probes.cross_validation import folds
from tftransfer.probes.linear_probe import selected_scores
from tftransfer.utils.files import atomic_file
from tftransfer.workdir.run_folder import write_predictions

_FOLDS = 5
# A label is suspected only where another class is more probable than all others together.
_MIN_PROBABILITY = 0.5
_MAX_LISTED = 10
_SMALLEST_SHOWN = 0.01
_COLUMNS = ("name", "label", "predicted", "label_probability", "predicted_probability")


@dataclass(frozen=True, kw_only=True)
class SuspectedLabel:
    """An example whose label is probably wrong.

    Attributes:
      index: Index of the example.
      predicted: Class that the probe predicts.
      label_probability: Probability of the label.
      predicted_probability: Probability of the predicted class.
    """

    index: int
    predicted: str
    label_probability: float
    predicted_probability: float


@dataclass(frozen=True, kw_only=True)
class HeldOutProbabilities:
    """Probabilities of examples by a probe that was fitted without them, their group and copies.

    Attributes:
      indices: Indices of the examples, int [n].
      labels: Columns of their labels, int [n].
      classes: Class index of each column, int [k].
      scores: Probabilities, float [n, k]; 0 for a class that the probe was not fitted on.
    """

    indices: Array
    labels: Array
    classes: Array
    scores: Array

    @property
    def of_labels(self) -> Array:
        """The probability of each label, float [n]: the smaller, the more suspicious."""
        given: Array = self.scores[np.arange(len(self.labels)), self.labels]
        return given


def held_out_probabilities(
    features: Array, examples: Examples, seed: int = 0
) -> HeldOutProbabilities | None:
    """Computes the probabilities of all classes for each example by a cross-validated probe.

    The probe of an example is fitted on the other folds, which contain none of the example's group
    or copies. Its penalty is the one with the smallest log loss.

    Args:
      features: Features of a network with the weights of its source, float [n, d].
      examples: Examples with single labels; classes of fewer than five are not used.
      seed: Seed of the folds.

    Returns:
      None where there are too few examples or groups.
    """
    counts = np.bincount(examples.labels, minlength=len(examples.classes))
    usable = np.flatnonzero(counts[examples.labels] >= _FOLDS)
    if len(np.unique(examples.labels[usable])) < 2:
        return None
    labels = examples.labels[usable]
    classes, columns = np.unique(labels, return_inverse=True)
    splits = folds(labels, np.asarray(units(examples))[usable], _FOLDS, seed=seed)
    if not splits:
        return None
    scores = selected_scores(features[usable], columns, splits)
    return HeldOutProbabilities(indices=usable, labels=columns, classes=classes, scores=scores)


def suspected_labels(
    features_by_layer: Mapping[str, Array], examples: Examples, seed: int = 0
) -> list[SuspectedLabel] | None:
    """Finds labels that a cross-validated probe considers unlikely.

    Suspected is the label y of an example if another class c has a probability above 0.5, and that
    of y is at most its mean over the examples with the label c. As in confident learning (Northcutt
    et al., 2021) the bound is one of the classes, because wrong labels make the probe less certain.

    Args:
      features_by_layer: Features of a network with the weights of its source, as
        `pooled_layer_features` returns them, float [n, d].
      examples: Examples with single labels.
      seed: Seed of the folds.

    Returns:
      Suspected labels in ascending order of the probability of the label; None where there are too
      few examples or groups.
    """
    found = held_out_probabilities(features_by_layer[FEATURES], examples, seed)
    return None if found is None else improbable_labels(found, examples.classes)


def improbable_labels(found: HeldOutProbabilities, classes: Sequence[str]) -> list[SuspectedLabel]:
    """Returns the suspected labels of some probabilities; see `suspected_labels`."""
    given, highest = found.of_labels, found.scores.max(axis=1)
    predicted, columns = found.scores.argmax(axis=1), np.arange(len(found.classes))
    means = np.stack([found.scores[found.labels == column].mean(axis=0) for column in columns])
    unlikely = (highest > _MIN_PROBABILITY) & (given <= means[predicted, found.labels])
    # A probability of 0 is that of a class that the probe was not fitted on.
    suspected = unlikely & (predicted != found.labels) & (given > 0)
    order = np.argsort(given, kind="stable")
    return [
        SuspectedLabel(
            index=int(found.indices[k]),
            predicted=classes[found.classes[predicted[k]]],
            label_probability=float(given[k]),
            predicted_probability=float(highest[k]),
        )
        for k in order[suspected[order]]
    ]


def describe_suspected_labels(
    found: Sequence[SuspectedLabel] | None, examples: Examples, output: Path | None = None
) -> list[str]:
    """Writes the table of all suspected labels and returns lines on the first ten, for `inspect`.

    Args:
      found: What `suspected_labels` returns.
      examples: The examples that it was given.
      output: CSV file for the table, or None.
    """
    if found is None:
        unwritten = f"; {output} was not written" if output else ""
        return [f"suspected labels: not checked, there are too few examples or groups{unwritten}"]
    rows = [
        (examples.names[each.index], examples.classes[examples.labels[each.index]], each)
        for each in found
    ]
    where = ""
    if output:
        _write(output, rows)
        where = f", all of them in {output}"
    elif len(found) > _MAX_LISTED:
        where = "; to write all of them to a table, add --output=suspected.csv"
    first = f", the first {_MAX_LISTED} below" if len(found) > _MAX_LISTED else ""
    return [
        f"suspected labels, by a cross-validated probe: {len(found):,} of {len(examples):,}"
        f"{first}{where}",
        *(
            f"  {name}: label {label} (probability {_shown(each.label_probability)}), predicted "
            f"{each.predicted} (probability {each.predicted_probability:.2f})"
            for name, label, each in rows[:_MAX_LISTED]
        ),
    ]


def _write(path: Path, rows: Sequence[tuple[str, str, SuspectedLabel]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = [
        (name, label, each.predicted, each.label_probability, each.predicted_probability)
        for name, label, each in rows
    ]
    with atomic_file(path) as temporary:
        write_predictions(temporary, [_COLUMNS, *table])


def _shown(probability: float) -> str:
    small = probability < _SMALLEST_SHOWN
    return f"< {_SMALLEST_SHOWN}" if small else f"{probability:.2f}"
