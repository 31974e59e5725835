"""Sequences of unequal length: batches of similar lengths, without the padding they do not need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tftransfer.core.typing import Array, Tensor, TensorLike

# Batches that are sorted by length together: enough for similar lengths within a batch, few enough
# that an example is with other examples in each epoch.
_BATCHES_PER_WINDOW = 50
# Lengths are rounded up to a multiple, since each new shape is traced or tuned again.
_LENGTH_MULTIPLE = 8


def batches_by_length(
    order: Array, lengths: Array, batch_size: int, rng: np.random.Generator
) -> Array:
    """Returns the same indices in batches of similar lengths; the batches are in random order.

    An incomplete last batch has random examples.

    Args:
      order: Indices in random order, int [n].
      lengths: Length of every example, int [N].
      batch_size: Number of examples in a batch.
      rng: Random generator for the order of the batches.

    Returns:
      Indices, int [n].
    """
    full = len(order) // batch_size * batch_size
    window = batch_size * _BATCHES_PER_WINDOW
    windows = [order[start : min(start + window, full)] for start in range(0, full, window)]
    by_length = [each[np.argsort(lengths[each], kind="stable")] for each in windows]
    if not by_length:
        return order
    batches = rng.permutation(np.concatenate(by_length).reshape(-1, batch_size))
    return np.concatenate([batches.ravel(), order[full:]])


def trim_padding(tensors: Sequence[Tensor], padding: int) -> list[Tensor]:
    """Cuts a batch at the end of its longest sequence, rounded up to a multiple of eight.

    Args:
      tensors: Ids [n, T]; or hidden states [n, T, d] and their mask [n, T] of 0 and 1.
      padding: Id of padding.

    Returns:
      The tensors, [n, length] and [n, length, d].
    """
    mask = _not_padding(tensors, padding)
    length = int(mask.shape[1])
    ends = tf.where(tf.reduce_any(mask, 0), tf.range(1, length + 1), 1)
    rounded = -(-tf.reduce_max(ends) // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
    end = tf.minimum(rounded, length)
    return [tensor[:, :end] for tensor in tensors]


def _not_padding(tensors: Sequence[Tensor], padding: int) -> Tensor:
    """Returns which places are not padding, bool [n, T]; see `trim_padding`."""
    return tensors[-1] > 0 if len(tensors) > 1 else tensors[0] != padding


@dataclass(frozen=True)
class Sequences:
    """Properties of inputs that are sequences, or of hidden states with a mask.

    Attributes:
      padding: Id of padding.
      lengths: Function that returns the lengths of the examples, int64 [n], when they are known.
    """

    padding: int
    lengths: Callable[[], Array]

    def truncate(self, arrays: Sequence[Array], lengths: Array) -> tuple[list[Array], Array]:
        """Shortens sequences so that their lengths have the distribution of other lengths.

        Args:
          arrays: Ids [n, T]; or hidden states [n, T, d] and their mask [n, T].
          lengths: Lengths to imitate, int [m]; row k gets about the quantile k / n.

        Returns:
          The arrays, and which places are not padding, bool [n, T].
        """
        rows, length = arrays[0].shape[:2]
        ends = np.quantile(lengths, (np.arange(rows) + 0.5) / rows)
        mask = np.arange(length) < np.maximum(np.ceil(ends), 1)[:, None]
        if len(arrays) > 1:
            return [arrays[0], mask.astype(arrays[1].dtype)], mask
        return [np.where(mask, arrays[0], self.padding)], mask


def run_by_length(
    forward: Callable[..., list[Array]], length: int, padding: int
) -> Callable[..., list[Array]]:
    """Wraps a forward function so that it runs on sequences of similar lengths, without padding.

    The output of a sequence does not depend on the others. Outputs that are sequences are padded
    with zeros.

    Args:
      forward: Forward function in inference, for sequences of any length, with the inputs of
        `trim_padding`.
      length: Length T of all sequences, with their padding.
      padding: Id of padding.
    """

    def run(*inputs: TensorLike) -> list[Array]:
        arrays = [np.asarray(x) for x in inputs]
        mask = _not_padding(arrays, padding)
        ends = np.where(mask, np.arange(1, length + 1), 1).max(axis=1)
        rounded = np.minimum(-(-ends // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE, length)
        results: list[Array] = []
        for end in np.unique(rounded):
            rows = np.flatnonzero(rounded == end)
            outputs = forward(*(x[rows, :end] for x in arrays))
            are_sequences = outputs[0].ndim > 2
            if not results:
                time = [length] * are_sequences
                shapes = [(len(ends), *time, *x.shape[1 + are_sequences :]) for x in outputs]
                results = [np.zeros(shape, x.dtype) for shape, x in zip(shapes, outputs)]
            for result, output in zip(results, outputs, strict=True):
                if are_sequences:
                    result[rows, :end] = output
                else:
                    result[rows] = output
        return results

    return run
