"""Losses that bring two domains together, and the parts of adversarial ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from tftransfer.losses.functional.masked_rows import (
    float32,
    kept,
    mean_row,
    row_weights,
    squared_distances,
)
from tftransfer.losses.functional.supervised import binary_cross_entropy


def mmd(
    source: Any,
    target: Any,
    source_weight: Any = None,
    target_weight: Any = None,
    bandwidths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
) -> Any:
    """Squared maximum mean discrepancy, `max(sum_ij a_i a_j k(x_i, x_j), 0)` over both samples.

    a_i is 1 / n for a row of the source and -1 / m for one of the target, which
    is the V-statistic, biased and never negative (Gretton et al., 2012). The kernel
    is `k(x, y) = sum_u exp(-|x - y|^2 / (u b))` over the bandwidths u, b being the
    mean of |x_i - x_j|^2 over all pairs i != j of both samples, at least 1e-12 and
    a constant of the gradient (DAN; Long et al., 2015).

    Args:
      source: float [n, d].
      target: float [m, d].
      source_weight: 0 or above, [n]; None is all ones.
      target_weight: 0 or above, [m]; None is all ones.
      bandwidths: u, multiples of b.

    Returns:
      float32 scalar without unit, at most twice the number of bandwidths; 0 where a
      sample is empty.
    """
    source, source_weight, target, target_weight = _domains(
        source, target, source_weight, target_weight
    )
    rows = ops.concatenate([source, target], axis=0)
    weight = ops.concatenate([source_weight, target_weight], axis=0)
    centre = ops.stop_gradient(mean_row(rows, weight))
    distances = squared_distances(rows, rows, centre)
    total = ops.sum(weight)
    pairs = ops.maximum(total * (total - 1.0), 1.0)
    between = ops.sum(weight[:, None] * weight[None, :] * distances)  # i = j adds nothing
    base = ops.stop_gradient(ops.maximum(between / pairs, 1e-12))
    kernel = sum(ops.exp(-distances / (multiple * base)) for multiple in bandwidths)
    sign = ops.concatenate([_shares(source_weight), -_shares(target_weight)], axis=0)
    value = ops.sum(sign[:, None] * sign[None, :] * kernel)
    return _both(source_weight, target_weight, 1) * ops.maximum(value, 0.0)


def linear_mmd(
    source: Any, target: Any, source_weight: Any = None, target_weight: Any = None
) -> Any:
    """`|mean of source - mean of target|^2`, the MMD of a linear kernel (DDC; Tzeng et al., 2014).

    Args:
      source: float [n, d].
      target: float [m, d].
      source_weight: 0 or above, [n]; None is all ones.
      target_weight: 0 or above, [m]; None is all ones.

    Returns:
      float32 scalar, in squared units of the features; 0 where a sample is empty.
    """
    source, source_weight, target, target_weight = _domains(
        source, target, source_weight, target_weight
    )
    difference = mean_row(source, source_weight) - mean_row(target, target_weight)
    return _both(source_weight, target_weight, 1) * ops.sum(ops.square(difference))


def coral(source: Any, target: Any, source_weight: Any = None, target_weight: Any = None) -> Any:
    """`|C_s - C_t|_F^2 / (4 d^2)` of the covariances of two domains (Sun & Saenko, 2016).

    `C = sum_i w_i (x_i - mean)(x_i - mean)^T / (sum_i w_i - 1)`.

    Args:
      source: float [n, d].
      target: float [m, d].
      source_weight: w, 0 or above, [n]; None is all ones.
      target_weight: the same, [m].

    Returns:
      float32 scalar, in fourth powers of the features' unit; 0 where a sample has
      fewer than two rows.
    """
    source, source_weight, target, target_weight = _domains(
        source, target, source_weight, target_weight
    )
    difference = _covariance(source, source_weight) - _covariance(target, target_weight)
    value = ops.sum(ops.square(difference)) / (4.0 * source.shape[-1] ** 2)
    return _both(source_weight, target_weight, 2) * value


def domain_cross_entropy(logits: Any, is_target: Any) -> Any:
    """Sigmoid cross-entropy of a domain classifier, `log(1 + exp(z)) - t z` (DANN; Ganin, 2016).

    Args:
      logits: z, above 0 for the target, float [n, 1].
      is_target: t, 0 or 1, [n] or [n, 1].

    Returns:
      float32 [n], in nats.
    """
    return binary_cross_entropy(logits, ops.reshape(is_target, (-1, 1)))


def multilinear_map(features: Any, probabilities: Any) -> Any:
    """The outer product `f_i p_j` of each example, flattened (CDAN; Long et al., 2018).

    Args:
      features: f, float [n, d].
      probabilities: p, float [n, k].

    Returns:
      float32 [n, d * k], place i * k + j holding f_i p_j, in the features' unit.
    """
    features, probabilities = float32(features), float32(probabilities)
    product = features[:, :, None] * probabilities[:, None, :]
    return ops.reshape(product, (-1, features.shape[-1] * probabilities.shape[-1]))


def entropy(logits: Any) -> Any:
    """`-sum_k p_k log p_k`, p = softmax(logits) (as a loss: Grandvalet & Bengio, 2005).

    Args:
      logits: float [n, classes].

    Returns:
      float32 [n], in nats, from 0 to log(classes).
    """
    log_p = ops.log_softmax(float32(logits), axis=-1)
    return -ops.sum(ops.exp(log_p) * log_p, axis=-1)


def certainty_weight(logits: Any) -> Any:
    """`1 + exp(-entropy)`, the weight of an example in CDAN+E (Long et al., 2018).

    Args:
      logits: float [n, classes]; not a constant of the gradient.

    Returns:
      float32 [n] without unit, from 1 + 1 / classes to 2.
    """
    return 1.0 + ops.exp(-entropy(logits))


def _domains(source: Any, target: Any, source_weight: Any, target_weight: Any) -> tuple[Any, ...]:
    source, target = float32(source), float32(target)
    source_weight = row_weights(source_weight, source)
    target_weight = row_weights(target_weight, target)
    return kept(source, source_weight), source_weight, kept(target, target_weight), target_weight


def _shares(weight: Any) -> Any:
    return weight / ops.maximum(ops.sum(weight), 1.0)


def _both(source_weight: Any, target_weight: Any, rows: int) -> Any:
    """1 where both domains have so many rows, else 0."""
    fewest = ops.minimum(ops.sum(source_weight), ops.sum(target_weight))
    return float32(fewest >= rows)


def _covariance(rows: Any, weight: Any) -> Any:
    centred = rows - mean_row(rows, weight)
    count = ops.maximum(ops.sum(weight) - 1.0, 1.0)
    return ops.matmul(ops.transpose(centred * weight[:, None]), centred) / count
