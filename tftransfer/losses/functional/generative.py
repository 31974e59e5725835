"""Losses of generative models."""

from __future__ import annotations

from keras import ops

from tftransfer.core.typing import Tensor, TensorLike
from tftransfer.losses.functional.rows import float32

# Largest magnitude of a log variance; its exponential is finite in float32.
_MAX_LOG_VARIANCE = 20.0


def gaussian_kl(mean: TensorLike, log_variance: TensorLike) -> Tensor:
    """Computes `KL(N(m, e^v) || N(0, 1)) = 1/2 sum_k e^v + m^2 - 1 - v` (Kingma & Welling, 2014).

    v is clipped to [-20, 20], which keeps e^v finite; outside, its gradient is 0.

    Args:
      mean: m, float [n, ...].
      log_variance: v, float [n, ...], of the same shape.

    Returns:
      float32 [n], in nats, summed over all axes but the first.
    """
    mean = float32(mean)
    log_variance = ops.clip(float32(log_variance), -_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE)
    terms = ops.expm1(log_variance) - log_variance + ops.square(mean)
    return 0.5 * ops.sum(terms, axis=tuple(range(1, len(terms.shape))))
