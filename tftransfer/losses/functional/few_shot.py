"""Classifiers by the means of classes, and episodes within a batch."""

from __future__ import annotations

from keras import ops

from tftransfer.core.typing import Tensor, TensorLike
from tftransfer.losses.functional.rows import (
    float32,
    mask_rows,
    normalize,
    row_weights,
    squared_distances,
)

# Logit of a class that has no support.
_ABSENT_LOGIT = -1e9


def prototypes(features: TensorLike, label: TensorLike, weight: TensorLike | None = None) -> Tensor:
    """Computes the mean of each class, `sum_i y_ik f_i / sum_i y_ik` (Snell et al., 2017).

    Args:
      features: f, float [n, d].
      label: y, one-hot or probabilities, float [n, k].
      weight: 0 or 1, [n]; None is all ones.

    Returns:
      float32 [k, d], in the unit of the features; 0 for a class without examples.
    """
    features = float32(features)
    weight = row_weights(weight, features)
    features, label = mask_rows(features, weight), mask_rows(float32(label), weight)
    count = ops.sum(label, axis=0)[:, None]
    count = ops.where(count > 0, count, ops.ones_like(count))
    return ops.matmul(ops.transpose(label), features) / count


def prototype_logits(features: TensorLike, prototypes: TensorLike) -> Tensor:
    """Computes `-|f - c_k|^2` for each class k (prototypical networks; Snell et al., 2017).

    Args:
      features: f, float [n, d].
      prototypes: c, float [k, d].

    Returns:
      float32 [n, k], in the squared unit of the features.
    """
    features, prototypes = float32(features), float32(prototypes)
    center = ops.stop_gradient(ops.mean(prototypes, axis=0))
    return -squared_distances(features, prototypes, center)


def cosine_logits(features: TensorLike, prototypes: TensorLike, scale: TensorLike) -> Tensor:
    """Computes `scale f.c_k / (|f| |c_k|)` for each class k (Gidaris & Komodakis, 2018).

    Args:
      features: f, float [n, d].
      prototypes: c, float [k, d].
      scale: Factor of the cosine, a number or a variable.

    Returns:
      float32 [n, k], from -scale to scale; 0 where a row is 0.
    """
    unit_prototypes = ops.transpose(normalize(float32(prototypes)))
    return float32(scale) * ops.matmul(normalize(float32(features)), unit_prototypes)


def split_episode(label: TensorLike, weight: TensorLike | None = None) -> tuple[Tensor, Tensor]:
    """Splits a batch into the support of an episode and its queries.

    The first half of the examples of each class is its support, the others are queries.

    Args:
      label: One-hot labels, float [n, k].
      weight: 0 or 1, [n]; None is all ones.

    Returns:
      Support and queries, float32 [n] of 0 and 1 each; an example that is the only one of its class
      is in neither.
    """
    label = float32(label)
    label = mask_rows(label, row_weights(weight, label))
    count = ops.sum(label * ops.sum(label, axis=0), axis=-1)
    place = ops.sum(label * ops.cumsum(label, axis=0), axis=-1)
    support = float32(ops.logical_and(place > 0, place <= ops.floor(count / 2)))
    return support, float32(count > 1) * (1.0 - support)


def prototypical(
    features: TensorLike, label: TensorLike, temperature: float, weight: TensorLike | None = None
) -> Tensor:
    """Computes `-log softmax_k(-|f_i - c_k|^2 / T)_y_i` of the queries (Snell et al., 2017).

    f and c have unit length; c are the prototypes of the support, as `split_episode` divides the
    batch. Classes without support are not among the k.

    Args:
      features: f, float [n, d].
      label: y, one-hot, float [n, k].
      temperature: T, above 0.
      weight: 0 or 1, [n]; None is all ones.

    Returns:
      float32 [n], in nats; 0 for an example that is no query.
    """
    features, label = float32(features), float32(label)
    support, query = split_episode(label, weight)
    features = normalize(mask_rows(features, support + query))
    label = mask_rows(label, support + query)
    logits = prototype_logits(features, prototypes(features, label, support)) / temperature
    has_support = ops.max(label * support[:, None], axis=0) > 0
    logits = ops.where(has_support[None], logits, ops.full_like(logits, _ABSENT_LOGIT))
    per_row = ops.logsumexp(logits, axis=-1) - ops.sum(logits * label, axis=-1)
    return ops.where(query > 0, per_row, ops.zeros_like(per_row))
