"""What a constant guess and a linear probe reach, for comparison with a trained network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples
from tftransfer.probes.linear_probe import LinearProbe

Features = Callable[[Array], Array]

_MAX_MIRRORED_EXAMPLES = 500


def baselines(
    features: Features, examples: Examples, *, probe: bool, mirrored: Features | None = None
) -> dict[str, dict[str, float]]:
    """Evaluates a constant guess and a linear probe on the features of the source network.

    Args:
      features: Function of indices, int [m], that returns the pooled features of the network
        before training, float [m, d].
      examples: Examples with a training split.
      probe: Whether to fit the linear probe, which takes one forward pass over the data.
      mirrored: The same function for mirror images; None without them.

    Returns:
      `majority` and `linear_probe`, each the main metric on the test split by its name; without a
      test split, on the validation split. `linear_probe` also has the main metric on the
      `validation` split, and on the mirror images of that split as `mirrored`.
    """
    split = "test" if len(examples.where("test")) else "val"
    train, test = examples.where("train"), examples.where(split)
    if not len(test):
        return {}
    targets, metric = examples.targets(), examples.problem_type.main_metric

    def evaluated(scores: Array, indices: Array) -> float:
        return examples.problem_type.metrics(scores, targets[indices], examples.tasks)[metric]

    constant = np.repeat(targets[train].mean(axis=0, keepdims=True), len(test), axis=0)
    found = {"majority": {metric: evaluated(constant, test)}}
    if probe:
        model = LinearProbe(examples.problem_type, examples.tasks)
        model.fit(features(train), targets[train])
        splits = {metric: test, "validation": examples.where("val")}
        found["linear_probe"] = {
            name: evaluated(model.predict(features(indices)), indices)
            for name, indices in splits.items()
            if len(indices)
        }
        some = examples.where("val")[:_MAX_MIRRORED_EXAMPLES]
        if mirrored and len(some):
            found["linear_probe"]["mirrored"] = evaluated(model.predict(mirrored(some)), some)
    return found
