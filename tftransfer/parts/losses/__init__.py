"""Losses: frozen dataclasses that fetch tensors by path; the maths is in `functional`.

Nothing here imports TensorFlow until a loss is computed.
"""

from tftransfer.parts.losses.terms import (
    L2SP,
    BinaryCrossEntropy,
    CrossEntropy,
    SquaredError,
    supervised,
)

__all__ = ["L2SP", "BinaryCrossEntropy", "CrossEntropy", "SquaredError", "supervised"]
