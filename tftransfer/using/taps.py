"""Which stage of a backbone knows most about some data: a probe on each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tftransfer.building.network import FEATURES, Network, compiled
from tftransfer.parts.data.examples import Examples
from tftransfer.parts.inputs import Inputs

_FOLDS, _BATCH, _SAMPLE = 5, 64, 200


def pooled_taps(network: Network, examples: Examples) -> dict[str, np.ndarray]:
    """The pooled output of each stage by its name, and `features`, float32 [n, d] each.

    One pass through the network, in inference.
    """
    tensors = {
        stage.name: network.pooled(stage.name, f"{stage.name}_pooled")
        for stage in network.backbone.stages
    }
    tensors[FEATURES] = network.tensor(FEATURES)
    forward = compiled(keras.Model(network.backbone.model.inputs, tensors))
    inputs = Inputs(examples, network.backbone.form, keep=False)
    parts = [
        {name: np.asarray(value) for name, value in forward(batch).items()}
        for batch in inputs.batches(np.arange(len(examples)), _BATCH)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in tensors}


def sampled_taps(network: Network, examples: Examples, seed: int = 0) -> dict[str, Any]:
    """As `compared_taps`, on at most 200 examples that are not the test's.

    Returns:
      `accuracy` by stage, and the number of `examples`; empty where there is nothing to compare.
    """
    if examples.target != "single_label" or len(network.backbone.stages) < 2:
        return {}
    free = np.random.default_rng(seed).permutation(np.flatnonzero(examples.parts != "test"))
    some = examples.keep(np.sort(free[:_SAMPLE]))
    found = compared_taps(pooled_taps(network, some), some, seed)
    return {"accuracy": found, "examples": len(some)} if found else {}


def compared_taps(
    taps: Mapping[str, np.ndarray], examples: Examples, seed: int = 0
) -> dict[str, float]:
    """Accuracy of a linear probe on each stage, cross-validated; groups are not parted.

    Args:
      taps: of `pooled_taps`.
      examples: of single labels; those of classes of fewer than five, and of the test part, are
        left out.
      seed: of the folds.

    Returns:
      By the stage's name; empty where there are too few examples or groups.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    free = np.flatnonzero(examples.parts != "test")
    counts = np.bincount(examples.labels[free], minlength=len(examples.classes))
    usable = free[counts[examples.labels[free]] >= _FOLDS]
    groups = np.asarray(examples.groups if len(examples.groups) else examples.sha256)[usable]
    folds = min(_FOLDS, len(np.unique(groups)))
    if folds < 2 or len(np.unique(examples.labels[usable])) < 2:
        return {}
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, solver="newton-cg"))
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    labels = examples.labels[usable]
    with threadpool_limits(1):
        return {
            name: float(
                cross_val_score(model, values[usable], labels, groups=groups, cv=splits).mean()
            )
            for name, values in taps.items()
            if name != FEATURES
        }
