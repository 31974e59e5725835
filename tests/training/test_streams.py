"""Batches are a function of (seed, epoch, step); each example once, padding without weight."""

import numpy as np
import pytest

from tftransfer.features.store import FeatureKey
from tftransfer.features.views import View
from tftransfer.preprocessing.image.augmentation import ImageAugmenter
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.training.streams import Stream, Streams, balanced_class_weights, column_weights

COUNT = 23
INDICES = np.array([i for i in range(COUNT) if i % 4])
CLASSES = 3
VIEWS = tuple(
    FeatureKey(boundary="stage1", view=View(number=number), weights="w") for number in range(3)
)


class Numbers:
    """Images and cached features of views whose every value identifies the example and the view."""

    size = 2

    preprocessor = ImagePreprocessor(2)

    def batches(self, indices, size):
        for start in range(0, len(indices), size):
            some = np.uint8(indices[start : start + size])
            yield np.broadcast_to(some[:, None, None, None], (len(some), 2, 2, 3))

    def get(self, key, indices):
        values = (100 * key.view.number + indices).astype(np.float32)
        return [values[:, None].repeat(2, axis=1), -values[:, None]]


def stream(*, max_steps=64, **changes):
    """One stream, as a phase reads it."""
    return Alone({"train": one(**changes)}, max_steps=max_steps)


class Alone(Streams):
    """Without the name of the only one."""

    def epoch(self, epoch, **options):
        for group in super().epoch(epoch, **options):
            yield group["train"]


def one(**changes):
    settings = {
        "indices": INDICES,
        "targets": np.eye(CLASSES, dtype=np.float32)[np.arange(COUNT) % CLASSES],
        "batch_size": 5,
        "seed": 1,
        "decoded": Numbers(),
        "augmenter": ImageAugmenter("none"),
        "store": Numbers(),
        "class_weight": np.ones(CLASSES, np.float32),
    }
    return Stream(**(settings | changes))


def batches_of(some_stream, epoch, **options):
    """The batches of all groups of an epoch."""
    for group in some_stream.epoch(epoch, **options):
        for step in range(len(group["weight"])):
            yield {
                name: tuple(x[step] for x in value) if name == "inputs" else value[step]
                for name, value in group.items()
            }


def seen(batch):
    """Which example each row is."""
    first = np.asarray(batch["inputs"][0])
    return first.reshape(len(first), -1)[:, 0].astype(int) % 100


def real(batch):
    return seen(batch)[batch["weight"] > 0]


def same(first, second):
    return first.keys() == second.keys() and all(
        np.array_equal(a, b) for key in first for a, b in zip(first[key], second[key])
    )


@pytest.mark.parametrize("keys", [(), VIEWS[:1], VIEWS])
@pytest.mark.parametrize("batch_size", [1, 5, 17, 40])
def test_epoch_has_each_example_once_with_its_label(keys, batch_size):
    batches = list(batches_of(stream(keys=keys, batch_size=batch_size), 0))
    assert len(batches) == -(-len(INDICES) // batch_size)
    assert sorted(np.concatenate([real(batch) for batch in batches])) == sorted(INDICES)
    for batch in batches:
        assert len(batch["weight"]) == batch_size
        assert {len(x) for x in (*batch["inputs"], batch["label"])} == {batch_size}
        np.testing.assert_array_equal(batch["label"].argmax(axis=1), seen(batch) % CLASSES)
        assert batch["label"].dtype == batch["weight"].dtype == np.float32


@pytest.mark.parametrize("keys", [(), VIEWS])
def test_epoch_in_groups_has_the_same_batches(keys):
    options = {"keys": keys, "mixup": 0.4, "augmenter": ImageAugmenter("flip")}
    alone, grouped = (stream(**options, max_steps=most) for most in (1, 3))
    assert [len(g["weight"]) for g in alone.epoch(1)] == [1, 1, 1, 1]
    assert [len(g["weight"]) for g in grouped.epoch(1)] == [3, 1]
    for a, b in zip(batches_of(alone, 1), batches_of(grouped, 1), strict=True):
        assert same(a, b)


def test_group_is_bounded_in_bytes():
    class Large(Numbers):
        def get(self, key, indices):
            return [np.zeros((len(indices), 1 << 18), np.float32)]

    assert stream(keys=VIEWS).group == 4
    assert stream(keys=VIEWS, store=Large()).group == 1


def test_epoch_padding_has_weight_0_and_is_at_the_end():
    weights = [batch["weight"].tolist() for batch in batches_of(stream(), 3)]
    assert weights == [[1, 1, 1, 1, 1]] * 3 + [[1, 1, 0, 0, 0]]
    assert stream().steps == 4


@pytest.mark.parametrize(
    "options", [{}, {"augmenter": ImageAugmenter("full")}, {"keys": VIEWS}, {"mixup": 0.4}]
)
def test_epoch_is_a_function_of_seed_and_number(options):
    straight = stream(**options)
    epochs = [list(batches_of(straight, epoch)) for epoch in range(3)]
    resumed = list(batches_of(stream(**options), 2))
    assert all(same(a, b) for a, b in zip(epochs[2], resumed))
    for other in (list(batches_of(stream(**options, seed=2), 2)), epochs[1]):
        assert not any(same(a, b) for a, b in zip(other, resumed))
        assert [real(b).tolist() for b in other] != [real(b).tolist() for b in resumed]


def test_epoch_draws_a_view_for_each_example_and_all_its_tensors_agree():
    batches = [batch for epoch in range(20) for batch in batches_of(stream(keys=VIEWS), epoch)]
    views = np.concatenate([np.asarray(b["inputs"][0])[:, 0] // 100 for b in batches])
    shares = np.bincount(views.astype(int)) / len(views)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.1)
    for batch in batches:
        first, second = batch["inputs"]
        np.testing.assert_array_equal(first[:, :1], -second)


def test_epoch_does_not_change_the_store():
    kept = np.arange(3 * COUNT, dtype=np.float32).reshape(3, COUNT, 1)

    class Kept:
        def get(self, key, indices):
            return [kept[key.view.number][indices]]

    before = kept.copy()
    for batch in batches_of(stream(keys=VIEWS, store=Kept(), mixup=0.5), 0):
        batch["inputs"][0][:] = -1
    np.testing.assert_array_equal(kept, before)


@pytest.mark.parametrize("keys", [(), VIEWS[:1]])
def test_mixup_mixes_inputs_and_labels_by_the_same_share(keys):
    targets = np.eye(COUNT, dtype=np.float32)
    plain = list(batches_of(stream(keys=keys, targets=targets), 0))
    mixed = list(batches_of(stream(keys=keys, targets=targets, mixup=0.4), 0))
    shares = []
    for before, after in zip(plain, mixed):
        numbers = seen(before)
        label = after["label"]
        np.testing.assert_allclose(label.sum(axis=1), 1, rtol=1e-5)
        got = np.asarray(after["inputs"][0])
        expected = label @ np.arange(COUNT)
        np.testing.assert_allclose(got.reshape(len(got), -1)[:, 0], expected, rtol=1e-4)
        partners = set(np.flatnonzero(label[before["weight"] > 0].sum(axis=0)))
        assert partners <= set(numbers[before["weight"] > 0])
        own = label[np.arange(len(label)), numbers]
        shares += own[own < 1 - 1e-6].tolist()
        np.testing.assert_array_equal(after["weight"], before["weight"])
        assert got.dtype == label.dtype == np.float32
    assert len(set(np.round(shares, 5))) >= 2
    assert all(0 <= share <= 1 for share in shares)


def test_epoch_has_class_weights_in_every_batch():
    weight = np.float32([1, 2, 3])
    for batch in batches_of(stream(class_weight=weight), 0):
        np.testing.assert_array_equal(batch["class_weight"], weight)
        np.testing.assert_array_equal(batch["share"], [1])


@pytest.mark.parametrize(
    "counts, expected",
    [
        ([2, 2], [1, 1]),
        ([1, 3], [2, 2 / 3]),
        ([6, 3, 3], [2 / 3, 4 / 3, 4 / 3]),
        ([4, 0], [0.5, 0]),
    ],
)
def test_balanced_class_weights_equal_hand_computed_values(counts, expected):
    targets = np.eye(len(counts))[np.repeat(np.arange(len(counts)), counts)]
    got = balanced_class_weights(targets)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert got.dtype == np.float32


def test_epoch_completes_the_last_batch_with_other_examples():
    """Copies of the few that are left would upset the statistics of BatchNorm."""
    (*_, last) = batches_of(stream(batch_size=8), 0)
    assert len(INDICES) % 8 == 1
    assert len(set(seen(last))) == 8
    assert last["weight"].tolist() == [1.0] + [0.0] * 7


@pytest.mark.parametrize(
    "options", [{}, {"augmenter": ImageAugmenter("full")}, {"keys": VIEWS}, {"mixup": 0.4}]
)
@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_epoch_from_any_step_equals_the_rest_of_a_whole_one(options, start):
    whole = list(batches_of(stream(**options), 1))
    rest = list(batches_of(stream(**options), 1, start=start))
    assert len(rest) == len(whole) - start
    assert all(same(a, b) for a, b in zip(whole[start:], rest))


def test_epoch_groups_have_the_requested_number_of_steps():
    wanted = iter([1, 2, 9])
    groups = list(stream(keys=VIEWS).epoch(0, max_steps=lambda: next(wanted)))
    assert [len(group["weight"]) for group in groups] == [1, 2, 1]


@pytest.mark.parametrize("step", range(4))
def test_batch_of_epoch_and_step_has_its_indices(step):
    found = stream()
    assert found.batch(2, step).tolist() == real(list(batches_of(found, 2))[step]).tolist()


def test_epoch_with_lengths_puts_similar_ones_in_a_batch_reproducibly():
    lengths = np.arange(COUNT) % 7
    found = one(lengths=lengths)
    order, _, weight = found._drawn(3)
    assert sorted(order[weight > 0]) == sorted(INDICES)
    np.testing.assert_array_equal(order, found._drawn(3)[0])
    full = len(INDICES) // 5 * 5
    assert np.ptp(lengths[order[:full]].reshape(-1, 5), axis=1).mean() < 3


def test_repeated_stream_with_lengths_puts_similar_ones_in_a_batch():
    lengths = np.arange(COUNT) % 7
    found = one(lengths=lengths, steps_per_epoch=8)
    for epoch in range(3):
        order, _, weight = found._drawn(epoch)
        assert len(order) == 40 and weight.all()
        assert np.ptp(lengths[order].reshape(-1, 5), axis=1).mean() < 2


def test_column_weights_of_several_columns_are_inverse_variances():
    from tftransfer.core.problem_types import ProblemType

    targets = np.array([[0.0, 1e6, 5.0], [2.0, 3e6, 5.0]], np.float32)
    weights = column_weights(targets, ProblemType.REGRESSION)
    np.testing.assert_allclose(weights, [1.0, 1e-12, 1.0])
    assert column_weights(targets[:, 1:2], ProblemType.REGRESSION).tolist() == [1.0]
    one_hot = np.eye(2, dtype=np.float32)
    np.testing.assert_array_equal(
        column_weights(one_hot, ProblemType.SINGLE_LABEL), balanced_class_weights(one_hot)
    )
