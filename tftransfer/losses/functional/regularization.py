"""Penalties that keep a network near its source or its features well spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from keras import ops

from tftransfer.losses.functional.masked_rows import float32, kept, row_weights


def l2_sp(pairs: Sequence[tuple[Any, Any]]) -> Any:
    """Distance of weights from where they started, `1/2 sum |w - w0|^2` (Li et al., 2018).

    Args:
      pairs: (w, w0), float, of equal shapes in each pair.

    Returns:
      float32 scalar, in squared units of the weights; 0 for no pairs.
    """
    total = ops.zeros((), "float32")
    for weight, reference in pairs:
        total = total + ops.sum(ops.square(float32(weight) - float32(reference)))
    return 0.5 * total


def delta(features: Any, reference: Any, channel_weight: Any = None) -> Any:
    """Distance of feature maps from the source's, `1/2 sum_c W_c mean_p (F_pc - F0_pc)^2`.

    The mean over the positions p and the default W_c = 1 / channels make the
    value independent of resolution and width. DELTA (Li et al., 2019).

    Args:
      features: F, float [n, ...positions, channels]; there may be no positions.
      reference: F0, of the same shape; a constant of the gradient.
      channel_weight: W, float [channels]; None is 1 / channels for each.

    Returns:
      float32 [n], in squared units of the features.
    """
    difference = float32(features) - ops.stop_gradient(float32(reference))
    positions = tuple(range(1, len(difference.shape) - 1))
    per_channel = ops.mean(ops.square(difference), axis=positions)
    if channel_weight is None:
        return 0.5 * ops.mean(per_channel, axis=-1)
    return 0.5 * ops.sum(float32(channel_weight) * per_channel, axis=-1)


def batch_spectral_shrinkage(features: Any, count: int = 1, weight: Any = None) -> Any:
    """Sum of the squares of the `count` smallest singular values of a batch of features.

    `sum_{i<=count} max(lambda_i(F F^T), 0)`, lambda rising, after the zeros that
    F F^T has only by its size: a matrix of m rows of weight above 0 and d columns has
    min(m, d) singular values. BSS (Chen et al., 2019).

    Args:
      features: F, float [n, d].
      count: how many; where there are fewer singular values, all.
      weight: [n]; rows of weight 0 are left out, all others count alike; None is all ones.

    Returns:
      float32 scalar, in squared units of the features.
    """
    features = float32(features)
    weight = float32(row_weights(weight, features) > 0)
    features = kept(features, weight)
    # Of the eigenvalues only, the gradient is finite where they are equal; of an SVD it is not.
    rising = tf.linalg.eigvalsh(ops.matmul(features, ops.transpose(features)))
    rows = ops.sum(ops.ones_like(weight))
    empty = rows - ops.minimum(ops.sum(weight), float(features.shape[-1]))
    place = ops.cumsum(ops.ones_like(rising)) - 1.0
    chosen = ops.logical_and(place >= empty, place < empty + count)
    return ops.sum(ops.where(chosen, ops.maximum(rising, 0.0), ops.zeros_like(rising)))
