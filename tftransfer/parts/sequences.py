"""Sequences of unequal length: batches of alike ones, cut where the longest of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# Batches that are sorted by length together: enough for alike lengths, few enough that an example
# has other company in each epoch.
_SORTED_TOGETHER = 50
_STEP = 8


def by_length(
    order: np.ndarray, lengths: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    """The same indices, int64 [n], in batches of alike lengths that come in random order.

    The last batch, if it is not full, is a random one.

    Args:
      order: indices in random order.
      lengths: of every example, int [N].
      size: of a batch.
      rng: gives the order of the batches.
    """
    full = len(order) // size * size
    window = size * _SORTED_TOGETHER
    parts = [order[start : min(start + window, full)] for start in range(0, full, window)]
    alike = [part[np.argsort(lengths[part], kind="stable")] for part in parts]
    if not alike:
        return order
    batches = rng.permutation(np.concatenate(alike).reshape(-1, size))
    return np.concatenate([batches.ravel(), order[full:]])


def shortened(tensors: Sequence[Any], padding: int) -> list[Any]:
    """A batch up to the end of its longest sequence, rounded up to eights.

    Args:
      tensors: ids [n, T]; or hidden states [n, T, d] and their mask [n, T], of 0 and 1.
      padding: the id of padding.
    """
    there = tensors[-1] > 0 if len(tensors) > 1 else tf.not_equal(tensors[0], padding)
    length = int(there.shape[1])
    ends = tf.where(tf.reduce_any(there, 0), tf.range(1, length + 1), 1)
    most = tf.minimum(-(-tf.reduce_max(ends) // _STEP) * _STEP, length)
    return [tensor[:, :most] for tensor in tensors]
