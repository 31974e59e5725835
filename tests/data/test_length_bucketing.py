"""Batches of similar lengths, and the padding that is cut from them."""

import numpy as np
import tensorflow as tf

from tftransfer.data.length_bucketing import (
    Sequences,
    batches_by_length,
    run_by_length,
    trim_padding,
)


def test_batches_by_length_have_similar_lengths_and_each_example_once():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 40, 1003)
    order = rng.permutation(1003)[:903]
    found = batches_by_length(order, lengths, 10, np.random.default_rng(1))
    assert sorted(found) == sorted(order)
    spread = [np.ptp(lengths[found[start : start + 10]]) for start in range(0, 900, 10)]
    assert np.mean(spread) < 2 < np.ptp(lengths[found[900:]])
    # Short and long batches are mixed.
    means = lengths[found[:900]].reshape(-1, 10).mean(axis=1)
    assert abs(np.corrcoef(means, np.arange(90))[0, 1]) < 0.3
    again = batches_by_length(order, lengths, 10, np.random.default_rng(1))
    np.testing.assert_array_equal(again, found)


def test_batches_by_length_keep_the_order_of_less_than_a_batch():
    order = np.array([3, 1, 2])
    np.testing.assert_array_equal(
        batches_by_length(order, np.arange(4), 8, np.random.default_rng(0)), order
    )


def test_trim_padding_ends_at_the_longest_sequence_in_multiples_of_eight():
    ids = np.full((3, 20), -1, np.int32)
    assert trim_padding([ids], -1)[0].shape == (3, 8)
    ids[1, :9] = 5
    assert trim_padding([ids], -1)[0].shape == (3, 16)
    ids[2, 18] = 5  # padding between ids is kept
    assert trim_padding([ids], -1)[0].shape == (3, 20)


def test_trim_padding_cuts_hidden_states_by_their_mask():
    mask = np.zeros((2, 20), np.float32)
    mask[0, :3] = 1
    hidden, cut = trim_padding([tf.zeros((2, 20, 4)), tf.constant(mask)], -1)
    assert hidden.shape == (2, 8, 4) and cut.numpy().sum() == 3


def padded(lengths, wide):
    """Ids from 5, padded with -1."""
    ids = np.tile(np.arange(5, 5 + wide, dtype=np.int32), (len(lengths), 1))
    return np.where(np.arange(wide) < np.array(lengths)[:, None], ids, -1)


def test_run_by_length_batches_similar_lengths_without_padding():
    seen = []

    def forward(ids):
        seen.append(ids.shape)
        return [np.where(ids < 0, 0, ids).sum(axis=1, keepdims=True).astype(np.float32)]

    ids = padded([3, 20, 8, 9, 17, 1], 20)
    (found,) = run_by_length(forward, 20, -1)(ids)
    assert sorted(seen) == [(1, 16), (2, 20), (3, 8)]
    np.testing.assert_array_equal(found, np.where(ids < 0, 0, ids).sum(axis=1, keepdims=True))


def test_run_by_length_pads_output_sequences_with_zeros():
    hidden = np.ones((3, 20, 4), np.float32)
    mask = (padded([20, 2, 9], 20) >= 0).astype(np.float32)
    found, found_mask = run_by_length(lambda x, m: [x * m[..., None], m], 20, -1)(hidden, mask)
    np.testing.assert_array_equal(found_mask, mask)
    np.testing.assert_array_equal(found, hidden * mask[..., None])


def test_truncate_imitates_the_distribution_of_lengths():
    known = Sequences(-1, lambda: np.array([1, 1, 1, 9]))
    (ids,), there = known.truncate([np.full((8, 12), 7)], known.lengths())
    assert (ids >= 0).sum(axis=1).tolist() == [1, 1, 1, 1, 1, 2, 5, 8]
    np.testing.assert_array_equal(there, ids >= 0)
    (hidden, mask), _ = known.truncate(
        [np.ones((8, 12, 2), np.float32), np.ones((8, 12), np.float32)], known.lengths()
    )
    np.testing.assert_array_equal(mask.sum(axis=1), (ids >= 0).sum(axis=1))
    assert hidden.all()
