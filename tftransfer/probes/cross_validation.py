"""Cross-validation folds that keep groups and copies of examples together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tftransfer.core.typing import Array

# Indices of the examples to fit on, and of those to test on.
Fold = tuple[Array, Array]
# Name of the unit of each example, [n], as `groups.units` returns them; empty where each example
# is a unit.
Units = Sequence[str] | Array
# Share of units among the examples from which almost all are single examples.
_MOSTLY_SINGLE = 0.9


def folds(labels: Array, units: Units, most: int, *, classes: int = 2, seed: int = 0) -> list[Fold]:
    """Makes stratified folds that split no unit, such as a speaker's clips or copies of an image.

    Args:
      labels: Class indices, int [n].
      units: Name of the unit of each example, [n]; empty where each example is a unit.
      most: Number of folds; there are fewer where there are fewer units.
      classes: Number of classes that every fold must have to fit on.
      seed: Seed of the order.

    Returns:
      The indices to fit on and to test on of each fold; no folds where one would have nothing to
      test on, or too few classes to fit on.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    _, first, unit_of = np.unique(_names(labels, units), return_index=True, return_inverse=True)
    count = min(most, len(first))
    if count < 2:
        return []
    if len(first) < _MOSTLY_SINGLE * len(labels):
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        found = list(splitter.split(labels, labels, unit_of))
    else:
        found = _folds_by_first(labels, unit_of, np.sort(first), count, seed)
    if any(len(np.unique(labels[fit])) < classes or not len(test) for fit, test in found):
        return []
    return found


def _folds_by_first(
    labels: Array, unit_of: Array, first: Array, count: int, seed: int
) -> list[Fold]:
    """Splits the first example of each unit; the others of the unit are on the same side.

    A hundred times as fast as `StratifiedGroupKFold`.
    """
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    splits = splitter.split(first, labels[first])
    tested = [np.isin(unit_of, unit_of[first[test]]) for _, test in splits]
    return [(np.flatnonzero(~test), np.flatnonzero(test)) for test in tested]


def fewest_units(labels: Array, units: Units) -> int:
    """Returns the number of units of the class that has the fewest; see `folds`."""
    names = _names(labels, units)
    return min(len(np.unique(names[labels == label])) for label in np.unique(labels))


def _names(labels: Array, units: Units) -> Array:
    return np.asarray(units) if len(units) else np.arange(len(labels))
