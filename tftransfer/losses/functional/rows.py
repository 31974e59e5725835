"""Operations on the rows of a batch that several losses share."""

from __future__ import annotations

from keras import ops

from tftransfer.core.typing import Tensor, TensorLike

# Length of a vector up to which it has no direction.
_SMALLEST_NORM = 1e-6


def float32(x: TensorLike) -> Tensor:
    """Casts to float32."""
    return ops.cast(x, "float32")


def row_weights(weight: TensorLike | None, rows: Tensor) -> Tensor:
    """Returns the weights as float32 [n]; ones for None."""
    return ops.ones_like(rows[:, 0]) if weight is None else float32(weight)


def mask_rows(rows: Tensor, weight: Tensor) -> Tensor:
    """Sets rows [n, d] of weight 0 to 0, also where they are NaN."""
    return ops.where(weight[:, None] > 0, rows, ops.zeros_like(rows))


def mean_row(rows: Tensor, weight: Tensor) -> Tensor:
    """Computes `sum_i w_i x_i / max(sum_i w_i, 1)`.

    Args:
      rows: x, float32 [n, d].
      weight: w, 0 or above, float32 [n].

    Returns:
      float32 [d].
    """
    return ops.sum(rows * weight[:, None], axis=0) / ops.maximum(ops.sum(weight), 1.0)


def normalize(x: Tensor) -> Tensor:
    """Computes `x / |x|` along the last axis; 0, with gradient 0, where |x| <= 1e-6."""
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    has_direction = squared > _SMALLEST_NORM**2
    # Both branches must be finite: the gradient of the branch not taken is multiplied by 0.
    length = ops.sqrt(ops.where(has_direction, squared, ops.ones_like(squared)))
    return ops.where(has_direction, x, ops.zeros_like(x)) / length


def squared_distances(a: Tensor, b: Tensor, center: Tensor) -> Tensor:
    """Computes `max(|a_i|^2 + |b_j|^2 - 2 a_i.b_j, 0)` after subtracting a center.

    The center changes no distance and keeps precision where all rows are far from 0.

    Args:
      a: float32 [n, d].
      b: float32 [m, d].
      center: float32 [d].

    Returns:
      float32 [n, m].
    """
    a, b = a - center, b - center
    a2 = ops.sum(ops.square(a), axis=-1)
    b2 = ops.sum(ops.square(b), axis=-1)
    return ops.maximum(a2[:, None] + b2[None, :] - 2.0 * ops.matmul(a, ops.transpose(b)), 0.0)
