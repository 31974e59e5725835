"""Folds split no unit, and are plain stratified folds where every unit is one example."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from tftransfer.probes.cross_validation import fewest_units, folds

LABELS = np.arange(60) % 3


def test_folds_split_no_unit_and_test_every_example_once():
    speakers = np.array(list("abcdef"))[np.arange(60) // 10]
    found = folds(LABELS, speakers, 5, classes=3)
    assert len(found) == 5
    assert all(not set(speakers[fit]) & set(speakers[test]) for fit, test in found)
    tested = np.concatenate([test for _, test in found])
    np.testing.assert_array_equal(np.sort(tested), np.arange(60))


@pytest.mark.parametrize("units", [(), list(map(str, range(60)))])
def test_folds_of_single_examples_equal_stratified_folds(units):
    expected = StratifiedKFold(5, shuffle=True, random_state=3).split(LABELS, LABELS)
    for fold, wanted in zip(folds(LABELS, units, 5, seed=3), expected, strict=True):
        np.testing.assert_array_equal(fold[0], wanted[0])
        np.testing.assert_array_equal(fold[1], wanted[1])


def test_folds_keep_a_few_copies_with_their_first():
    units = [str(number) for number in range(60)]
    units[50] = units[7]
    found = folds(LABELS, units, 5, seed=3)
    assert all((7 in test) == (50 in test) for _, test in found)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in found])), range(60))
    assert all(np.bincount(LABELS[test]).min() >= 3 for _, test in found)


def test_folds_without_enough_units_or_classes_are_empty():
    assert folds(LABELS, ["one"] * 60, 5) == []
    assert folds(np.zeros(60, int), (), 5) == []
    by_class = [str(label) for label in LABELS]
    assert len(folds(LABELS, by_class, 5)) == 3 and folds(LABELS, by_class, 5, classes=3) == []


def test_fewest_units_counts_the_units_of_the_smallest_class():
    assert fewest_units(LABELS, ()) == 20
    assert fewest_units(np.array([0, 0, 0, 1, 1]), list("aabcd")) == 2
