"""Linear classifiers of frozen features that are solved without gradient descent on batches.

Every solver takes features float [n, d], targets [n, k] (one-hot rows, 0 and 1, or numbers), the
problem type, and the unit of each example, [n], as `groups.units` returns them. It returns the
kernel, float32 [d, k], and the bias, float32 [k], of a dense layer: `logits = features @ kernel +
bias`. A class without examples has a kernel of 0 and the bias `ABSENT`.

The probabilities are calibrated: the temperature is fitted to logits that are exactly those of a
fit without the unit of the example, which cost no refitting, of the examples whose class is also in
another unit. With one example of each class there are none, and the probabilities are uncertain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.probes import leave_one_out
from tftransfer.probes.cross_validation import Units
from tftransfer.probes.logistic import logistic
from tftransfer.probes.solver_inputs import (
    RowSpace,
    Solution,
    calibrate,
    center,
    one_thread,
    over_all_classes,
    prepare,
    row_space,
)
from tftransfer.utils.registry import Registry

SOLVERS: Registry[Callable[..., Solution]] = Registry("closed-form classifier")
SOLVERS.register("logistic")(logistic)

_EXCLUSIVE = (ProblemType.SINGLE_LABEL,)
_ALL_BUT_TASKS = (ProblemType.SINGLE_LABEL, ProblemType.MULTI_LABEL, ProblemType.REGRESSION)
_SMALLEST_DIVISOR = 1e-10
# Strengths of a ridge regression, as multiples of the mean squared norm of the rows.
_WEAKEST, _STRENGTHS = 1e-4, 25


class _HeldOut(NamedTuple):
    """The units that are held out together, and their Gram matrices."""

    blocks: leave_one_out.Blocks
    grams: list[Array | None]


@SOLVERS.register("prototypes")
def prototypes(
    features: Array,
    targets: Array,
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    scale: float | None = None,
    units: Units = (),
) -> Solution:
    """Classifies by the nearest class mean (Snell et al., 2017).

    `logits = -scale |x - c|^2`, up to a constant of the row: `scale (2 x.c - |c|^2)`.

    Args:
      features: float [n, d].
      targets: One-hot rows, [n, k].
      problem_type: `single_label`.
      scale: Factor of the squared distances; None calibrates it on leave-one-out means.
      units: Name of the unit of each example, [n]; empty where each example is a unit.

    Returns:
      Kernel float32 [d, k] and bias float32 [k].
    """
    x, y, present = prepare(features, targets, problem_type, _EXCLUSIVE)
    with one_thread():
        x, mean = center(x)
        counts = y.sum(axis=0)
        means = (y.T @ x) / counts[:, None]
        kernel, bias = 2 * means.T, -(means**2).sum(axis=1)
        if scale is None:
            fitted = x @ kernel + bias - (x**2).sum(axis=1, keepdims=True)
            # The distance from the mean of the others of the class.
            single = fitted * (counts / np.maximum(counts - 1, 1)) ** 2
            held_out = leave_one_out.means_logits(
                np.where(y > 0, single, fitted),
                x,
                y,
                leave_one_out.blocks_of(units),
                _negative_distances,
            )
            usable = leave_one_out.usable(y, problem_type, units)
            scale = 1 / calibrate(held_out, fitted, y, problem_type, usable)
    bias = bias - mean @ kernel
    return over_all_classes(scale * kernel, scale * bias, present)


def _negative_distances(x: Array, sums: Array, counts: Array) -> Array:
    means = sums / counts[:, None]
    logits: Array = 2 * x @ means.T - (means**2).sum(axis=1) - (x**2).sum(axis=1, keepdims=True)
    return logits


@SOLVERS.register("cosine")
def cosine(
    features: Array,
    targets: Array,
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    scale: float | None = None,
    units: Units = (),
) -> Solution:
    """Classifies by the cosine to the class mean (Gidaris & Komodakis, 2018).

    `logits = scale x.c / (|x| |c|)`. The kernel holds unit means of unit features: **it is for
    features that are divided by their norm**, which the caller must do; here they are too. The bias
    is 0.

    Args:
      features: float [n, d].
      targets: One-hot rows, [n, k].
      problem_type: `single_label`.
      scale: Factor of the cosines; None calibrates it on leave-one-out means.
      units: Name of the unit of each example, [n]; empty where each example is a unit.

    Returns:
      Kernel float32 [d, k] and bias float32 [k].
    """
    from sklearn.preprocessing import normalize

    x, y, present = prepare(features, targets, problem_type, _EXCLUSIVE)
    with one_thread():
        x = normalize(x)
        sums = y.T @ x
        kernel = normalize(sums).T
        if scale is None:
            fitted, own, length = x @ kernel, x @ sums.T, (x**2).sum(axis=1, keepdims=True)
            # |sum - x|^2, of the other examples of the class.
            others = np.maximum((sums**2).sum(axis=1) - 2 * own + length, _SMALLEST_DIVISOR)
            held_out = leave_one_out.means_logits(
                np.where(y > 0, (own - length) / np.sqrt(others), fitted),
                x,
                y,
                leave_one_out.blocks_of(units),
                lambda x, sums, _: x @ normalize(sums).T,
            )
            usable = leave_one_out.usable(y, problem_type, units)
            scale = 1 / calibrate(held_out, fitted, y, problem_type, usable)
    return over_all_classes(scale * kernel, np.zeros(kernel.shape[1]), present)


@SOLVERS.register("ridge")
def ridge(
    features: Array,
    targets: Array,
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    strength: float | None = None,
    temperature: float | None = None,
    units: Units = (),
) -> Solution:
    """Fits a ridge regression of the targets (Hoerl & Kennard, 1970), without intercept penalty.

    `|Y - XW - b|^2 + strength |W|^2`, divided by a temperature for classes; several labels are -1
    and 1. In dual form where n < d.

    Args:
      features: float [n, d].
      targets: One-hot rows, 0 and 1, or numbers, [n, k].
      problem_type: `single_label`, `multi_label` or `regression`.
      strength: Strength of the penalty; None takes the one with the smallest leave-one-out error
        (Allen's PRESS, 1974), or the mean squared norm where no class has two examples or units.
      temperature: Divisor of the predictions; None calibrates it, and is 1 for a regression.
      units: Name of the unit of each example, [n]; empty where each example is a unit.

    Returns:
      Kernel float32 [d, k] and bias float32 [k].
    """
    x, y, present = prepare(features, targets, problem_type, _ALL_BUT_TASKS)
    wanted = 2 * y - 1 if problem_type == ProblemType.MULTI_LABEL else y
    with one_thread():
        x, middle = center(x)
        space, mean = row_space(x), wanted.mean(axis=0)
        blocks = leave_one_out.blocks_of(units)
        units_out = _HeldOut(blocks, leave_one_out.grams(space.coordinates, blocks))
        usable = leave_one_out.usable(y, problem_type, units)
        if strength is None:
            strength = _best_strength(space, wanted - mean, usable, units_out)
        weights, residuals = _ridge(space, wanted - mean, strength, units_out)
        kernel = space.basis @ weights
        if problem_type == ProblemType.REGRESSION:
            temperature = 1.0
        elif temperature is None:
            fitted = x @ kernel + mean
            temperature = calibrate(wanted - residuals, fitted, y, problem_type, usable)
    bias = mean - middle @ kernel
    return over_all_classes(kernel / temperature, bias / temperature, present)


def _ridge(space: RowSpace, y: Array, strength: float, units: _HeldOut) -> Solution:
    """Weights [r, k] in the row space, and residuals [n, k] without the unit of each example."""
    shrunk = 1 / (space.squares + strength)
    weights = shrunk[:, None] * (space.coordinates.T @ y)
    fitted = y - space.coordinates @ weights
    return weights, leave_one_out.residuals(space.coordinates, shrunk, fitted, *units)


def _best_strength(space: RowSpace, y: Array, usable: Array, units: _HeldOut) -> float:
    size = space.squares.sum() / len(y) or 1.0
    if not usable.any():
        return size
    variance = np.maximum(y.var(axis=0), _SMALLEST_DIVISOR)
    grid = size * np.geomspace(_WEAKEST, 10.0 * len(y), _STRENGTHS)
    errors = [(_ridge(space, y, s, units)[1][usable] ** 2 / variance).mean() for s in grid]
    return float(grid[int(np.argmin(errors))])
