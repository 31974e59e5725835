"""A linear probe: a strongly regularized linear model on standardized features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tftransfer.core.problem_types import ProblemType, Task
from tftransfer.core.typing import Array
from tftransfer.probes.cross_validation import Fold

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# Inverse of the penalty on the weights of a classifier, as in scikit-learn.
_C = 0.01
_RIDGE_PENALTY = 100.0
_MAX_LBFGS_STEPS = 200
# Penalties to select from, 1 / C of scikit-learn, in descending order.
_PENALTIES = tuple(float(p) for p in np.geomspace(1e4, 1e-1, 11))
_SMALLEST_PROBABILITY = 1e-7


class LinearProbe:
    """Logistic regression for each label, task or problem, or ridge regression, on features.

    Args:
      problem_type: What the labels are.
      tasks: Tasks of the columns, for `multi_task`.
      balanced: Whether every class has the same total weight, however many examples it has.
    """

    def __init__(
        self,
        problem_type: ProblemType = ProblemType.SINGLE_LABEL,
        tasks: Sequence[Task] = (),
        *,
        balanced: bool = False,
    ):
        self._problem_type = problem_type
        self._tasks = tasks
        self._balanced = balanced
        self._outputs = 0
        self._models: list[Pipeline] = []

    def fit(self, features: Array, targets: Array) -> LinearProbe:
        """Fits the probe.

        Args:
          features: Pooled features, float [n, d].
          targets: Targets as `ProblemType.targets` returns them, float [n, k].
        """
        from threadpoolctl import threadpool_limits

        self._outputs = targets.shape[1]
        # NumPy's threads wait for TensorFlow's: with several, a fit takes ten times as long.
        with threadpool_limits(1):
            self._models = [
                _model(self._problem_type, self._balanced).fit(
                    features[rows], _labels(some, self._problem_type)
                )
                for rows, some in self._subproblems(targets)
            ]
        return self

    def _subproblems(self, targets: Array) -> list[tuple[Array, Array]]:
        """Indices and targets of the examples that each model is fitted on."""
        if not self._tasks:
            return [(np.arange(len(targets)), targets)]
        columns = [targets[:, task.columns] for task in self._tasks]
        known = [np.flatnonzero(each.any(axis=1)) for each in columns]
        return [(rows, each[rows]) for rows, each in zip(known, columns)]

    def predict(self, features: Array) -> Array:
        """Returns scores as `ProblemType.probabilities` does, float64 [n, k]."""
        if self._tasks:
            pairs = zip(self._models, self._tasks, strict=True)
            scores = [_class_scores(model, features, task.count) for model, task in pairs]
            return np.concatenate(scores, axis=1)
        (model,) = self._models
        if self._problem_type is ProblemType.REGRESSION:
            values: Array = model.predict(features).reshape(len(features), -1)
            return values
        if self._problem_type is ProblemType.MULTI_LABEL:
            probabilities: Array = model.predict_proba(features)
            return probabilities
        return _class_scores(model, features, self._outputs)


def cross_validated_scores(
    features: Array, labels: Array, splits: Sequence[Fold], *, balanced: bool = False
) -> Array:
    """Scores every example by a probe that was fitted on the other folds.

    Args:
      features: Pooled features, float [n, d].
      labels: Class indices, int [n].
      splits: Folds whose test indices hold every example once.
      balanced: Whether every class has the same total weight, however many examples it has.

    Returns:
      float64 [n, classes]; 0 for a class that is not in the other folds.
    """
    from threadpoolctl import threadpool_limits

    classes = int(labels.max()) + 1
    scores = np.zeros((len(labels), classes))
    model = _model(ProblemType.SINGLE_LABEL, balanced)
    with threadpool_limits(1):
        for train, test in splits:
            model.fit(features[train], labels[train])
            scores[test] = _class_scores(model, features[test], classes)
    return scores


def selected_scores(features: Array, labels: Array, splits: Sequence[Fold]) -> Array:
    """Scores every example by a probe of the other folds, whose penalty has the smallest log loss.

    With a fixed penalty the probabilities are too certain for few or noisy labels, and too
    uncertain for many.

    Args:
      features: Pooled features, float [n, d].
      labels: Class indices, int [n].
      splits: Folds whose test indices hold every example once.

    Returns:
      float64 [n, classes]; 0 for a class that is not in the other folds.
    """
    from threadpoolctl import threadpool_limits

    classes = int(labels.max()) + 1
    # Each starts from the weights of the penalty before.
    models = [_warm_model() for _ in splits]
    best, smallest = np.zeros((len(labels), classes)), np.inf
    for penalty in _PENALTIES:
        scores = np.zeros_like(best)
        with threadpool_limits(1):
            for model, (train, test) in zip(models, splits):
                model.set_params(logisticregression__C=1 / penalty)
                model.fit(features[train], labels[train])
                scores[test] = _class_scores(model, features[test], classes)
        given = scores[np.arange(len(labels)), labels]
        loss = -np.log(np.maximum(given, _SMALLEST_PROBABILITY)).mean()
        if loss > smallest:  # the loss has one minimum, and small penalties take the longest
            break
        best, smallest = scores, loss
    return best


def _labels(targets: Array, problem_type: ProblemType) -> Array:
    if problem_type is ProblemType.REGRESSION:
        return targets
    return targets.astype(int) if problem_type is ProblemType.MULTI_LABEL else targets.argmax(1)


def _class_scores(model: Pipeline, features: Array, classes: int) -> Array:
    scores = np.zeros((len(features), classes))
    scores[:, model.classes_] = model.predict_proba(features)
    return scores


def _warm_model() -> Pipeline:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(max_iter=_MAX_LBFGS_STEPS, warm_start=True)
    return make_pipeline(StandardScaler(), model)


def _model(problem_type: ProblemType, balanced: bool) -> Pipeline:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if problem_type is ProblemType.REGRESSION:
        return make_pipeline(StandardScaler(), Ridge(alpha=_RIDGE_PENALTY))
    # L-BFGS is three times as fast with two classes; Newton's method needs no limit of steps.
    options = (
        {"class_weight": "balanced", "max_iter": _MAX_LBFGS_STEPS}
        if balanced
        else {"solver": "newton-cg"}
    )
    model = LogisticRegression(C=_C, **options)
    if problem_type is ProblemType.MULTI_LABEL:
        model = OneVsRestClassifier(model)
    return make_pipeline(StandardScaler(), model)
