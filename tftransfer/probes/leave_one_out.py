"""Exact leave-one-out results of linear classifiers, without refitting.

All examples of a unit, such as copies or the clips of a speaker, are held out together, because one
of them would reveal the others. `Blocks` hold the units of several examples only: single examples
need none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.probes.cross_validation import Units

# Indices of the examples of units of one size, int [units, size]; one array for each size.
Blocks = list[Array]
_SMALLEST_DIVISOR = 1e-10


def blocks_of(units: Units) -> Blocks:
    """Returns the units of more than one example, by their size.

    Args:
      units: Name of the unit of each example, [n]; empty where each example is a unit.
    """
    if not len(units):
        return []
    _, unit_of, counts = np.unique(np.asarray(units), return_inverse=True, return_counts=True)
    order = np.argsort(unit_of, kind="stable")
    starts = np.cumsum(counts) - counts
    return [
        order[starts[counts == size][:, None] + np.arange(size)]
        for size in np.unique(counts)
        if size > 1
    ]


def usable(targets: Array, problem_type: ProblemType, units: Units) -> Array:
    """Returns which examples can be held out: those whose class is also in another unit.

    Args:
      targets: Targets, [n, k].
      problem_type: `single_label` for one-hot targets; of other types all examples can be held out
        where there are two units.
      units: Name of the unit of each example, [n]; empty where each example is a unit.

    Returns:
      bool [n].
    """
    count = len(targets)
    unit_of = np.arange(count)
    if len(units):
        unit_of = np.unique(np.asarray(units), return_inverse=True)[1]
    if problem_type != ProblemType.SINGLE_LABEL:
        return np.full(count, len(np.unique(unit_of)) > 1)
    labels = targets.argmax(axis=1)
    pairs = np.unique(np.stack([labels, unit_of]), axis=1)
    in_other_units: Array = np.bincount(pairs[0], minlength=targets.shape[1])[labels] > 1
    return in_other_units


def grams(x: Array, blocks: Blocks) -> list[Array | None]:
    """Returns `x^T x` of each unit, for blocks of more examples than columns, else None.

    They do not depend on the strength of a ridge regression, so that all strengths share them.

    Args:
      x: Features, float [n, r]; a column 1 / sqrt(n) is added in front, for the intercept.
      blocks: Units, as `blocks_of` returns them.

    Returns:
      float [units, r + 1, r + 1] for each block.
    """
    products: list[Array | None] = []
    for rows in blocks:
        if rows.shape[1] <= x.shape[1] + 1:
            products.append(None)
        else:
            with_intercept = (_with_intercept(x, one) for one in rows)
            products.append(np.stack([each.T @ each for each in with_intercept]))
    return products


def _with_intercept(x: Array, rows: Array) -> Array:
    level = np.full((*rows.shape, 1), len(x) ** -0.5)
    return np.concatenate([level, x[rows]], axis=-1)


def residuals(
    x: Array,
    shrunk: Array,
    fitted: Array,
    blocks: Blocks,
    products: Sequence[Array | None],
) -> Array:
    """Computes the residuals of a regression as if refitted without the unit of each example.

    `(I - H_uu)^-1 r_u` with the hat matrix `H = 1/n + x diag(shrunk) x^T`; of single examples
    it is Allen's PRESS (1974).

    Args:
      x: Features, float [n, r].
      shrunk: Diagonal of the hat matrix in the space of the features, float [r].
      fitted: Residuals r of the fit to all examples, float [n, k].
      blocks: Units, as `blocks_of` returns them.
      products: Gram matrices of the units, as `grams` returns them.

    Returns:
      float [n, k].
    """
    scale = np.sqrt(np.concatenate([[1.0], shrunk]))
    leverage = 1 / len(x) + np.einsum("nr,nr,r->n", x, x, shrunk)
    found: Array = fitted / np.maximum(1 - leverage, _SMALLEST_DIVISOR)[:, None]
    for rows, product in zip(blocks, products, strict=True):
        scaled, own = _with_intercept(x, rows) * scale, fitted[rows]
        transposed = scaled.swapaxes(1, 2)
        if product is None:
            found[rows] = np.linalg.solve(_complement(scaled @ transposed), own)
        else:  # by the Woodbury identity: a smaller system
            complement = _complement(scale[:, None] * product * scale)
            found[rows] = own + scaled @ np.linalg.solve(complement, transposed @ own)
    return found


def _complement(hat: Array) -> Array:
    """`I - H`, slightly enlarged, so that it can be inverted."""
    enlarged: Array = (1 + _SMALLEST_DIVISOR) * np.eye(hat.shape[-1]) - hat
    return enlarged


def means_logits(
    logits: Array,
    x: Array,
    y: Array,
    blocks: Blocks,
    logits_of: Callable[[Array, Array, Array], Array],
) -> Array:
    """Computes the logits of each unit by the class means of the other units.

    Args:
      logits: Logits [n, k] that single examples keep, and classes that are in no other unit.
      x: Features, float [n, d].
      y: One-hot labels, [n, k].
      blocks: Units, as `blocks_of` returns them.
      logits_of: Function of features [m, d], sums [k, d] and counts [k] of the classes that returns
        logits [m, k].

    Returns:
      float [n, k].
    """
    sums, counts, found = y.T @ x, y.sum(axis=0), logits.copy()
    for rows in (rows for block in blocks for rows in block):
        others = counts - y[rows].sum(axis=0)
        held_out = logits_of(x[rows], sums - y[rows].T @ x[rows], np.maximum(others, 1))
        found[rows] = np.where(others > 0, held_out, logits[rows])
    return found
