"""Penalties that keep a network near its source, or its features well spread."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from keras import ops

from tftransfer.core.typing import Tensor, TensorLike
from tftransfer.losses.functional.rows import float32, mask_rows, row_weights


def l2_sp(pairs: Sequence[tuple[TensorLike, TensorLike]]) -> Tensor:
    """Computes the distance of weights from their start, `1/2 sum |w - w0|^2` (Li et al., 2018).

    Args:
      pairs: Pairs (w, w0), float, of equal shapes in each pair.

    Returns:
      float32 scalar, in the squared unit of the weights; 0 without pairs.

    Example:
      >>> from tftransfer.losses import functional
      >>> float(functional.l2_sp([([1.0, 2.0], [0.0, 4.0])]))
      2.5
    """
    total = ops.zeros((), "float32")
    for weight, reference in pairs:
        total = total + ops.sum(ops.square(float32(weight) - float32(reference)))
    return 0.5 * total


def delta(
    features: TensorLike, reference: TensorLike, channel_weight: TensorLike | None = None
) -> Tensor:
    """Computes the distance of feature maps, `1/2 sum_c W_c mean_p (F_pc - F0_pc)^2`.

    The mean over the positions p and the default W_c = 1 / channels make the value independent of
    resolution and width. DELTA (Li et al., 2019).

    Args:
      features: F, float [n, ...positions, channels]; positions are optional.
      reference: F0 of the source, of the same shape; a constant of the gradient.
      channel_weight: W, float [channels]; None is 1 / channels for each.

    Returns:
      float32 [n], in the squared unit of the features.
    """
    difference = float32(features) - ops.stop_gradient(float32(reference))
    positions = tuple(range(1, len(difference.shape) - 1))
    per_channel = ops.mean(ops.square(difference), axis=positions)
    if channel_weight is None:
        return 0.5 * ops.mean(per_channel, axis=-1)
    return 0.5 * ops.sum(float32(channel_weight) * per_channel, axis=-1)


def batch_spectral_shrinkage(
    features: TensorLike, count: int = 1, weight: TensorLike | None = None
) -> Tensor:
    """Computes the sum of squares of the smallest singular values of a batch of features.

    `sum_{i <= count} max(lambda_i(F F^T), 0)` with ascending lambda, after the eigenvalues that
    are 0 because of the shape of F: a matrix of m rows of weight above 0 and d columns has
    min(m, d) singular values. BSS (Chen et al., 2019).

    Args:
      features: F, float [n, d].
      count: Number of singular values; at most all.
      weight: Weight of each row, [n]; rows of weight 0 are ignored, others are equal; None is all
        ones.

    Returns:
      float32 scalar, in the squared unit of the features.
    """
    features = float32(features)
    weight = float32(row_weights(weight, features) > 0)
    features = mask_rows(features, weight)
    # The gradient of eigenvalues is finite where they are equal; that of an SVD is not.
    ascending = tf.linalg.eigvalsh(ops.matmul(features, ops.transpose(features)))
    rows = ops.sum(ops.ones_like(weight))
    empty = rows - ops.minimum(ops.sum(weight), float(features.shape[-1]))
    index = ops.cumsum(ops.ones_like(ascending)) - 1.0
    chosen = ops.logical_and(index >= empty, index < empty + count)
    return ops.sum(ops.where(chosen, ops.maximum(ascending, 0.0), ops.zeros_like(ascending)))
