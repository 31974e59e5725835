"""Linear classifiers of frozen features, solved at once instead of by gradient descent.

Every solver takes features float [n, d], targets [n, k] (one-hot, 0/1 or values), the kind of
target, and the unit of each example, [n], as of `groups.units`; it returns the kernel, float32
[d, k], and the bias, float32 [k], of a Dense layer: `logits = features @ kernel + bias`.
A class without an example has a kernel of zeros and the bias `ABSENT`. A UserError says which
arrays do not fit, or which kind of target is refused.

The scores of classes are calibrated: their temperature is fitted on the logits that examples have
when their unit is left out (alone, where there are no units), of those whose class has another;
these are exact and cost no refitting. With one example of each class there are none, and the
scores are vague.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.metrics.calibration import fit_temperature
from tftransfer.metrics.probabilities import log_loss
from tftransfer.probes import leave_one_out
from tftransfer.probes.cross_validation import Units, fewest_units, folds
from tftransfer.utils.errors import UserError
from tftransfer.utils.registry import Registry

ABSENT = -1e4

Solution = tuple[np.ndarray, np.ndarray]
SOLVERS: Registry[Callable[..., Solution]] = Registry("closed-form classifier")

_KINDS = (ProblemType.SINGLE_LABEL, ProblemType.MULTI_LABEL, ProblemType.REGRESSION)
# Penalties of the standardised logistic regression, strong ones first; 1 / C of scikit-learn.
_PENALTIES = tuple(float(p) for p in np.geomspace(1e4, 1e-1, 11))
_PENALTY, _PRIOR_ROWS = 100.0, 100
_FOLDS, _LEAST_PER_CLASS, _TINY = 5, 3, 1e-10


@SOLVERS.register("prototypes")
def prototypes(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    scale: float | None = None,
    units: Units = (),
) -> Solution:
    """Nearest class mean (Snell et al., 2017).

    `logits = -scale |x - c|^2`, up to a constant of the row: `scale (2 x.c - |c|^2)`.
    A scale of None is calibrated on leave-one-out means.
    """
    x, y, present = _prepared(features, targets, problem_type, _KINDS[:1])
    with _threads().limit(limits=1):
        x, middle = _centred(x)
        means = (y.T @ x) / y.sum(axis=0)[:, None]
        kernel, bias = 2 * means.T, -(means**2).sum(axis=1)
        if scale is None:
            near = x @ kernel + bias - (x**2).sum(axis=1, keepdims=True)
            count = y.sum(axis=0)
            away = near * (count / np.maximum(count - 1, 1)) ** 2  # from the mean of the others
            away = leave_one_out.means_logits(
                np.where(y > 0, away, near), x, y, leave_one_out.blocks_of(units), _minus_distances
            )
            scale = 1 / _temperature(
                away, near, y, problem_type, leave_one_out.usable(y, problem_type, units)
            )
    bias = bias - middle @ kernel
    return _over_all(scale * kernel, scale * bias, present)


def _minus_distances(x: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    means = sums / counts[:, None]
    return 2 * x @ means.T - (means**2).sum(axis=1) - (x**2).sum(axis=1, keepdims=True)


@SOLVERS.register("cosine")
def cosine(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    scale: float | None = None,
    units: Units = (),
) -> Solution:
    """Nearest class mean by cosine: `logits = scale x.c / (|x| |c|)` (Gidaris and Komodakis, 2018).

    The kernel holds unit means of unit features: **it is for features divided by their L2
    norm**, which the caller sees to; they are divided here too. The bias is 0.

    A scale of None is calibrated on leave-one-out means.
    """
    from sklearn.preprocessing import normalize

    x, y, present = _prepared(features, targets, problem_type, _KINDS[:1])
    with _threads().limit(limits=1):
        x = normalize(x)
        sums = y.T @ x
        kernel = normalize(sums).T
        if scale is None:
            near, own, length = x @ kernel, x @ sums.T, (x**2).sum(axis=1, keepdims=True)
            rest = np.maximum((sums**2).sum(axis=1) - 2 * own + length, _TINY)  # |sum - x|^2
            away = leave_one_out.means_logits(
                np.where(y > 0, (own - length) / np.sqrt(rest), near),
                x,
                y,
                leave_one_out.blocks_of(units),
                lambda x, sums, _: x @ normalize(sums).T,
            )
            scale = 1 / _temperature(
                away, near, y, problem_type, leave_one_out.usable(y, problem_type, units)
            )
    return _over_all(scale * kernel, np.zeros(kernel.shape[1]), present)


@SOLVERS.register("ridge")
def ridge(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    strength: float | None = None,
    temperature: float | None = None,
    units: Units = (),
) -> Solution:
    """Ridge regression to the targets (Hoerl and Kennard, 1970), its intercept not penalised.

    `|Y - XW - b|^2 + strength |W|^2`, divided by a temperature for classes; several labels
    are -1 and 1. In dual form when n < d.

    Args:
      strength: of the penalty; None takes the one with the least leave-one-out error
        (Allen's PRESS, 1974), or the mean squared norm when no class has two examples or units.
      temperature: divides the regression's values; None calibrates it; 1 for regression.
      units: of which one is left out.
    """
    x, y, present = _prepared(features, targets, problem_type, _KINDS)
    wanted = 2 * y - 1 if problem_type == ProblemType.MULTI_LABEL else y
    with _threads().limit(limits=1):
        x, middle = _centred(x)
        space, mean = row_space(x), wanted.mean(axis=0)
        blocks, usable = (
            leave_one_out.blocks_of(units),
            leave_one_out.usable(y, problem_type, units),
        )
        away = blocks, leave_one_out.grams(space[0], blocks)
        if strength is None:
            strength = _best_strength(space, wanted - mean, usable, away)
        weights, residuals = _ridge(space, wanted - mean, strength, away)
        kernel = space[1] @ weights
        if problem_type == ProblemType.REGRESSION:
            temperature = 1.0
        elif temperature is None:
            temperature = _temperature(
                wanted - residuals, x @ kernel + mean, y, problem_type, usable
            )
    bias = mean - middle @ kernel
    return _over_all(kernel / temperature, bias / temperature, present)


@SOLVERS.register("logistic")
def logistic(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    strength: float | None = None,
    units: Units = (),
) -> Solution:
    """Multinomial logistic regression on standardised features, by L-BFGS (Liu and Nocedal, 1989).

    `sum of log losses + strength |W|^2 / 2`: the strength is 1 / C of scikit-learn. Means and
    deviations of the columns (these drawn to their mean where rows are few) are folded into
    kernel and bias. With several labels, each is a regression of its own; one that is always
    there has the constant logit log(n + 1).
    A strength of None is the one with the least log loss in stratified cross-validation that parts
    no unit, [n] as of `groups.units`, or 100 where a class has fewer than 3 examples or units.
    """
    x, y, present = _prepared(features, targets, problem_type, _KINDS[:2])
    with _threads().limit(limits=1):
        x, middle = _centred(x)
        deviation = _deviation(x)
        x /= deviation
        basis = None
        # The penalty keeps the solution in the span of the rows: n columns say all that d do.
        if len(x) < x.shape[1] and x.any():
            x, basis, _ = row_space(x)
        solve = _one_vs_rest if problem_type == ProblemType.MULTI_LABEL else _softmax_regression
        weights, bias = solve(x, y, strength, units)
        kernel = (weights if basis is None else basis @ weights) / deviation[:, None]
    return _over_all(kernel, bias - middle @ kernel, present)


def row_space(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates [n, r], orthonormal basis [d, r] and squared singular values [r] of rows [n, d].

    Nothing is lost: `x = coordinates @ basis.T`. By x x^T (dual) when n < d, else by x^T x.
    """
    dual = len(x) < x.shape[1]
    values, vectors = np.linalg.eigh(x @ x.T if dual else x.T @ x)
    kept = values > values.max() * len(values) * np.finfo(float).eps
    squares, vectors = values[kept], vectors[:, kept]
    basis = x.T @ (vectors / np.sqrt(squares)) if dual else vectors
    return x @ basis, basis, squares


def _ridge(space: Sequence[np.ndarray], y: np.ndarray, strength: float, away: tuple) -> Solution:
    """Weights [r, k] in the row space, and residuals [n, k] of each example's unit left out.

    `away` is what the second takes: the blocks of units, and their Gram matrices.
    """
    coordinates, _, squares = space
    shrunk = 1 / (squares + strength)
    weights = shrunk[:, None] * (coordinates.T @ y)
    return weights, leave_one_out.residuals(coordinates, shrunk, y - coordinates @ weights, *away)


def _best_strength(
    space: Sequence[np.ndarray], y: np.ndarray, rows: np.ndarray, away: tuple
) -> float:
    size = space[2].sum() / len(y) or 1.0
    if not rows.any():
        return size
    variance = np.maximum(y.var(axis=0), _TINY)
    grid = size * np.geomspace(1e-4, 10.0 * len(y), 25)
    errors = [(_ridge(space, y, s, away)[1][rows] ** 2 / variance).mean() for s in grid]
    return float(grid[int(np.argmin(errors))])


def _deviation(x: np.ndarray) -> np.ndarray:
    """Of each column [d], as if `_PRIOR_ROWS` more rows had the mean variance of the columns.

    Deviations of a handful of rows are noise: with them one-shot accuracy was 0.58, not 0.90.
    """
    own = x.var(axis=0)
    variance = (len(x) * own + _PRIOR_ROWS * own.mean()) / (len(x) + _PRIOR_ROWS)
    return np.sqrt(np.where(variance > 0, variance, 1))


def _softmax_regression(
    x: np.ndarray, y: np.ndarray, penalty: float | None, units: Units
) -> Solution:
    if y.shape[1] == 1:
        return np.zeros((x.shape[1], 1)), np.zeros(1)
    weights, bias = _regression(x, y.argmax(axis=1), penalty, units)
    halves = np.array([-0.5, 0.5]) if y.shape[1] == 2 else 1  # scikit-learn has one logit for two
    return weights * halves, bias * halves


def _one_vs_rest(x: np.ndarray, y: np.ndarray, penalty: float | None, units: Units) -> Solution:
    kernel, bias = np.zeros((x.shape[1], y.shape[1])), np.full(y.shape[1], np.log(len(y) + 1.0))
    for column, truth in enumerate(y.T > 0.5):
        if not truth.all():
            weights, level = _regression(x, truth.astype(int), penalty, units)
            kernel[:, column], bias[column] = weights[:, 0], level[0]
    return kernel, bias


def _regression(x: np.ndarray, labels: np.ndarray, penalty: float | None, units: Units) -> Solution:
    model = _model(_best_penalty(x, labels, units) if penalty is None else penalty).fit(x, labels)
    return model.coef_.T, model.intercept_


def _model(penalty: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1 / penalty, tol=1e-6, max_iter=2000, warm_start=True)


def _best_penalty(x: np.ndarray, labels: np.ndarray, units: Units) -> float:
    count, fewest = int(labels.max()) + 1, fewest_units(labels, units)
    if fewest < _LEAST_PER_CLASS:
        return _PENALTY
    fits = [
        (_model(1.0), *parts) for parts in folds(labels, units, min(_FOLDS, fewest), classes=count)
    ]
    if not fits:
        return _PENALTY
    truth, found, least = np.eye(count)[labels], _PENALTY, np.inf
    for penalty in _PENALTIES:
        for model, train, _ in fits:
            model.set_params(C=1 / penalty).fit(x[train], labels[train])
        loss = sum(log_loss(m.predict_proba(x[test]), truth[test]) for m, _, test in fits)
        if loss > least:  # the loss has one valley; weak penalties are the slow ones
            break
        found, least = penalty, loss
    return found


def _temperature(
    away: np.ndarray, whole: np.ndarray, y: np.ndarray, problem_type: ProblemType, rows: np.ndarray
) -> float:
    """Their spread, times what fits the logits [n, k] of `rows`, which can be left out."""
    logits = np.where(rows[:, None], away, whole)
    exclusive = problem_type == ProblemType.SINGLE_LABEL
    level = logits.mean(axis=1, keepdims=True) if exclusive else 0.0
    spread = float(np.sqrt(((logits - level) ** 2).mean())) or 1.0
    return spread * fit_temperature(logits[rows] / spread, y[rows], problem_type)


def _centred(x: np.ndarray) -> Solution:
    """Float [n, d] less its mean [d]; a constant column is exactly 0, not rounding to blow up."""
    centred = x - (middle := x.mean(axis=0))
    centred[:, np.ptp(x, axis=0) <= 1e-6 * np.abs(x).max(axis=0)] = 0
    return centred, middle


def _prepared(
    features: np.ndarray,
    targets: np.ndarray,
    problem_type: ProblemType,
    kinds: Sequence[ProblemType],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both in float64, the targets of classes that have examples, and which those are."""
    x, y = np.asarray(features, np.float64), np.asarray(targets, np.float64)
    if problem_type not in kinds:
        raise UserError(
            f"This closed form is for {' and '.join(kinds)} targets, not for {problem_type}.",
            "Take ridge, which is for all kinds of target.",
        )
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
        raise UserError(
            f"Features are {list(x.shape)} and targets {list(y.shape)}.",
            "Give [n, d] and [n, k] with the same n > 0; class indices as one-hot rows.",
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UserError("Features or targets are not all finite.", "Leave those rows out.")
    present: np.ndarray = np.logical_or(problem_type == ProblemType.REGRESSION, y.any(axis=0))
    return x, y[:, present], present


def _over_all(kernel: np.ndarray, bias: np.ndarray, present: np.ndarray) -> Solution:
    wide = np.zeros((len(kernel), len(present)), np.float32)
    level = np.full(len(present), ABSENT, np.float32)
    wide[:, present], level[present] = kernel, bias
    return wide, level


@functools.cache
def _threads() -> Any:
    """To limit NumPy's own threads to 1: they wait for TensorFlow's, 15 times as long.

    Found once: a search takes 5 ms, and scikit-learn's libraries must be loaded to be found.
    """
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
