"""Losses that compare the examples of a batch, or two views of each."""

from __future__ import annotations

from typing import Any

from keras import ops

from tftransfer.losses.functional.masked_rows import float32, kept, row_weights, unit


def nt_xent(a: Any, b: Any, temperature: float, weight: Any = None) -> Any:
    """Cross-entropy of finding an example's other view in the batch (SimCLR; Chen et al., 2020).

    Of the 2n rows u of a and b, each divided by its length, an anchor i with its
    other view j has `-u_i.u_j / T + log sum_{k != i} exp(u_i.u_k / T)`; a pair has
    the mean of its two anchors.

    Args:
      a: one view, float [n, d].
      b: the other view, float [n, d].
      temperature: T, above 0.
      weight: 0 or 1, [n]; pairs of weight 0 are neither anchors nor negatives.

    Returns:
      float32 [n], in nats; 0 for pairs of weight 0.
    """
    a, b = float32(a), float32(b)
    weight = row_weights(weight, a)
    a, b = unit(kept(a, weight)), unit(kept(b, weight))
    rows = ops.concatenate([a, b], axis=0)
    similarity = ops.matmul(rows, ops.transpose(rows)) / temperature
    others = _others(ops.concatenate([weight, weight], axis=0))
    both_views = ops.reshape(_log_sum_exp(similarity, others), (2, -1))
    loss = ops.mean(both_views, axis=0) - ops.sum(a * b, axis=-1) / temperature
    return ops.where(weight > 0, loss, ops.zeros_like(loss))


def negative_cosine(p: Any, z: Any) -> Any:
    """`-p.z / (|p| |z|)`, z a constant of the gradient (SimSiam; Chen & He, 2021).

    Args:
      p: the predictor's output for one view, float [n, d].
      z: the projection of the other view, float [n, d].

    Returns:
      float32 [n], from -1 to 1; 0 where a row is 0.
    """
    return -ops.sum(unit(float32(p)) * ops.stop_gradient(unit(float32(z))), axis=-1)


def supervised_contrastive(
    features: Any, label: Any, temperature: float, weight: Any = None
) -> Any:
    """Cross-entropy of finding the others of a class in the batch (Khosla et al., 2020).

    Of the rows u, each divided by its length, an anchor i has
    `-1 / |P_i| sum_{p in P_i} (u_i.u_p / T - log sum_{k != i} exp(u_i.u_k / T))`,
    P_i being the other rows of its class.

    Args:
      features: float [n, d]; for two views, concatenate both and their labels.
      label: one-hot, float [n, classes].
      temperature: T, above 0.
      weight: 0 or 1, [n]; rows of weight 0 are neither anchors nor compared with.

    Returns:
      float32 [n], in nats; 0 for rows of weight 0 or alone in their class.
    """
    features = float32(features)
    weight = row_weights(weight, features)
    rows = unit(kept(features, weight))
    label = kept(float32(label), weight)
    similarity = ops.matmul(rows, ops.transpose(rows)) / temperature
    others = _others(weight)
    same_class = float32(ops.matmul(label, ops.transpose(label)) > 0.5)
    positives = same_class * float32(others)
    loss = _log_sum_exp(similarity, others)[:, None] - similarity
    return ops.sum(positives * loss, axis=1) / ops.maximum(ops.sum(positives, axis=1), 1.0)


def cosine_pairs(features: Any, label: Any, weight: Any = None) -> Any:
    """Cosines of a batch's pairs drawn to 1 within a class and to 0 between (SetFit).

    Tunstall et al., 2022. Of the rows u, each divided by its length, an anchor i has
    `mean_{p in P_i} (1 - u_i.u_p)^2 / 2 + mean_{q in Q_i} (u_i.u_q)^2 / 2`, P_i being the other
    rows of its class and Q_i those of other classes: both kinds of pairs count alike, however many
    there are.

    Args:
      features: float [n, d].
      label: one-hot, float [n, classes].
      weight: 0 or 1, [n]; rows of weight 0 are neither anchors nor compared with.

    Returns:
      float32 [n], from 0 to 2.5; 0 for rows of weight 0.
    """
    features = float32(features)
    weight = row_weights(weight, features)
    rows = unit(kept(features, weight))
    label = kept(float32(label), weight)
    cosine = ops.matmul(rows, ops.transpose(rows))
    same_class = float32(ops.matmul(label, ops.transpose(label)) > 0.5)
    others = float32(_others(weight))
    drawn = _mean_over(same_class * others, ops.square(1.0 - cosine))
    parted = _mean_over((1.0 - same_class) * others, ops.square(cosine))
    loss = 0.5 * (drawn + parted)
    return ops.where(weight > 0, loss, ops.zeros_like(loss))


def _mean_over(chosen: Any, values: Any) -> Any:
    """Of each row the mean of what is chosen by 1, 0 where nothing is; [n, n] to [n]."""
    return ops.sum(chosen * values, axis=1) / ops.maximum(ops.sum(chosen, axis=1), 1.0)


def _others(weight: Any) -> Any:
    """bool [n, n]: for each row those that are not itself and have weight."""
    itself = ops.eye(ops.shape(weight)[0], dtype="bool")
    return ops.logical_and(weight[None, :] > 0, ops.logical_not(itself))


def _log_sum_exp(similarity: Any, others: Any) -> Any:
    # Not -inf: a row without others must stay finite, to be multiplied by 0.
    far = ops.full_like(similarity, -1e9)
    return ops.logsumexp(ops.where(others, similarity, far), axis=1)
