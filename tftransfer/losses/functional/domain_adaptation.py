"""Losses that bring two domains together, and the parts of adversarial losses."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from tftransfer.core.typing import Tensor, TensorLike
from tftransfer.losses.functional.rows import (
    float32,
    mask_rows,
    mean_row,
    row_weights,
    squared_distances,
)
from tftransfer.losses.functional.supervised import binary_cross_entropy

# Smallest mean squared distance that the kernels are scaled by.
_SMALLEST_BANDWIDTH = 1e-12


def mmd(
    source: TensorLike,
    target: TensorLike,
    source_weight: TensorLike | None = None,
    target_weight: TensorLike | None = None,
    bandwidths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
) -> Tensor:
    """Computes the squared maximum mean discrepancy, `max(sum_ij a_i a_j k(x_i, x_j), 0)`.

    a_i is 1 / n for a row of the source and -1 / m for one of the target: the V-statistic, biased
    and never negative (Gretton et al., 2012). The kernel is
    `k(x, y) = sum_u exp(-|x - y|^2 / (u b))` over the bandwidths u, where b is the mean of
    |x_i - x_j|^2 over all pairs i != j of both samples, at least 1e-12 and a constant of the
    gradient (DAN; Long et al., 2015).

    Args:
      source: Features of the source domain, float [n, d].
      target: Features of the target domain, float [m, d].
      source_weight: 0 or above, [n]; None is all ones.
      target_weight: 0 or above, [m]; None is all ones.
      bandwidths: u, multiples of b.

    Returns:
      float32 scalar without unit, at most twice the number of bandwidths; 0 where a sample is
      empty.

    Example:
      >>> from tftransfer.losses import functional
      >>> float(functional.mmd([[0.0], [1.0]], [[0.0], [1.0]]))
      0.0
      >>> f"{float(functional.mmd([[0.0], [1.0]], [[5.0], [6.0]])):.2f}"
      '6.56'
    """
    source, source_weight, target, target_weight = _samples(
        source, target, source_weight, target_weight
    )
    rows = ops.concatenate([source, target], axis=0)
    weight = ops.concatenate([source_weight, target_weight], axis=0)
    center = ops.stop_gradient(mean_row(rows, weight))
    distances = squared_distances(rows, rows, center)
    total = ops.sum(weight)
    pairs = ops.maximum(total * (total - 1.0), 1.0)
    between = ops.sum(weight[:, None] * weight[None, :] * distances)  # i = j adds nothing
    base = ops.stop_gradient(ops.maximum(between / pairs, _SMALLEST_BANDWIDTH))
    kernel = sum(ops.exp(-distances / (multiple * base)) for multiple in bandwidths)
    sign = ops.concatenate([_shares(source_weight), -_shares(target_weight)], axis=0)
    value = ops.sum(sign[:, None] * sign[None, :] * kernel)
    return _both_have_rows(source_weight, target_weight, 1) * ops.maximum(value, 0.0)


def linear_mmd(
    source: TensorLike,
    target: TensorLike,
    source_weight: TensorLike | None = None,
    target_weight: TensorLike | None = None,
) -> Tensor:
    """Computes `|mean of source - mean of target|^2`, the MMD of a linear kernel.

    DDC (Tzeng et al., 2014).

    Args:
      source: Features of the source domain, float [n, d].
      target: Features of the target domain, float [m, d].
      source_weight: 0 or above, [n]; None is all ones.
      target_weight: 0 or above, [m]; None is all ones.

    Returns:
      float32 scalar, in the squared unit of the features; 0 where a sample is empty.

    Example:
      >>> from tftransfer.losses import functional
      >>> float(functional.linear_mmd([[0.0], [2.0]], [[4.0]]))
      9.0
    """
    source, source_weight, target, target_weight = _samples(
        source, target, source_weight, target_weight
    )
    difference = mean_row(source, source_weight) - mean_row(target, target_weight)
    return _both_have_rows(source_weight, target_weight, 1) * ops.sum(ops.square(difference))


def coral(
    source: TensorLike,
    target: TensorLike,
    source_weight: TensorLike | None = None,
    target_weight: TensorLike | None = None,
) -> Tensor:
    """Computes `|C_s - C_t|_F^2 / (4 d^2)` of the covariances C of two domains.

    `C = sum_i w_i (x_i - mean)(x_i - mean)^T / (sum_i w_i - 1)`. Deep CORAL (Sun & Saenko, 2016).

    Args:
      source: Features of the source domain, float [n, d].
      target: Features of the target domain, float [m, d].
      source_weight: w, 0 or above, [n]; None is all ones.
      target_weight: w, 0 or above, [m]; None is all ones.

    Returns:
      float32 scalar, in the fourth power of the features' unit; 0 where a sample has fewer than two
      rows.

    Example:
      >>> from tftransfer.losses import functional
      >>> float(functional.coral([[0.0], [2.0]], [[0.0], [4.0]]))  # variances 2 and 8
      9.0
    """
    source, source_weight, target, target_weight = _samples(
        source, target, source_weight, target_weight
    )
    difference = _covariance(source, source_weight) - _covariance(target, target_weight)
    value = ops.sum(ops.square(difference)) / (4.0 * source.shape[-1] ** 2)
    return _both_have_rows(source_weight, target_weight, 2) * value


def domain_cross_entropy(logits: TensorLike, is_target: TensorLike) -> Tensor:
    """Computes the sigmoid cross-entropy of a discriminator, `log(1 + exp(z)) - t z`.

    DANN (Ganin et al., 2016).

    Args:
      logits: z, above 0 for the target domain, float [n, 1].
      is_target: t, 0 or 1, [n] or [n, 1].

    Returns:
      float32 [n], in nats.
    """
    return binary_cross_entropy(logits, ops.reshape(is_target, (-1, 1)))


def multilinear_map(features: TensorLike, probabilities: TensorLike) -> Tensor:
    """Computes the outer product `f_i p_j` of each example, flattened (CDAN; Long et al., 2018).

    Args:
      features: f, float [n, d].
      probabilities: p, float [n, k].

    Returns:
      float32 [n, d * k] in the unit of the features; column i * k + j holds f_i p_j.
    """
    features, probabilities = float32(features), float32(probabilities)
    product = features[:, :, None] * probabilities[:, None, :]
    return ops.reshape(product, (-1, features.shape[-1] * probabilities.shape[-1]))


def entropy(logits: TensorLike) -> Tensor:
    """Computes `-sum_k p_k log p_k`, p = softmax(logits) (as a loss: Grandvalet & Bengio, 2005).

    Args:
      logits: float [n, classes].

    Returns:
      float32 [n], in nats, from 0 to log(classes).
    """
    log_p = ops.log_softmax(float32(logits), axis=-1)
    return -ops.sum(ops.exp(log_p) * log_p, axis=-1)


def certainty_weight(logits: TensorLike) -> Tensor:
    """Computes `1 + exp(-entropy)`, the weight of an example in CDAN+E (Long et al., 2018).

    Args:
      logits: float [n, classes]; not a constant of the gradient.

    Returns:
      float32 [n] without unit, from 1 + 1 / classes to 2.
    """
    return 1.0 + ops.exp(-entropy(logits))


def _samples(
    source: TensorLike,
    target: TensorLike,
    source_weight: TensorLike | None,
    target_weight: TensorLike | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features and weights of both domains in float32, rows of weight 0 set to 0."""
    source, target = float32(source), float32(target)
    source_weight = row_weights(source_weight, source)
    target_weight = row_weights(target_weight, target)
    source, target = mask_rows(source, source_weight), mask_rows(target, target_weight)
    return source, source_weight, target, target_weight


def _shares(weight: Tensor) -> Tensor:
    return weight / ops.maximum(ops.sum(weight), 1.0)


def _both_have_rows(source_weight: Tensor, target_weight: Tensor, rows: int) -> Tensor:
    """1 where both domains have so many rows, else 0."""
    fewest = ops.minimum(ops.sum(source_weight), ops.sum(target_weight))
    return float32(fewest >= rows)


def _covariance(rows: Tensor, weight: Tensor) -> Tensor:
    centered = rows - mean_row(rows, weight)
    count = ops.maximum(ops.sum(weight) - 1.0, 1.0)
    return ops.matmul(ops.transpose(centered * weight[:, None]), centered) / count
