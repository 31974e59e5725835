"""Folds of a cross-validation in which what belongs together is never on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Fold = tuple[np.ndarray, np.ndarray]
# The unit of each example by name, [n]; empty where each is its own.
Units = Sequence[str] | np.ndarray
# So many units, of the number of examples, are single ones and a few copies.
_MOSTLY_ALONE = 0.9


def folds(
    labels: np.ndarray, units: Units, most: int, *, classes: int = 2, seed: int = 0
) -> list[Fold]:
    """Stratified folds that part no unit, such as a speaker's clips or copies of a picture.

    Args:
      labels: int [n].
      units: of each example, [n], as of `groups.units`; empty where each is its own.
      most: folds; fewer where there are fewer units.
      classes: that each fold must leave to learn.
      seed: of the order.

    Returns:
      Of each fold the indices to learn from and those to test on; no folds where one would leave
      nothing to test, or too few classes to learn.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    own = np.asarray(units) if len(units) else np.arange(len(labels))
    _, first, own = np.unique(own, return_index=True, return_inverse=True)
    count = min(most, len(first))
    if count < 2:
        return []
    options = {"n_splits": count, "shuffle": True, "random_state": seed}
    if len(first) < _MOSTLY_ALONE * len(labels):
        found = list(StratifiedGroupKFold(**options).split(labels, labels, own))
    else:  # a hundred times as fast: the first of each unit is parted, its copies follow
        first = np.sort(first)
        parted = StratifiedKFold(**options).split(first, labels[first])
        tested = [np.isin(own, own[first[test]]) for _, test in parted]
        found = [(np.flatnonzero(~test), np.flatnonzero(test)) for test in tested]
    if any(len(np.unique(labels[learn])) < classes or not len(test) for learn, test in found):
        return []
    return found


def fewest_units(labels: np.ndarray, units: Units) -> int:
    """The number of units of the class that has fewest; arguments as of `folds`."""
    own = np.asarray(units) if len(units) else np.arange(len(labels))
    return min(len(np.unique(own[labels == label])) for label in np.unique(labels))
