"""Sequences of unequal length: batches of alike ones, cut where the longest of them ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

# Batches that are sorted by length together: enough for alike lengths, few enough that an example
# has other company in each epoch.
_SORTED_TOGETHER = 50
_STEP = 8


def batches_by_length(
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
    there = _there(tensors, padding)
    length = int(there.shape[1])
    ends = tf.where(tf.reduce_any(there, 0), tf.range(1, length + 1), 1)
    most = tf.minimum(-(-tf.reduce_max(ends) // _STEP) * _STEP, length)
    return [tensor[:, :most] for tensor in tensors]


def _there(tensors: Sequence[Any], padding: int) -> Any:
    """Which places are no padding, bool [n, T], of arrays or tensors as `shortened` takes them."""
    return tensors[-1] > 0 if len(tensors) > 1 else tensors[0] != padding


@dataclass(frozen=True)
class Sequences:
    """What is known of inputs that are sequences, or of hidden states and their mask.

    Attributes:
      padding: the id of padding.
      lengths: gives those of the examples, int64 [n]; asked for when they are there.
    """

    padding: int
    lengths: Callable[[], np.ndarray]

    def ended(
        self, arrays: Sequence[np.ndarray], lengths: np.ndarray
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """The arrays [n, T, ...] again, ended as sequences of the whole range of lengths end.

        Returns:
          The arrays, and which places are no padding, bool [n, T].
        """
        rows, length = arrays[0].shape[:2]
        ends = np.quantile(lengths, (np.arange(rows) + 0.5) / rows)
        there = np.arange(length) < np.maximum(np.ceil(ends), 1)[:, None]
        if len(arrays) > 1:
            return [arrays[0], there.astype(arrays[1].dtype)], there
        return [np.where(there, arrays[0], self.padding)], there


def run_by_length(
    forward: Callable[..., list[np.ndarray]], length: int, padding: int
) -> Callable[..., list[np.ndarray]]:
    """The same forward, of each sequence up to its end, rounded up to eights; alike ones together.

    What a sequence becomes depends on no other. Outputs that are sequences end in zeros.

    Args:
      forward: of sequences of any length, shaped as `shortened` takes them, in inference.
      length: of all sequences, with their padding.
      padding: the id of padding.
    """

    def run(*inputs: Any) -> list[np.ndarray]:
        arrays = [np.asarray(x) for x in inputs]
        there = _there(arrays, padding)
        ends = np.where(there, np.arange(1, length + 1), 1).max(axis=1)
        most = np.minimum(-(-ends // _STEP) * _STEP, length)
        whole: list[np.ndarray] = []
        for each in np.unique(most):
            some = np.flatnonzero(most == each)
            outputs = forward(*(x[some, :each] for x in arrays))
            along = outputs[0].ndim > 2
            if not whole:
                shapes = [(len(most), *([length] * along), *x.shape[1 + along :]) for x in outputs]
                whole = [np.zeros(shape, x.dtype) for shape, x in zip(shapes, outputs)]
            for place, value in zip(whole, outputs, strict=True):
                if along:
                    place[some, :each] = value
                else:
                    place[some] = value
        return whole

    return run
