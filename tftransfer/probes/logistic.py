"""Multinomial logistic regression of frozen features, with a cross-validated penalty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.metrics.probabilities import log_loss
from tftransfer.probes.cross_validation import Units, fewest_units, folds
from tftransfer.probes.solver_inputs import (
    Solution,
    center,
    one_thread,
    over_all_classes,
    prepare,
    row_space,
)

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

_PROBLEM_TYPES = (ProblemType.SINGLE_LABEL, ProblemType.MULTI_LABEL)
# Penalties on standardized features, in descending order; 1 / C of scikit-learn.
_PENALTIES = tuple(float(p) for p in np.geomspace(1e4, 1e-1, 11))
# Penalty where there is too little data for a cross-validation.
_DEFAULT_PENALTY = 100.0
_MIN_UNITS_PER_CLASS = 3
_FOLDS = 5
# Weight of the mean variance of all columns in the variance of each, in rows.
_PRIOR_ROWS = 100
_MAX_STEPS = 2000
_TOLERANCE = 1e-6


def logistic(
    features: Array,
    targets: Array,
    *,
    problem_type: ProblemType = ProblemType.SINGLE_LABEL,
    strength: float | None = None,
    units: Units = (),
) -> Solution:
    """Fits a multinomial logistic regression by L-BFGS (Liu & Nocedal, 1989).

    `sum of log losses + strength |W|^2 / 2` on standardized features. The deviation of a column is
    drawn to that of all columns where there are few rows; means and deviations are folded into
    kernel and bias. With several labels there is a regression for each; a label that all examples
    have has the constant logit log(n + 1).

    Args:
      features: float [n, d].
      targets: One-hot rows or 0 and 1, [n, k].
      problem_type: `single_label` or `multi_label`.
      strength: Penalty, 1 / C of scikit-learn. None takes the one with the smallest log loss in a
        stratified cross-validation that splits no unit, or 100 where a class has fewer than 3
        examples or units.
      units: Name of the unit of each example, [n]; empty where each example is a unit.

    Returns:
      Kernel float32 [d, k] and bias float32 [k].
    """
    x, y, present = prepare(features, targets, problem_type, _PROBLEM_TYPES)
    with one_thread():
        x, mean = center(x)
        deviation = _deviation(x)
        x /= deviation
        basis = None
        # The penalty keeps the solution in the span of the rows: n coordinates are enough.
        if len(x) < x.shape[1] and x.any():
            x, basis, _ = row_space(x)
        solve = _one_vs_rest if problem_type == ProblemType.MULTI_LABEL else _softmax_regression
        weights, bias = solve(x, y, strength, units)
        kernel = (weights if basis is None else basis @ weights) / deviation[:, None]
    return over_all_classes(kernel, bias - mean @ kernel, present)


def _deviation(x: Array) -> Array:
    """The deviation of each column [d], as if `_PRIOR_ROWS` more rows had the mean variance.

    Deviations of a handful of rows are noise: with them one-shot accuracy was 0.58, not 0.90.
    """
    own = x.var(axis=0)
    variance = (len(x) * own + _PRIOR_ROWS * own.mean()) / (len(x) + _PRIOR_ROWS)
    return np.sqrt(np.where(variance > 0, variance, 1))


def _softmax_regression(x: Array, y: Array, penalty: float | None, units: Units) -> Solution:
    if y.shape[1] == 1:
        return np.zeros((x.shape[1], 1)), np.zeros(1)
    weights, bias = _fit(x, y.argmax(axis=1), penalty, units)
    halves = np.array([-0.5, 0.5]) if y.shape[1] == 2 else 1  # scikit-learn has one logit for two
    return weights * halves, bias * halves


def _one_vs_rest(x: Array, y: Array, penalty: float | None, units: Units) -> Solution:
    kernel, bias = np.zeros((x.shape[1], y.shape[1])), np.full(y.shape[1], np.log(len(y) + 1.0))
    for column, truth in enumerate(y.T > 0.5):
        if not truth.all():
            weights, level = _fit(x, truth.astype(int), penalty, units)
            kernel[:, column], bias[column] = weights[:, 0], level[0]
    return kernel, bias


def _fit(x: Array, labels: Array, penalty: float | None, units: Units) -> Solution:
    model = _model(_best_penalty(x, labels, units) if penalty is None else penalty).fit(x, labels)
    return model.coef_.T, model.intercept_


def _model(penalty: float) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1 / penalty, tol=_TOLERANCE, max_iter=_MAX_STEPS, warm_start=True)


def _best_penalty(x: Array, labels: Array, units: Units) -> float:
    count, fewest = int(labels.max()) + 1, fewest_units(labels, units)
    if fewest < _MIN_UNITS_PER_CLASS:
        return _DEFAULT_PENALTY
    splits = folds(labels, units, min(_FOLDS, fewest), classes=count)
    if not splits:
        return _DEFAULT_PENALTY
    fits = [(_model(1.0), fit, test) for fit, test in splits]  # each starts from its last weights
    truth, best, smallest = np.eye(count)[labels], _DEFAULT_PENALTY, np.inf
    for penalty in _PENALTIES:
        for model, fit, _ in fits:
            model.set_params(C=1 / penalty).fit(x[fit], labels[fit])
        loss = sum(log_loss(m.predict_proba(x[test]), truth[test]) for m, _, test in fits)
        if loss > smallest:  # the loss has one minimum, and small penalties take the longest
            break
        best, smallest = penalty, loss
    return best
