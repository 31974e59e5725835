"""Splits: stratified, decided by the seed, disjoint by content."""

import hashlib
from collections import defaultdict

import numpy as np
import pytest

from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.data.split import split
from tftransfer.utils.errors import UserError


def _examples(labels, contents=None, *, splits="", problem_type="single_label", warnings=()):
    labels = np.array(labels, np.int64 if problem_type == "single_label" else np.float32)
    contents = range(len(labels)) if contents is None else contents
    columns = int(labels.max()) + 1 if problem_type == "single_label" else labels.shape[1]
    given = np.full(len(labels), splits, SPLIT_DTYPE) if isinstance(splits, str) else splits
    return Examples(
        names=[f"n{k}" for k in range(len(labels))],
        items=[f"{content}".encode() for content in contents],
        labels=labels,
        problem_type=problem_type,
        classes=tuple("abcdefgh"[:columns]),
        splits=np.array(given, SPLIT_DTYPE),
        sha256=[hashlib.sha256(f"{content}".encode()).hexdigest() for content in contents],
        warnings=warnings,
    )


def _counts(examples, name):
    labels = examples.labels[examples.where(name)]
    return np.bincount(labels, minlength=len(examples.classes)).tolist()


def _split_of(examples):
    return dict(zip(examples.names, examples.splits.tolist()))


def test_split_takes_the_same_fraction_of_every_class():
    found = split(_examples([0] * 50 + [1] * 30 + [2] * 20), seed=1)
    # a fifth of 50, 30, 20; then a tenth of 40, 24, 16
    assert _counts(found, "test") == [10, 6, 4]
    assert _counts(found, "val") == [4, 2, 2]
    assert _counts(found, "train") == [36, 22, 14]
    assert len(found) == 100 and found.warnings == ()


def test_split_orders_by_the_hash_of_seed_and_content():
    examples = _examples([0] * 10 + [1] * 10)
    found = split(examples, seed=7, test_fraction=0.3, validation_fraction=0.0)
    expected = set()
    for label in (0, 1):
        shas = [sha for sha, y in zip(examples.sha256, examples.labels) if y == label]
        shas.sort(key=lambda sha: hashlib.sha256(f"7 {sha}".encode()).digest())
        expected |= set(shas[:3])
    assert {found.sha256[i] for i in found.where("test")} == expected
    assert len(found.where("train")) == 14 and not len(found.where("val"))


def test_split_depends_on_the_seed_and_not_on_the_order():
    examples = _examples([0, 1] * 40)
    first = _split_of(split(examples, seed=3))
    assert _split_of(split(examples, seed=3)) == first
    shuffled = examples.keep(np.random.default_rng(0).permutation(80))
    assert _split_of(split(shuffled, seed=3)) == first
    assert _split_of(split(examples, seed=4)) != first


def test_split_leaves_its_argument_unchanged():
    examples = _examples([0, 1] * 10)
    split(examples)
    assert set(examples.splits) == {""}


def test_split_keeps_name_label_and_hash_together():
    examples = _examples([0, 1, 1, 0] * 10)
    found = split(examples, labels_per_class=4)
    for name, item, label, sha in zip(found.names, found.items, found.labels, found.sha256):
        place = examples.names.index(name)
        assert (item, sha) == (examples.items[place], examples.sha256[place])
        assert label == examples.labels[place]


@pytest.mark.parametrize("labels_per_class", [0, 9])
def test_split_keeps_copies_of_a_content_together(labels_per_class):
    contents = [k // 3 for k in range(90)]
    labels = [(k // 3) % 2 for k in range(90)]
    found = split(_examples(labels, contents), seed=5, labels_per_class=labels_per_class)
    splits = defaultdict(set)
    for sha, name in zip(found.sha256, found.splits):
        splits[sha].add(name)
    assert all(len(where) == 1 for where in splits.values())
    assert {name for where in splits.values() for name in where} == {"train", "val", "test"}
    # Fractions count files, not contents: a fifth of 45, rounded to whole contents.
    assert _counts(found, "test") == [9, 9]
    assert sum(_counts(found, "train") + _counts(found, "val")) == 2 * (labels_per_class or 36)
    assert all(found.sha256.count(sha) == 3 for sha in splits)


def test_split_keeps_copies_in_two_classes_together():
    contents = [*range(20), *range(20)]
    found = split(_examples([0] * 20 + [1] * 20, contents), seed=2, validation_fraction=0.2)
    splits = defaultdict(set)
    for sha, name in zip(found.sha256, found.splits):
        splits[sha].add(name)
    assert all(len(where) == 1 for where in splits.values()) and len(splits) == 20


def test_split_moves_few_examples_when_files_are_added():
    before = split(_examples([0, 1] * 150), seed=0)
    after = _split_of(split(_examples([0, 1] * 165), seed=0))
    moved = [name for name, each in _split_of(before).items() if after[name] != each]
    # A new shuffle would move about 120 of the 300.
    assert len(moved) <= 15
    assert sum(each == "test" for each in after.values()) == 66


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"train": 10, "test": 10}, {"test": 10, "val": 2, "train": 8}),
        ({"train": 10, "val": 6, "test": 4}, {"test": 4, "val": 6, "train": 10}),
        ({"train": 10, "val": 10}, {"test": 0, "val": 10, "train": 10}),
        ({"": 10, "val": 10}, {"test": 4, "val": 10, "train": 6}),
        ({"": 10, "test": 10}, {"test": 10, "val": 2, "train": 8}),
    ],
)
def test_split_keeps_splits_that_are_given(given, kept):
    splits = [name for name, count in given.items() for _ in range(count)]
    examples = _examples([0, 1] * (len(splits) // 2), splits=splits)
    found = split(examples, test_fraction=0.4, validation_fraction=0.2)
    assert {name: len(found.where(name)) for name in kept} == kept
    for name, before in zip(examples.names, splits):
        # Only the validation split may be taken from examples given for training.
        allowed = {"train": {"train", "val"}, "": {"train", "val", "test"}}.get(before, {before})
        assert _split_of(found)[name] in allowed


def test_split_drops_training_examples_that_are_in_a_given_test_split():
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    contents = [0, 1, 2, 3, 4, 5, 6, 7, 0, 6, 8, 9]
    found = split(_examples([0, 1] * 6, contents, splits=splits), validation_fraction=0.0)
    assert sorted(found.names) == sorted(f"n{k}" for k in range(12) if k not in (0, 6))
    assert len(found.where("test")) == 4
    assert found.warnings[0] == (
        "Dropped 2 training images that are also in the given test split. First: n0"
    )


def test_split_drops_training_examples_that_are_in_a_given_validation_split():
    splits = ["train"] * 8 + ["val"] * 2
    contents = [0, 1, 2, 3, 4, 5, 6, 7, 3, 8]
    found = split(_examples([0, 1] * 5, contents, splits=splits), test_fraction=0.0)
    assert "n3" not in found.names and len(found) == 9
    assert found.warnings[0] == (
        "Dropped 1 training image that is also in the given validation split. First: n3"
    )


def test_split_takes_no_copy_of_a_given_training_example_for_testing():
    splits = ["train"] * 10 + [""] * 10
    contents = [*range(10), *range(10)]
    found = split(_examples([0, 1] * 10, contents, splits=splits), test_fraction=0.5)
    assert not len(found.where("test"))
    train, val = ({found.sha256[i] for i in found.where(name)} for name in ("train", "val"))
    assert not train & val and len(train | val) == 10


@pytest.mark.parametrize("per_class", [1, 5, 10])
def test_labels_per_class_bounds_the_training_examples_of_each_class(per_class):
    examples = _examples([0] * 40 + [1] * 30)
    found = split(examples, labels_per_class=per_class, validation_fraction=0.0)
    assert _counts(found, "train") == [per_class, per_class]
    everything = split(examples, validation_fraction=0.0)
    assert _counts(found, "test") == _counts(everything, "test") == [8, 6]
    assert set(found.names) <= set(everything.names)


def test_labels_per_class_takes_validation_examples_from_those_that_are_kept():
    found = split(_examples([0, 1] * 40), labels_per_class=10, validation_fraction=0.3)
    assert _counts(found, "train") == [7, 7] and _counts(found, "val") == [3, 3]


def test_labels_per_class_leaves_a_given_validation_split_unchanged():
    splits = ["train"] * 40 + ["val"] * 20 + ["test"] * 20
    found = split(_examples([0, 1] * 40, splits=splits), labels_per_class=5)
    assert [_counts(found, name) for name in ("train", "val", "test")] == [
        [5, 5],
        [10, 10],
        [10, 10],
    ]


def test_labels_per_class_above_the_class_size_keeps_all():
    found = split(_examples([0] * 10 + [1] * 30), labels_per_class=20, validation_fraction=0.0)
    assert _counts(found, "train") == [8, 20]


def test_labels_per_class_smaller_sets_are_subsets_of_larger_ones():
    examples = _examples([0, 1] * 40)
    few, more = (
        split(examples, labels_per_class=count, validation_fraction=0.0) for count in (4, 12)
    )
    assert {few.names[i] for i in few.where("train")} <= {
        more.names[i] for i in more.where("train")
    }


@pytest.mark.parametrize("values", [np.arange(100) / 7, np.arange(100) ** 3, -np.arange(100)])
def test_split_of_a_regression_is_stratified_by_quintiles(values):
    order = np.random.default_rng(0).permutation(100)
    labels = np.stack([values, np.zeros(100)], axis=1)[order]
    found = split(_examples(labels, problem_type="regression"), validation_fraction=0.25)
    quintile = (np.argsort(np.argsort(values)) // 20)[order]
    where = {name: k for k, name in enumerate(_split_of(found))}
    splits = np.array([found.splits[where[f"n{k}"]] for k in range(100)])
    for name, count in (("test", 4), ("val", 4), ("train", 12)):
        assert np.bincount(quintile[splits == name], minlength=5).tolist() == [count] * 5


def test_split_of_several_labels_is_stratified_by_the_rarest():
    labels = np.zeros((100, 3))
    labels[:, 0] = 1
    labels[:40, 1] = 1
    labels[:10, 2] = 1
    labels[90:] = 0
    found = split(_examples(labels, problem_type="multi_label"), validation_fraction=0.0)
    test = found.labels[found.where("test")]
    # strata: 10 with the rarest, 30 with the next, 50 with the first alone, 10 with none
    assert [int(test[:, k].sum()) for k in (2, 1, 0)] == [2, 2 + 6, 2 + 6 + 10]
    assert len(test) == 20


@pytest.mark.parametrize(
    ("count", "splits"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (2, 0, 1)), (4, (2, 1, 1))]
)
def test_split_of_a_small_class_fills_training_first_and_warns(count, splits):
    found = split(_examples([0] * 40 + [1] * count))
    assert tuple(_counts(found, name)[1] for name in ("train", "val", "test")) == splits
    words = ("training", "validation", "test")
    warned = {word for word in words if f"the {word} split has no example of: b" in found.warnings}
    assert warned == {word for word, n in zip(words, splits) if not n}


def test_split_of_two_of_each_class_reports_that_nothing_is_held_out_and_its_remedy_works():
    pairs = _examples([0, 1, 2] * 2)
    assert (
        "no class has 3 examples or more, so none is held out and the run is not evaluated; "
        "--test_fraction=0.5 tests one of two"
    ) in split(pairs).warnings
    found = split(pairs, test_fraction=0.5)
    assert _counts(found, "test") == _counts(found, "train") == [1, 1, 1]
    single = split(_examples([0, 1, 2])).warnings
    assert any(line.endswith("not evaluated; label two of each or more") for line in single)


def test_split_reports_classes_that_are_too_small_for_the_test_split_and_its_remedy_works():
    found = split(_examples([0] * 40 + [1] * 2))
    assert (
        "a class needs 3 examples for one in the test split, so the metrics of these will be "
        "missing: b (2); label more, or give --test_fraction=0.5, which tests one of two"
    ) in found.warnings
    found = split(_examples([0] * 40 + [1] * 2), test_fraction=0.5)
    assert _counts(found, "test")[1] == _counts(found, "train")[1] == 1
    assert not any("will be missing" in line for line in found.warnings)


def test_split_puts_its_warnings_after_earlier_ones():
    found = split(_examples([0] * 40 + [1], warnings=("noticed before",)))
    assert found.warnings[0] == "noticed before" and len(found.warnings) == 5


def test_split_with_fractions_of_zero_has_training_examples_only():
    found = split(_examples([0, 1] * 10), test_fraction=0.0, validation_fraction=0.0)
    assert set(found.splits) == {"train"} and found.warnings == ()


def test_split_without_training_examples_is_an_error():
    with pytest.raises(UserError, match="None of the 4 examples is left for training"):
        split(_examples([0, 1] * 2, splits="test"))
    with pytest.raises(UserError, match="None of the 2 examples is left for training"):
        split(_examples([0, 1], contents=[5, 5], splits=["train", "test"]))


def test_split_warns_of_small_classes_and_conflicting_labels():
    labels = [0] * 30 + [1] * 5
    contents = [*range(30), 3, 4, 30, 31, 32]
    warnings = split(_examples(labels, contents)).warnings
    assert "classes with fewer than 10 examples: b (5)" in warnings
    assert "2 contents have more than one label, for example n3 and n30" in warnings


def test_split_keeps_copies_of_the_only_content_of_a_class_for_training():
    found = split(_examples([0, 1] * 15, [0, 1] * 15))
    assert _counts(found, "train") == [15, 15]
    assert any(
        line.startswith("no class has 3 different examples or more, so none is held out")
        and line.endswith("label two of each or more")
        for line in found.warnings
    )
    rare = split(_examples([0] * 40 + [1] * 5, [*range(40), *[40] * 5]))
    assert _counts(rare, "train")[1] == 5 and _counts(rare, "test") == [8, 0]
