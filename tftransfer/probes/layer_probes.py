"""Which stage of a backbone knows most about some data: a probe on each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.data.examples import Examples
from tftransfer.data.groups import units
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.models.inference import compiled
from tftransfer.models.network import FEATURES, Network
from tftransfer.probes.cross_validation import folds

_FOLDS, _BATCH, _SAMPLE = 5, 64, 200


def pooled_layer_features(network: Network, examples: Examples) -> dict[str, np.ndarray]:
    """The pooled output of each stage by its name, and `features`, float32 [n, d] each.

    One pass through the network, in inference.
    """
    tensors = {
        stage.name: network.pooled(stage.name, f"{stage.name}_pooled")
        for stage in network.backbone.stages
    }
    tensors[FEATURES] = network.tensor(FEATURES)
    forward = compiled(keras.Model(network.backbone.model.inputs, tensors))
    inputs = InputPipeline(examples, network.backbone.preprocessor, keep=False)
    outputs = [
        {name: np.asarray(value) for name, value in forward(batch).items()}
        for batch in inputs.batches(
            np.arange(len(examples)), inputs.preprocessor.scaled_batch_size(_BATCH)
        )
    ]
    return {name: np.concatenate([part[name] for part in outputs]) for name in tensors}


def probe_sampled_layers(network: Network, examples: Examples, seed: int = 0) -> dict[str, Any]:
    """As `probe_layers`, on some 200 examples of at most 40 classes.

    Returns:
      `accuracy` by stage, and the number of `examples`; empty where there is nothing to compare.
    """
    if examples.problem_type is not ProblemType.SINGLE_LABEL or len(network.backbone.stages) < 2:
        return {}
    sample = _sample(examples, seed)
    if not len(sample):
        return {}
    some = examples.keep(sample)
    found = probe_layers(pooled_layer_features(network, some), some, seed)
    return {"accuracy": found, "examples": len(some)} if found else {}


def _sample(examples: Examples, seed: int) -> np.ndarray:
    """Indices of as many of each class, of no more classes than have enough that way."""
    rng = np.random.default_rng(seed)
    usable = rng.permutation(_usable(examples))
    classes = rng.permutation(np.unique(examples.labels[usable]))[: _SAMPLE // _FOLDS]
    each = _SAMPLE // max(1, len(classes))
    found = [usable[examples.labels[usable] == label][:each] for label in classes]
    return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)


def _usable(examples: Examples) -> np.ndarray:
    """Indices of the labelled examples that are not the test's, of classes of five or more."""
    free = np.flatnonzero(np.isin(examples.splits, ("train", "val")))
    counts = np.bincount(examples.labels[free], minlength=len(examples.classes))
    return free[counts[examples.labels[free]] >= _FOLDS]


def linear_probe(problem_type: ProblemType = ProblemType.SINGLE_LABEL) -> Any:
    """Of scikit-learn: a regression on standardised features, with a strong penalty."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model: Any = LogisticRegression(C=0.01, solver="newton-cg")
    if problem_type is ProblemType.REGRESSION:
        model = Ridge(alpha=100.0)
    elif problem_type is ProblemType.MULTI_LABEL:
        model = OneVsRestClassifier(model)
    return make_pipeline(StandardScaler(), model)


def probe_layers(
    features_by_layer: Mapping[str, np.ndarray], examples: Examples, seed: int = 0
) -> dict[str, float]:
    """Accuracy of a linear probe on each stage, cross-validated; groups and copies are not parted.

    Args:
      features_by_layer: of `pooled_layer_features`.
      examples: of single labels; those of classes of fewer than five, of the test split, and those
        without a label are left out.
      seed: of the folds.

    Returns:
      By the stage's name; empty where there are too few examples or groups: each fold is to leave
      two classes to learn.
    """
    from sklearn.model_selection import cross_val_score
    from threadpoolctl import threadpool_limits

    usable = _usable(examples)
    labels = examples.labels[usable]
    splits = folds(labels, np.asarray(units(examples))[usable], _FOLDS, seed=seed)
    if not splits:
        return {}
    model = linear_probe()
    with threadpool_limits(1):
        return {
            name: float(cross_val_score(model, values[usable], labels, cv=splits).mean())
            for name, values in features_by_layer.items()
            if name != FEATURES
        }
