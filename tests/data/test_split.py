import hashlib
from collections import defaultdict

import numpy as np
import pytest

from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.data.split import split
from tftransfer.utils.errors import UserError


def _examples(labels, contents=None, *, splits="", problem_type="single_label", remarks=()):
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
        remarks=remarks,
    )


def _counts(examples, part):
    labels = examples.labels[examples.where(part)]
    return np.bincount(labels, minlength=len(examples.classes)).tolist()


def _part_of(examples):
    return dict(zip(examples.names, examples.splits.tolist()))


def test_every_class_gives_its_share():
    found = split(_examples([0] * 50 + [1] * 30 + [2] * 20), seed=1)
    # a fifth of 50, 30, 20; then a tenth of 40, 24, 16
    assert _counts(found, "test") == [10, 6, 4]
    assert _counts(found, "val") == [4, 2, 2]
    assert _counts(found, "train") == [36, 22, 14]
    assert len(found) == 100 and found.remarks == ()


def test_the_order_is_by_hash_of_seed_and_content():
    examples = _examples([0] * 10 + [1] * 10)
    found = split(examples, seed=7, test_fraction=0.3, validation_fraction=0.0)
    expected = set()
    for label in (0, 1):
        shas = [sha for sha, y in zip(examples.sha256, examples.labels) if y == label]
        shas.sort(key=lambda sha: hashlib.sha256(f"7 {sha}".encode()).digest())
        expected |= set(shas[:3])
    assert {found.sha256[i] for i in found.where("test")} == expected
    assert len(found.where("train")) == 14 and not len(found.where("val"))


def test_the_seed_decides_and_nothing_else():
    examples = _examples([0, 1] * 40)
    first = _part_of(split(examples, seed=3))
    assert _part_of(split(examples, seed=3)) == first
    shuffled = examples.keep(np.random.default_rng(0).permutation(80))
    assert _part_of(split(shuffled, seed=3)) == first
    assert _part_of(split(examples, seed=4)) != first


def test_the_source_is_not_changed():
    examples = _examples([0, 1] * 10)
    split(examples)
    assert set(examples.splits) == {""}


def test_examples_keep_their_label_name_and_hash():
    examples = _examples([0, 1, 1, 0] * 10)
    found = split(examples, labels_per_class=4)
    for name, item, label, sha in zip(found.names, found.items, found.labels, found.sha256):
        place = examples.names.index(name)
        assert (item, sha) == (examples.items[place], examples.sha256[place])
        assert label == examples.labels[place]


@pytest.mark.parametrize("labels_per_class", [0, 9])
def test_copies_of_one_content_are_never_parted(labels_per_class):
    contents = [k // 3 for k in range(90)]
    labels = [(k // 3) % 2 for k in range(90)]
    found = split(_examples(labels, contents), seed=5, labels_per_class=labels_per_class)
    splits = defaultdict(set)
    for sha, part in zip(found.sha256, found.splits):
        splits[sha].add(part)
    assert all(len(where) == 1 for where in splits.values())
    assert {part for where in splits.values() for part in where} == {"train", "val", "test"}
    # The shares count files, not contents: a fifth of 45, and what is left up to whole contents.
    assert _counts(found, "test") == [9, 9]
    assert sum(_counts(found, "train") + _counts(found, "val")) == 2 * (labels_per_class or 36)
    assert all(found.sha256.count(sha) == 3 for sha in splits)


def test_copies_in_two_classes_are_never_parted():
    contents = [*range(20), *range(20)]
    found = split(_examples([0] * 20 + [1] * 20, contents), seed=2, validation_fraction=0.2)
    splits = defaultdict(set)
    for sha, part in zip(found.sha256, found.splits):
        splits[sha].add(part)
    assert all(len(where) == 1 for where in splits.values()) and len(splits) == 20


def test_adding_files_hardly_moves_the_others():
    before = split(_examples([0, 1] * 150), seed=0)
    after = _part_of(split(_examples([0, 1] * 165), seed=0))
    moved = [name for name, part in _part_of(before).items() if after[name] != part]
    # A plain reshuffle would move about 120 of the 300.
    assert len(moved) <= 15
    assert sum(part == "test" for part in after.values()) == 66


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
def test_given_parts_are_kept(given, kept):
    splits = [part for part, count in given.items() for _ in range(count)]
    examples = _examples([0, 1] * (len(splits) // 2), splits=splits)
    found = split(examples, test_fraction=0.4, validation_fraction=0.2)
    assert {part: len(found.where(part)) for part in kept} == kept
    for name, part in zip(examples.names, splits):
        # Only a validation part may be taken from what was given for training.
        allowed = {"train": {"train", "val"}, "": {"train", "val", "test"}}.get(part, {part})
        assert _part_of(found)[name] in allowed


def test_what_stands_in_a_given_test_part_is_dropped_from_the_rest():
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    contents = [0, 1, 2, 3, 4, 5, 6, 7, 0, 6, 8, 9]
    found = split(_examples([0, 1] * 6, contents, splits=splits), validation_fraction=0.0)
    assert sorted(found.names) == sorted(f"n{k}" for k in range(12) if k not in (0, 6))
    assert len(found.where("test")) == 4
    assert found.remarks[0] == (
        "2 training pictures also stand in the given test part and were dropped from training, "
        "the first n0"
    )


def test_what_stands_in_a_given_validation_part_is_dropped_from_training():
    splits = ["train"] * 8 + ["val"] * 2
    contents = [0, 1, 2, 3, 4, 5, 6, 7, 3, 8]
    found = split(_examples([0, 1] * 5, contents, splits=splits), test_fraction=0.0)
    assert "n3" not in found.names and len(found) == 9
    assert "1 training pictures also stand in the given val part" in found.remarks[0]


def test_a_free_copy_of_what_was_given_for_training_is_not_taken_for_testing():
    splits = ["train"] * 10 + [""] * 10
    contents = [*range(10), *range(10)]
    found = split(_examples([0, 1] * 10, contents, splits=splits), test_fraction=0.5)
    assert not len(found.where("test"))
    train, val = ({found.sha256[i] for i in found.where(part)} for part in ("train", "val"))
    assert not train & val and len(train | val) == 10


@pytest.mark.parametrize("per_class", [1, 5, 10])
def test_labels_per_class(per_class):
    examples = _examples([0] * 40 + [1] * 30)
    found = split(examples, labels_per_class=per_class, validation_fraction=0.0)
    assert _counts(found, "train") == [per_class, per_class]
    everything = split(examples, validation_fraction=0.0)
    assert _counts(found, "test") == _counts(everything, "test") == [8, 6]
    assert set(found.names) <= set(everything.names)


def test_the_validation_part_comes_from_the_labels_that_are_kept():
    found = split(_examples([0, 1] * 40), labels_per_class=10, validation_fraction=0.3)
    assert _counts(found, "train") == [7, 7] and _counts(found, "val") == [3, 3]


def test_a_given_validation_part_is_not_thinned():
    splits = ["train"] * 40 + ["val"] * 20 + ["test"] * 20
    found = split(_examples([0, 1] * 40, splits=splits), labels_per_class=5)
    assert [_counts(found, part) for part in ("train", "val", "test")] == [
        [5, 5],
        [10, 10],
        [10, 10],
    ]


def test_more_labels_per_class_than_there_are_keep_all():
    found = split(_examples([0] * 10 + [1] * 30), labels_per_class=20, validation_fraction=0.0)
    assert _counts(found, "train") == [8, 20]


def test_fewer_labels_are_among_the_more():
    examples = _examples([0, 1] * 40)
    few, more = (
        split(examples, labels_per_class=count, validation_fraction=0.0) for count in (4, 12)
    )
    assert {few.names[i] for i in few.where("train")} <= {
        more.names[i] for i in more.where("train")
    }


@pytest.mark.parametrize("values", [np.arange(100) / 7, np.arange(100) ** 3, -np.arange(100)])
def test_regression_is_stratified_by_quintiles(values):
    order = np.random.default_rng(0).permutation(100)
    labels = np.stack([values, np.zeros(100)], axis=1)[order]
    found = split(_examples(labels, problem_type="regression"), validation_fraction=0.25)
    quintile = (np.argsort(np.argsort(values)) // 20)[order]
    where = {name: k for k, name in enumerate(_part_of(found))}
    splits = np.array([found.splits[where[f"n{k}"]] for k in range(100)])
    for part, count in (("test", 4), ("val", 4), ("train", 12)):
        assert np.bincount(quintile[splits == part], minlength=5).tolist() == [count] * 5


def test_several_labels_are_stratified_by_the_rarest():
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
def test_small_classes(count, splits):
    found = split(_examples([0] * 40 + [1] * count))
    assert tuple(_counts(found, part)[1] for part in ("train", "val", "test")) == splits
    said = {
        part
        for part in ("train", "val", "test")
        if f"the {part} part has no example of: b" in found.remarks
    }
    assert said == {part for part, n in zip(("train", "val", "test"), splits) if not n}


def test_earlier_remarks_stay_in_front():
    found = split(_examples([0] * 40 + [1], remarks=("noticed before",)))
    assert found.remarks[0] == "noticed before" and len(found.remarks) == 4


def test_no_part_is_made_of_no_fraction():
    found = split(_examples([0, 1] * 10), test_fraction=0.0, validation_fraction=0.0)
    assert set(found.splits) == {"train"} and found.remarks == ()


def test_nothing_for_training_is_an_error():
    with pytest.raises(UserError, match="No example is left for training, of 4"):
        split(_examples([0, 1] * 2, splits="test"))
    with pytest.raises(UserError, match="No example is left for training, of 2"):
        split(_examples([0, 1], contents=[5, 5], splits=["train", "test"]))


def test_small_classes_and_torn_contents_are_said():
    labels = [0] * 30 + [1] * 5
    contents = [*range(30), 3, 4, 30, 31, 32]
    remarks = split(_examples(labels, contents)).remarks
    assert "classes of fewer than 10 examples: b (5)" in remarks
    assert "2 examples stand under different labels: n3 and n30" in remarks
