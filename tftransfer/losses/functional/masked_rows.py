"""What several losses do with the rows of a batch."""

from __future__ import annotations

from typing import Any

from keras import ops

_SHORTEST = 1e-6


def float32(x: Any) -> Any:
    """The tensor as float32, whatever it was."""
    return ops.cast(x, "float32")


def row_weights(weight: Any, rows: Any) -> Any:
    """The weights as float32 [n]; all ones for None."""
    return ops.ones_like(rows[:, 0]) if weight is None else float32(weight)


def kept(rows: Any, weight: Any) -> Any:
    """Rows [n, d] with those of weight 0 set to 0, also where they are NaN."""
    return ops.where(weight[:, None] > 0, rows, ops.zeros_like(rows))


def mean_row(rows: Any, weight: Any) -> Any:
    """`sum_i w_i x_i / max(sum_i w_i, 1)` of rows [n, d] and weights of 0 or above [n]; [d]."""
    return ops.sum(rows * weight[:, None], axis=0) / ops.maximum(ops.sum(weight), 1.0)


def unit(x: Any) -> Any:
    """`x / |x|` along the last axis; 0, with gradient 0, where |x| <= 1e-6."""
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    has_direction = squared > _SHORTEST**2
    # Both branches must be finite: the gradient of the branch not taken is multiplied by 0.
    length = ops.sqrt(ops.where(has_direction, squared, ops.ones_like(squared)))
    return ops.where(has_direction, x, ops.zeros_like(x)) / length


def squared_distances(a: Any, b: Any, centre: Any) -> Any:
    """`max(|a_i|^2 + |b_j|^2 - 2 a_i.b_j, 0)` of rows less `centre`; [n, d], [m, d] to [n, m].

    The centre leaves distances as they are and keeps digits where rows lie far from 0.
    """
    a, b = a - centre, b - centre
    a2 = ops.sum(ops.square(a), axis=-1)
    b2 = ops.sum(ops.square(b), axis=-1)
    return ops.maximum(a2[:, None] + b2[None, :] - 2.0 * ops.matmul(a, ops.transpose(b)), 0.0)
