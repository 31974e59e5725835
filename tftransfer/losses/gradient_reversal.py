"""Gradients with the opposite sign, and factors that rise during a phase."""

from __future__ import annotations

from tftransfer.core.typing import Tensor, TensorLike


def ramp(progress: TensorLike, steepness: float) -> Tensor:
    """Computes `2 / (1 + exp(-a p)) - 1`, which rises from 0 towards 1.

    Ganin & Lempitsky (2015) use a = 10.

    Args:
      progress: p, the progress of the phase, from 0 to 1.
      steepness: a; 0 gives the factor 1 throughout.

    Returns:
      float32 scalar.
    """
    from keras import ops

    if not steepness:
        return ops.ones((), "float32")
    return 2.0 / (1.0 + ops.exp(-steepness * ops.cast(progress, "float32"))) - 1.0


def reverse_gradient(tensor: Tensor, strength: TensorLike) -> Tensor:
    """Returns the tensor; its gradient is multiplied by `-strength` in the backward pass.

    The gradient reversal layer of DANN (Ganin & Lempitsky, 2015).

    Args:
      tensor: Features, float of any shape.
      strength: Factor of the reversed gradient, a scalar of at least 0.

    Returns:
      The tensor itself, of the same shape and dtype.
    """
    from keras import ops

    factor = ops.cast(strength, tensor.dtype)
    return ops.stop_gradient((1.0 + factor) * tensor) - factor * tensor
