"""Gradients that are turned round, and factors that rise."""

from __future__ import annotations

from typing import Any


def ramp(progress: Any, steepness: float) -> Any:
    """`2 / (1 + exp(-a p)) - 1`, from 0 towards 1 (Ganin & Lempitsky, 2015, with a = 10).

    Args:
      progress: p, from 0 to 1.
      steepness: a; 0 gives the factor 1 throughout.

    Returns:
      float32 scalar.
    """
    from keras import ops

    if not steepness:
        return ops.ones((), "float32")
    return 2.0 / (1.0 + ops.exp(-steepness * ops.cast(progress, "float32"))) - 1.0


def reverse_gradient(tensor: Any, strength: Any) -> Any:
    """The tensor itself, whose gradient is multiplied by `-strength` on its way back.

    The gradient reversal layer of DANN (Ganin & Lempitsky, 2015).
    """
    from keras import ops

    strength = ops.cast(strength, tensor.dtype)
    return ops.stop_gradient((1.0 + strength) * tensor) - strength * tensor
