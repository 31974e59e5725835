"""How far two domains lie apart in some features, by a discriminator that is cross-validated."""

from __future__ import annotations

from typing import Any

import numpy as np

_FOLDS, _MOST = 3, 4000
# Beyond it a few examples would decide everything.
_MOST_WEIGHT = 10.0


def proxy_a_distance(source: np.ndarray, target: np.ndarray, seed: int = 0) -> float:
    """`2 (1 - 2 error)` of a linear discriminator: 0 alike, 2 apart (Ben-David et al., 2007).

    Args:
      source: features of the one domain, float [n, d].
      target: of the other, float [m, d].
      seed: of the folds.
    """
    said, truth = _discriminated(_some(source, seed), _some(target, seed), seed)
    errors = [np.mean((said[truth == k] >= 0.5) != k) for k in (0, 1)]
    return float(2 * (1 - 2 * np.mean(errors)))


def density_ratios(source: np.ndarray, target: np.ndarray, seed: int = 0) -> np.ndarray:
    """`p_target(x) / p_source(x)` of the source's examples, of mean 1, float32 [n].

    By the odds of a discriminator that was not trained on the example (Bickel et al., 2007), to
    which both domains count alike, however many examples each has; at most 10 before the mean.

    Args:
      source: features of the one domain, float [n, d].
      target: of the other, float [m, d].
      seed: of the folds.
    """
    said, truth = _discriminated(source, target, seed)
    odds = said[truth == 0] / np.maximum(1 - said[truth == 0], 1e-6)
    ratios = np.minimum(odds, _MOST_WEIGHT)
    return (ratios / max(float(ratios.mean()), 1e-12)).astype(np.float32)


def _discriminated(
    source: np.ndarray, target: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the target for every example, by a model of other folds; and the truth.

    With a single example of a domain nothing can be learnt of it: a half for all.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    features = np.concatenate([source, target])
    truth = np.repeat([0, 1], [len(source), len(target)])
    fewest = min(len(source), len(target))
    if fewest < 2:
        return np.full(len(truth), 0.5), truth
    folds = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=seed)
    with threadpool_limits(1):
        said = cross_val_predict(_model(), features, truth, cv=folds, method="predict_proba")
    return said[:, 1], truth


def _model() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=200)
    )


def _some(features: np.ndarray, seed: int) -> np.ndarray:
    if len(features) <= _MOST:
        return features
    return features[np.random.default_rng(seed).choice(len(features), _MOST, replace=False)]
