"""Losses of outputs against labels, and the mean over examples."""

from __future__ import annotations

from keras import ops

from tftransfer.core.typing import Tensor, TensorLike
from tftransfer.losses.functional.rows import float32

# Smallest sum of weights that is divided by.
_SMALLEST_SUM = 1e-12


def cross_entropy(logits: TensorLike, label: TensorLike, label_smoothing: float = 0.0) -> Tensor:
    """Computes the softmax cross-entropy `-sum_k y_k log softmax(z)_k`.

    The label y is smoothed to `(1 - s) y + s / classes` (Szegedy et al., 2016).

    Args:
      logits: z, float [n, classes].
      label: Probabilities y, usually one-hot, float [n, classes].
      label_smoothing: s, from 0 to below 1.

    Returns:
      float32 [n], in nats.

    Example:
      >>> from tftransfer.losses import functional
      >>> loss = functional.cross_entropy([[0.0, 0.0]], [[1.0, 0.0]])
      >>> f"{float(loss[0]):.4f}"
      '0.6931'
    """
    logits, label = float32(logits), float32(label)
    label = (1.0 - label_smoothing) * label + label_smoothing / logits.shape[-1]
    return -ops.sum(label * ops.log_softmax(logits, axis=-1), axis=-1)


def binary_cross_entropy(logits: TensorLike, label: TensorLike) -> Tensor:
    """Computes the sigmoid cross-entropy `sum_k y log(1 + exp(-z)) + (1 - y) log(1 + exp(z))`.

    Args:
      logits: z, float [n, labels].
      label: y, from 0 to 1, float [n, labels].

    Returns:
      float32 [n], in nats.
    """
    logits, label = float32(logits), float32(label)
    # The form with max(z, 0) and |z| has a wrong gradient at z = 0, where heads begin.
    terms = label * ops.softplus(-logits) + (1.0 - label) * ops.softplus(logits)
    return ops.sum(terms, axis=-1)


def squared_error(prediction: TensorLike, label: TensorLike) -> Tensor:
    """Computes the mean over all axes but the first of `(prediction - label)^2`.

    Args:
      prediction: float [n, ...].
      label: float [n, ...], of the same shape.

    Returns:
      float32 [n], in the squared unit of the label.
    """
    difference = float32(prediction) - float32(label)
    return ops.mean(ops.square(difference), axis=tuple(range(1, len(difference.shape))))


def example_weights(label: TensorLike, class_weight: TensorLike) -> Tensor:
    """Computes the weight of each example from that of its class, `sum_k y_k c_k`.

    Args:
      label: Probabilities y, float [n, classes].
      class_weight: c, float [classes].

    Returns:
      float32 [n].
    """
    return ops.sum(float32(label) * float32(class_weight), axis=-1)


def weighted_mean(values: TensorLike, weight: TensorLike) -> Tensor:
    """Computes `sum w v / max(sum w, 1e-12)`, which is 0 where all weights are 0.

    Args:
      values: v, float [n]; of any value, also NaN, where w is 0.
      weight: w, at least 0, float [n].

    Returns:
      float32 scalar, in the unit of `values`.

    Example:
      >>> from tftransfer.losses import functional
      >>> float(functional.weighted_mean([1.0, 2.0, 99.0], [1.0, 1.0, 0.0]))
      1.5
    """
    values, weight = float32(values), float32(weight)
    values = ops.where(weight > 0, values, ops.zeros_like(values))
    return ops.sum(values * weight) / ops.maximum(ops.sum(weight), _SMALLEST_SUM)
