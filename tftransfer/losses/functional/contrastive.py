"""Losses that compare the examples of a batch, or two views of each."""

from __future__ import annotations

from keras import ops

from tftransfer.core.typing import Tensor, TensorLike
from tftransfer.losses.functional.rows import float32, mask_rows, normalize, row_weights

# Not -inf: a row without others must stay finite, because it is multiplied by 0.
_EXCLUDED_LOGIT = -1e9


def nt_xent(
    a: TensorLike, b: TensorLike, temperature: float, weight: TensorLike | None = None
) -> Tensor:
    """Computes the cross-entropy of finding an example's other view in the batch.

    Of the 2n rows u of a and b, each divided by its length, an anchor i with its other view j has
    `-u_i.u_j / T + log sum_{k != i} exp(u_i.u_k / T)`; a pair has the mean of its two anchors.
    SimCLR (Chen et al., 2020).

    Args:
      a: Projections of one view, float [n, d].
      b: Projections of the other view, float [n, d].
      temperature: T, above 0.
      weight: 0 or 1, [n]; pairs of weight 0 are neither anchors nor negatives.

    Returns:
      float32 [n], in nats; 0 for pairs of weight 0.
    """
    a, b = float32(a), float32(b)
    weight = row_weights(weight, a)
    a, b = normalize(mask_rows(a, weight)), normalize(mask_rows(b, weight))
    rows = ops.concatenate([a, b], axis=0)
    similarity = ops.matmul(rows, ops.transpose(rows)) / temperature
    others = _others(ops.concatenate([weight, weight], axis=0))
    both_views = ops.reshape(_log_sum_exp(similarity, others), (2, -1))
    loss = ops.mean(both_views, axis=0) - ops.sum(a * b, axis=-1) / temperature
    return ops.where(weight > 0, loss, ops.zeros_like(loss))


def negative_cosine(p: TensorLike, z: TensorLike) -> Tensor:
    """Computes `-p.z / (|p| |z|)` with z a constant of the gradient (SimSiam; Chen & He, 2021).

    Args:
      p: Output of the predictor for one view, float [n, d].
      z: Projection of the other view, float [n, d].

    Returns:
      float32 [n], from -1 to 1; 0 where a row is 0.
    """
    return -ops.sum(normalize(float32(p)) * ops.stop_gradient(normalize(float32(z))), axis=-1)


def supervised_contrastive(
    features: TensorLike, label: TensorLike, temperature: float, weight: TensorLike | None = None
) -> Tensor:
    """Computes the cross-entropy of finding the other examples of a class in the batch.

    Of the rows u, each divided by its length, an anchor i has
    `-1 / |P_i| sum_{p in P_i} (u_i.u_p / T - log sum_{k != i} exp(u_i.u_k / T))`, P_i being the
    other rows of its class (Khosla et al., 2020).

    Args:
      features: float [n, d]; of two views, the concatenation of both.
      label: One-hot labels, float [n, classes].
      temperature: T, above 0.
      weight: 0 or 1, [n]; rows of weight 0 are neither anchors nor compared with.

    Returns:
      float32 [n], in nats; 0 for rows of weight 0 or alone in their class.
    """
    features = float32(features)
    weight = row_weights(weight, features)
    rows = normalize(mask_rows(features, weight))
    similarity = ops.matmul(rows, ops.transpose(rows)) / temperature
    others = _others(weight)
    positives = _same_class(label, weight) * float32(others)
    loss = _log_sum_exp(similarity, others)[:, None] - similarity
    return ops.sum(positives * loss, axis=1) / ops.maximum(ops.sum(positives, axis=1), 1.0)


def cosine_pairs(
    features: TensorLike, label: TensorLike, weight: TensorLike | None = None
) -> Tensor:
    """Computes the error of cosines that should be 1 within a class and 0 between classes.

    Of the rows u, each divided by its length, an anchor i has
    `mean_{p in P_i} (1 - u_i.u_p)^2 / 2 + mean_{q in Q_i} (u_i.u_q)^2 / 2`, P_i being the other
    rows of its class and Q_i those of other classes: both have the same total weight, however many
    there are. SetFit (Tunstall et al., 2022).

    Args:
      features: float [n, d].
      label: One-hot labels, float [n, classes].
      weight: 0 or 1, [n]; rows of weight 0 are neither anchors nor compared with.

    Returns:
      float32 [n], from 0 to 2.5; 0 for rows of weight 0.
    """
    features = float32(features)
    weight = row_weights(weight, features)
    rows = normalize(mask_rows(features, weight))
    cosine = ops.matmul(rows, ops.transpose(rows))
    same_class, others = _same_class(label, weight), float32(_others(weight))
    within = _mean_over(same_class * others, ops.square(1.0 - cosine))
    between = _mean_over((1.0 - same_class) * others, ops.square(cosine))
    loss = 0.5 * (within + between)
    return ops.where(weight > 0, loss, ops.zeros_like(loss))


def _same_class(label: TensorLike, weight: Tensor) -> Tensor:
    """1 where two rows have the same label, float32 [n, n]."""
    label = mask_rows(float32(label), weight)
    return float32(ops.matmul(label, ops.transpose(label)) > 0.5)


def _mean_over(chosen: Tensor, values: Tensor) -> Tensor:
    """The mean of the chosen values of each row, 0 where none is; [n, n] to [n]."""
    return ops.sum(chosen * values, axis=1) / ops.maximum(ops.sum(chosen, axis=1), 1.0)


def _others(weight: Tensor) -> Tensor:
    """Whether row j has a weight and is not row i, bool [n, n]."""
    itself = ops.eye(ops.shape(weight)[0], dtype="bool")
    return ops.logical_and(weight[None, :] > 0, ops.logical_not(itself))


def _log_sum_exp(similarity: Tensor, others: Tensor) -> Tensor:
    excluded = ops.full_like(similarity, _EXCLUDED_LOGIT)
    return ops.logsumexp(ops.where(others, similarity, excluded), axis=1)
