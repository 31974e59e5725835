"""What the solvers of linear classifiers share: checks, centering, the row space, calibration."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.metrics.calibration import fit_temperature
from tftransfer.utils.errors import UserError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

# Kernel float32 [d, k] and bias float32 [k] of a dense layer.
Solution = tuple[Array, Array]
# Bias of a class without examples: its probability is 0.
ABSENT = -1e4
# Range of a column, as a share of its largest magnitude, up to which it is constant.
_CONSTANT_RANGE = 1e-6


class RowSpace(NamedTuple):
    """Rows [n, d] in an orthonormal basis of the space that they span: `x = coordinates basis^T`.

    Attributes:
      coordinates: float [n, r].
      basis: float [d, r].
      squares: Squared singular values, float [r].
    """

    coordinates: Array
    basis: Array
    squares: Array


def prepare(
    features: Array,
    targets: Array,
    problem_type: ProblemType,
    problem_types: Sequence[ProblemType],
) -> tuple[Array, Array, Array]:
    """Checks and converts the arguments of a solver.

    Args:
      features: float [n, d].
      targets: One-hot rows, 0 and 1, or numbers, [n, k].
      problem_type: What the targets are.
      problem_types: Problem types that the solver supports.

    Returns:
      Features float64 [n, d]; targets of the classes that have examples, float64 [n, present]; and
      which classes have examples, bool [k].

    Raises:
      UserError: The problem type is not supported, or the arrays do not match or are not finite.
    """
    x, y = np.asarray(features, np.float64), np.asarray(targets, np.float64)
    if problem_type not in problem_types:
        raise UserError(
            f"This solver is for {' and '.join(problem_types)} targets, not for {problem_type}.",
            "Use ridge, which supports all problem types.",
        )
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
        raise UserError(
            f"The features have the shape {list(x.shape)} and the targets {list(y.shape)}.",
            "Give [n, d] and [n, k] with the same n > 0, and classes as one-hot rows.",
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UserError("Features or targets are not finite.", "Remove these rows.")
    present: Array = np.logical_or(problem_type == ProblemType.REGRESSION, y.any(axis=0))
    return x, y[:, present], present


def center(x: Array) -> tuple[Array, Array]:
    """Returns the rows float [n, d] minus their mean, and the mean [d]; constant columns are 0."""
    mean = x.mean(axis=0)
    centered = x - mean
    # Exactly 0: rounding errors would be amplified by the division by a deviation.
    centered[:, np.ptp(x, axis=0) <= _CONSTANT_RANGE * np.abs(x).max(axis=0)] = 0
    return centered, mean


def row_space(x: Array) -> RowSpace:
    """Returns rows float [n, d] in an orthonormal basis of the space that they span.

    By the eigenvectors of x x^T (dual form) where n < d, else of x^T x.
    """
    dual = len(x) < x.shape[1]
    values, vectors = np.linalg.eigh(x @ x.T if dual else x.T @ x)
    kept = values > values.max() * len(values) * np.finfo(float).eps
    squares, vectors = values[kept], vectors[:, kept]
    basis = x.T @ (vectors / np.sqrt(squares)) if dual else vectors
    return RowSpace(x @ basis, basis, squares)


def over_all_classes(kernel: Array, bias: Array, present: Array) -> Solution:
    """Returns a solution for all classes; absent classes have a kernel of 0 and the bias ABSENT.

    Args:
      kernel: Kernel of the classes that have examples, float [d, present].
      bias: Bias of these classes, float [present].
      present: Which classes have examples, bool [k].
    """
    wide = np.zeros((len(kernel), len(present)), np.float32)
    level = np.full(len(present), ABSENT, np.float32)
    wide[:, present], level[present] = kernel, bias
    return wide, level


def calibrate(
    held_out: Array, fitted: Array, y: Array, problem_type: ProblemType, usable: Array
) -> float:
    """Fits the temperature of logits that were computed without the unit of each example.

    Args:
      held_out: Logits by a fit without the unit of the example, float [n, k].
      fitted: Logits by a fit to all examples, float [n, k], for examples that cannot be held out.
      y: Targets, [n, k].
      problem_type: What the targets are.
      usable: Which examples can be held out, bool [n].

    Returns:
      The temperature: the deviation of the logits times the temperature of the scaled logits.
    """
    logits = np.where(usable[:, None], held_out, fitted)
    exclusive = problem_type == ProblemType.SINGLE_LABEL
    level = logits.mean(axis=1, keepdims=True) if exclusive else 0.0
    deviation = float(np.sqrt(((logits - level) ** 2).mean())) or 1.0
    return deviation * fit_temperature(logits[usable] / deviation, y[usable], problem_type)


def one_thread() -> AbstractContextManager[object]:
    """Limits NumPy to one thread: with more it waits for TensorFlow's threads, 15 times as long."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1)
    return limited


@functools.cache
def _controller() -> ThreadpoolController:
    """The search for thread pools takes 5 ms, and finds only libraries that are loaded."""
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
