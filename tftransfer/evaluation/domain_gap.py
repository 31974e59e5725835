"""Distance and density ratio of two domains, by a cross-validated linear discriminator."""

from __future__ import annotations

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.probes.linear_probe import cross_validated_scores

_FOLDS = 3
# Examples of a domain that the distance is measured on; more change it little.
_MAX_EXAMPLES = 4000
# Bound on a density ratio: without it a few examples would have almost all the weight.
_MAX_RATIO = 10.0
_SMALLEST_PROBABILITY = 1e-6


def proxy_a_distance(source: Array, target: Array, seed: int = 0) -> float:
    """Computes `2 (1 - 2 error)` of a discriminator of two domains (Ben-David et al., 2007).

    Args:
      source: Features of the source domain, float [n, d].
      target: Features of the target domain, float [m, d].
      seed: Seed of the sample and of the folds.

    Returns:
      0 for domains that cannot be distinguished, 2 for separate ones.
    """
    p_target, is_target = _discriminate(_sample(source, seed), _sample(target, seed), seed)
    errors = [np.mean((p_target[is_target == k] >= 0.5) != k) for k in (0, 1)]
    return float(2 * (1 - 2 * np.mean(errors)))


def density_ratios(source: Array, target: Array, seed: int = 0) -> Array:
    """Computes `p_target(x) / p_source(x)` of the source examples (Bickel et al., 2007).

    The ratio is the odds of a discriminator that was not fitted on the example and to which both
    domains have the same weight, at most 10, divided by its mean.

    Args:
      source: Features of the source domain, float [n, d].
      target: Features of the target domain, float [m, d].
      seed: Seed of the folds.

    Returns:
      float32 [n], with the mean 1.
    """
    p_target, is_target = _discriminate(source, target, seed)
    p_target = p_target[is_target == 0]
    ratios = np.minimum(p_target / np.maximum(1 - p_target, _SMALLEST_PROBABILITY), _MAX_RATIO)
    weights: Array = (ratios / max(float(ratios.mean()), 1e-12)).astype(np.float32)
    return weights


def _discriminate(source: Array, target: Array, seed: int) -> tuple[Array, Array]:
    """Probability of the target domain for every example, and whether it is in it, as 0 or 1.

    With one example of a domain there is nothing to cross-validate: all probabilities are 0.5.
    """
    from sklearn.model_selection import StratifiedKFold

    features = np.concatenate([source, target])
    is_target = np.repeat([0, 1], [len(source), len(target)])
    fewest = min(len(source), len(target))
    if fewest < 2:
        return np.full(len(is_target), 0.5), is_target
    splitter = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=seed)
    splits = list(splitter.split(features, is_target))
    scores = cross_validated_scores(features, is_target, splits, balanced=True)
    return scores[:, 1].astype(features.dtype), is_target


def _sample(features: Array, seed: int) -> Array:
    if len(features) <= _MAX_EXAMPLES:
        return features
    return features[np.random.default_rng(seed).choice(len(features), _MAX_EXAMPLES, replace=False)]
