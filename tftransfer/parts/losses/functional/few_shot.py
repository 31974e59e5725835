"""Classes as points in feature space."""

from __future__ import annotations

from typing import Any

from keras import ops

from tftransfer.parts.losses.functional.rows import (
    float32,
    kept,
    row_weights,
    squared_distances,
    unit,
)


def prototypes(features: Any, label: Any, weight: Any = None) -> Any:
    """The mean of each class, `sum_i y_ik f_i / sum_i y_ik`; 0 for a class without examples.

    Prototypical networks (Snell et al., 2017).

    Args:
      features: f, float [n, d].
      label: y, one-hot or probabilities, float [n, k].
      weight: 0 or 1, [n]; None is all ones.

    Returns:
      float32 [k, d], in the features' unit.
    """
    features = float32(features)
    weight = row_weights(weight, features)
    features, label = kept(features, weight), kept(float32(label), weight)
    count = ops.sum(label, axis=0)[:, None]
    count = ops.where(count > 0, count, ops.ones_like(count))
    return ops.matmul(ops.transpose(label), features) / count


def prototype_logits(features: Any, prototypes: Any) -> Any:
    """`-|f - c_k|^2` for each class k (prototypical networks; Snell et al., 2017).

    Args:
      features: f, float [n, d].
      prototypes: c, float [k, d].

    Returns:
      float32 [n, k], in squared units of the features.
    """
    features, prototypes = float32(features), float32(prototypes)
    centre = ops.stop_gradient(ops.mean(prototypes, axis=0))
    return -squared_distances(features, prototypes, centre)


def cosine_logits(features: Any, prototypes: Any, scale: Any) -> Any:
    """`scale f.c_k / (|f| |c_k|)` for each class k (Gidaris & Komodakis, 2018).

    Args:
      features: f, float [n, d].
      prototypes: c, float [k, d].
      scale: float scalar, a number or a variable.

    Returns:
      float32 [n, k], from -scale to scale; 0 where a row is 0.
    """
    cosine = ops.matmul(unit(float32(features)), ops.transpose(unit(float32(prototypes))))
    return float32(scale) * cosine
