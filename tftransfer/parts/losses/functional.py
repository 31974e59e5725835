"""The maths of the losses: pure functions of tensors, computed in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops


def cross_entropy(logits: Any, label: Any, label_smoothing: float = 0.0) -> Any:
    """Softmax cross-entropy, `-sum_k y_k log softmax(z)_k`, y smoothed to (1-s) y + s / classes.

    Args:
      logits: z, float [n, classes].
      label: probabilities y, float [n, classes].
      label_smoothing: s, in [0, 1) (Szegedy et al., 2016).

    Returns:
      float32 [n], in nats.
    """
    logits = ops.cast(logits, "float32")
    label = ops.cast(label, "float32")
    label = (1.0 - label_smoothing) * label + label_smoothing / logits.shape[-1]
    return -ops.sum(label * ops.log_softmax(logits, axis=-1), axis=-1)


def binary_cross_entropy(logits: Any, label: Any) -> Any:
    """Sigmoid cross-entropy, `sum_k max(z, 0) - z y + log(1 + exp(-|z|))`.

    Args:
      logits: z, float [n, labels].
      label: y, 0 or 1, float [n, labels].

    Returns:
      float32 [n], in nats.
    """
    logits = ops.cast(logits, "float32")
    label = ops.cast(label, "float32")
    terms = ops.maximum(logits, 0.0) - logits * label + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.sum(terms, axis=-1)


def squared_error(prediction: Any, label: Any) -> Any:
    """Mean over all axes but the first of (prediction - label)^2; float32 [n]."""
    difference = ops.cast(prediction, "float32") - ops.cast(label, "float32")
    return ops.mean(ops.square(difference), axis=tuple(range(1, len(difference.shape))))


def l2_sp(pairs: Sequence[tuple[Any, Any]]) -> Any:
    """`1/2 sum |w - w0|^2` over pairs (w, w0) of equal shapes (Li et al., 2018); a scalar."""
    total = ops.zeros((), "float32")
    for weight, reference in pairs:
        difference = ops.cast(weight, "float32") - ops.cast(reference, "float32")
        total = total + ops.sum(ops.square(difference))
    return 0.5 * total


def example_weights(label: Any, class_weight: Any) -> Any:
    """The weight of each example: label [n, classes] times class_weight [classes]; [n]."""
    return ops.sum(ops.cast(label, "float32") * class_weight, axis=-1)


def weighted_mean(values: Any, weight: Any) -> Any:
    """`sum w v / sum w` of two [n]; 0 where all weights are 0, as in an all-padding shard."""
    weight = ops.cast(weight, "float32")
    return ops.sum(values * weight) / ops.maximum(ops.sum(weight), 1e-12)
