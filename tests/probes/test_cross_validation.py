"""Folds part no unit, and are plain stratified ones where there is none of two examples."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from tftransfer.probes.cross_validation import fewest_units, folds

LABELS = np.arange(60) % 3


def test_no_unit_is_on_both_sides_and_every_example_is_tested_once():
    speakers = np.array(list("abcdef"))[np.arange(60) // 10]
    found = folds(LABELS, speakers, 5, classes=3)
    assert len(found) == 5
    assert all(not set(speakers[learn]) & set(speakers[test]) for learn, test in found)
    tested = np.concatenate([test for _, test in found])
    np.testing.assert_array_equal(np.sort(tested), np.arange(60))


@pytest.mark.parametrize("units", [(), list(map(str, range(60)))])
def test_without_groups_and_copies_they_are_plain_stratified_folds(units):
    expected = StratifiedKFold(5, shuffle=True, random_state=3).split(LABELS, LABELS)
    for mine, theirs in zip(folds(LABELS, units, 5, seed=3), expected, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[1], theirs[1])


def test_a_few_copies_follow_their_first():
    units = [str(number) for number in range(60)]
    units[50] = units[7]
    found = folds(LABELS, units, 5, seed=3)
    assert all((7 in test) == (50 in test) for _, test in found)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in found])), range(60))
    assert all(np.bincount(LABELS[test]).min() >= 3 for _, test in found)


def test_too_little_to_learn_or_to_part_gives_none():
    assert folds(LABELS, ["one"] * 60, 5) == []
    assert folds(np.zeros(60, int), (), 5) == []
    by_class = [str(label) for label in LABELS]
    assert len(folds(LABELS, by_class, 5)) == 3 and folds(LABELS, by_class, 5, classes=3) == []


def test_units_are_counted_in_the_class_that_has_fewest():
    assert fewest_units(LABELS, ()) == 20
    assert fewest_units(np.array([0, 0, 0, 1, 1]), list("aabcd")) == 2
