"""Losses of outputs against labels, and how examples are averaged."""

from __future__ import annotations

from typing import Any

from keras import ops

from tftransfer.losses.functional.masked_rows import float32


def cross_entropy(logits: Any, label: Any, label_smoothing: float = 0.0) -> Any:
    """Softmax cross-entropy, `-sum_k y_k log softmax(z)_k`, y smoothed to (1-s) y + s / classes.

    Args:
      logits: z, float [n, classes].
      label: probabilities y, float [n, classes].
      label_smoothing: s, in [0, 1) (Szegedy et al., 2016).

    Returns:
      float32 [n], in nats.
    """
    logits, label = float32(logits), float32(label)
    label = (1.0 - label_smoothing) * label + label_smoothing / logits.shape[-1]
    return -ops.sum(label * ops.log_softmax(logits, axis=-1), axis=-1)


def binary_cross_entropy(logits: Any, label: Any) -> Any:
    """Sigmoid cross-entropy, `sum_k y log(1 + exp(-z)) + (1 - y) log(1 + exp(z))`.

    Args:
      logits: z, float [n, labels].
      label: y, in [0, 1], float [n, labels].

    Returns:
      float32 [n], in nats.
    """
    logits, label = float32(logits), float32(label)
    # Not with max(z, 0) and |z|, whose gradients at z = 0, where heads begin, add up wrongly.
    terms = label * ops.softplus(-logits) + (1.0 - label) * ops.softplus(logits)
    return ops.sum(terms, axis=-1)


def squared_error(prediction: Any, label: Any) -> Any:
    """Mean over all axes but the first of `(prediction - label)^2`.

    Args:
      prediction: float [n, ...].
      label: float [n, ...], of the same shape.

    Returns:
      float32 [n], in the label's unit squared.
    """
    difference = float32(prediction) - float32(label)
    return ops.mean(ops.square(difference), axis=tuple(range(1, len(difference.shape))))


def example_weights(label: Any, class_weight: Any) -> Any:
    """The weight of each example by its class, `sum_k y_k c_k`.

    Args:
      label: y, probabilities, float [n, classes].
      class_weight: c, float [classes].

    Returns:
      float32 [n], in the unit of `class_weight`.
    """
    return ops.sum(float32(label) * float32(class_weight), axis=-1)


def weighted_mean(values: Any, weight: Any) -> Any:
    """`sum w v / max(sum w, 1e-12)`; 0 where all weights are 0, as in an all-padding shard.

    Args:
      values: v, float [n]; where w is 0 it may hold anything, NaN too.
      weight: w, at least 0, float [n].

    Returns:
      float32 scalar, in the unit of `values`.
    """
    values, weight = float32(values), float32(weight)
    values = ops.where(weight > 0, values, ops.zeros_like(values))
    return ops.sum(values * weight) / ops.maximum(ops.sum(weight), 1e-12)
