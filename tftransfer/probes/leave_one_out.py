"""What a linear classifier says of examples that it was not fitted on, exact without refitting.

Examples of one unit, such as copies or the clips of a speaker, are left out together: one of them
would vouch for the others. Alone they are `[]` of blocks, and cost nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.probes.cross_validation import Units

# Units of one size, the indices of their examples: int [units, size].
Blocks = list[np.ndarray]
_TINY = 1e-10


def blocks_of(units: Units) -> Blocks:
    """The units of more than one example, by their size.

    Args:
      units: of each example, [n], as of `groups.units`; empty where each is its own.
    """
    if not len(units):
        return []
    _, own, counts = np.unique(np.asarray(units), return_inverse=True, return_counts=True)
    order = np.argsort(own, kind="stable")
    starts = np.cumsum(counts) - counts
    return [
        order[starts[counts == size][:, None] + np.arange(size)]
        for size in np.unique(counts)
        if size > 1
    ]


def usable(y: np.ndarray, problem_type: ProblemType, units: Units) -> np.ndarray:
    """Which examples can be left out, bool [n]: those whose class has another, of another unit.

    Args:
      y: targets, [n, k].
      problem_type: of `single_label`, one-hot; of others, all can where there are two units.
      units: as of `blocks_of`.
    """
    own = np.unique(np.asarray(units), return_inverse=True)[1] if len(units) else np.arange(len(y))
    if problem_type != ProblemType.SINGLE_LABEL:
        return np.full(len(y), len(np.unique(own)) > 1)
    labels = y.argmax(axis=1)
    pairs = np.unique(np.stack([labels, own]), axis=1)
    return np.bincount(pairs[0], minlength=y.shape[1])[labels] > 1


def grams(x: np.ndarray, blocks: Blocks) -> list[np.ndarray | None]:
    """Of blocks of more examples than columns, `x^T x` of each unit, [units, r + 1, r + 1], which
    serves all strengths; the first column of x is added, 1 / sqrt(n).
    """
    return [
        None
        if rows.shape[1] <= x.shape[1] + 1
        else np.stack([each.T @ each for each in map(lambda one: _with_level(x, one), rows)])
        for rows in blocks
    ]


def _with_level(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    level = np.full((*rows.shape, 1), len(x) ** -0.5)
    return np.concatenate([level, x[rows]], axis=-1)


def residuals(
    x: np.ndarray,
    shrunk: np.ndarray,
    fitted: np.ndarray,
    blocks: Blocks,
    products: Sequence[np.ndarray | None],
) -> np.ndarray:
    """Of a regression with the hat matrix `H = 1/n + x diag(shrunk) x^T`, as if refitted.

    Each unit without its own examples: `(I - H_uu)^-1 r_u`. Of single ones that is Allen's PRESS
    (1974).

    Args:
      x: features, [n, r].
      shrunk: [r].
      fitted: residuals `r` on all examples, [n, k].
      blocks: of `blocks_of`.
      products: of `grams`.
    """
    scale = np.sqrt(np.concatenate([[1.0], shrunk]))
    leverage = 1 / len(x) + np.einsum("nr,nr,r->n", x, x, shrunk)
    found = fitted / np.maximum(1 - leverage, _TINY)[:, None]
    for rows, product in zip(blocks, products, strict=True):
        some, own = _with_level(x, rows) * scale, fitted[rows]
        turned = some.swapaxes(1, 2)
        if product is None:
            found[rows] = np.linalg.solve(_rest(some @ turned), own)
        else:  # by Woodbury
            rest = _rest(scale[:, None] * product * scale)
            found[rows] = own + some @ np.linalg.solve(rest, turned @ own)
    return found


def _rest(hat: np.ndarray) -> np.ndarray:
    return (1 + _TINY) * np.eye(hat.shape[-1]) - hat


def means_logits(
    logits: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    blocks: Blocks,
    scored: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Of a classifier by means of classes, the logits of each unit by the means of the others.

    Args:
      logits: [n, k], which stay for single examples and for classes that are in no other unit.
      x: features, [n, d].
      y: one-hot, [n, k].
      blocks: of `blocks_of`.
      scored: logits of features [m, d] by the sums [k, d] and the counts [k] of classes.
    """
    sums, counts, found = y.T @ x, y.sum(axis=0), logits.copy()
    for rows in (rows for block in blocks for rows in block):
        left = counts - y[rows].sum(axis=0)
        other = scored(x[rows], sums - y[rows].T @ x[rows], np.maximum(left, 1))
        found[rows] = np.where(left > 0, other, logits[rows])
    return found
