"""Classes as points in feature space."""

from __future__ import annotations

from typing import Any

from keras import ops

from tftransfer.losses.functional.masked_rows import (
    float32,
    kept,
    row_weights,
    squared_distances,
    unit,
)

# Of a class that cannot be chosen.
_ABSENT = -1e9


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


def episode(label: Any, weight: Any = None) -> tuple[Any, Any]:
    """A batch as an episode: of each class the first half is its support, the others are queries.

    Args:
      label: one-hot, float [n, k].
      weight: 0 or 1, [n]; None is all ones.

    Returns:
      support and query, float32 [n] of 0 and 1; a class that stands once in a batch is in neither.
    """
    label = float32(label)
    label = kept(label, row_weights(weight, label))
    count = ops.sum(label * ops.sum(label, axis=0), axis=-1)
    place = ops.sum(label * ops.cumsum(label, axis=0), axis=-1)
    support = float32((place > 0) & (place <= ops.floor(count / 2)))
    return support, float32(count > 1) * (1.0 - support)


def prototypical(features: Any, label: Any, temperature: float, weight: Any = None) -> Any:
    """`-log softmax_k(-|f_i - c_k|^2 / T)_y_i`, f and c of unit length, in `episode`'s parts.

    Prototypical networks (Snell et al., 2017). Classes without support are not among the k.

    Args:
      features: f, float [n, d].
      label: y, one-hot, float [n, k].
      temperature: T, above 0.
      weight: 0 or 1, [n]; None is all ones.

    Returns:
      float32 [n] in nats; 0 for what is no query.
    """
    features, label = float32(features), float32(label)
    support, query = episode(label, weight)
    features = unit(kept(features, support + query))
    label = kept(label, support + query)
    logits = prototype_logits(features, prototypes(features, label, support)) / temperature
    there = ops.max(label * support[:, None], axis=0) > 0
    logits = ops.where(there[None], logits, ops.full_like(logits, _ABSENT))
    per_row = ops.logsumexp(logits, axis=-1) - ops.sum(logits * label, axis=-1)
    return ops.where(query > 0, per_row, ops.zeros_like(per_row))
