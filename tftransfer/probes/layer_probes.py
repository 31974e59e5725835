"""Which stage of a backbone has the most useful features for some data: a probe on each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import keras
import numpy as np

from tftransfer.core.problem_types import ProblemType
from tftransfer.core.typing import Array
from tftransfer.data.examples import Examples
from tftransfer.data.groups import units
from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.models.inference import compiled
from tftransfer.models.network import FEATURES, Network
from tftransfer.probes.cross_validation import folds
from tftransfer.probes.linear_probe import cross_validated_scores

_FOLDS = 5
_BATCH_EXAMPLES = 64
_SAMPLE_EXAMPLES = 200


class SampledProbes(TypedDict):
    """Accuracies of probes on a sample of the examples.

    Attributes:
      accuracy: Accuracy by the name of the stage.
      examples: Number of examples in the sample.
    """

    accuracy: dict[str, float]
    examples: int


def pooled_layer_features(network: Network, examples: Examples) -> dict[str, Array]:
    """Computes the pooled output of every stage, and `features`, in one pass in inference.

    Returns:
      float32 [n, d] by the name of the stage.
    """
    tensors = {
        stage.name: network.pooled(stage.name, f"{stage.name}_pooled")
        for stage in network.backbone.stages
    }
    tensors[FEATURES] = network.tensor(FEATURES)
    forward = compiled(keras.Model(network.backbone.model.inputs, tensors))
    inputs = InputPipeline(examples, network.backbone.preprocessor, keep=False)
    size = inputs.preprocessor.scaled_batch_size(_BATCH_EXAMPLES)
    outputs = [
        {name: np.asarray(value) for name, value in forward(batch).items()}
        for batch in inputs.batches(np.arange(len(examples)), size)
    ]
    return {name: np.concatenate([each[name] for each in outputs]) for name in tensors}


def probe_sampled_layers(
    network: Network, examples: Examples, seed: int = 0
) -> SampledProbes | None:
    """Probes every stage on about 200 examples of at most 40 classes; see `probe_layers`.

    Args:
      network: Network with the weights of its source.
      examples: Examples of any problem type.
      seed: Seed of the sample and of the folds.

    Returns:
      None where there is nothing to compare: one stage, too few examples, or other labels than
      single ones.
    """
    single = examples.problem_type is ProblemType.SINGLE_LABEL
    if not single or len(network.backbone.stages) < 2:
        return None
    sample = examples.keep(_sample(examples, seed))
    if not len(sample):
        return None
    accuracy = probe_layers(pooled_layer_features(network, sample), sample, seed)
    return {"accuracy": accuracy, "examples": len(sample)} if accuracy else None


def _sample(examples: Examples, seed: int) -> Array:
    """Indices of equally many examples of each class, of few enough classes for the folds."""
    rng = np.random.default_rng(seed)
    usable = rng.permutation(_usable(examples))
    classes = rng.permutation(np.unique(examples.labels[usable]))[: _SAMPLE_EXAMPLES // _FOLDS]
    each = _SAMPLE_EXAMPLES // max(1, len(classes))
    found = [usable[examples.labels[usable] == label][:each] for label in classes]
    return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)


def _usable(examples: Examples) -> Array:
    """Indices of training and validation examples whose class has one for each fold."""
    free = np.flatnonzero(np.isin(examples.splits, ("train", "val")))
    counts = np.bincount(examples.labels[free], minlength=len(examples.classes))
    enough: Array = free[counts[examples.labels[free]] >= _FOLDS]
    return enough


def probe_layers(
    features_by_layer: Mapping[str, Array], examples: Examples, seed: int = 0
) -> dict[str, float]:
    """Computes the cross-validated accuracy of a linear probe on each stage.

    Groups and copies of an example are in the same fold.

    Args:
      features_by_layer: Features as `pooled_layer_features` returns them, float [n, d].
      examples: Examples with single labels; the test split, examples without a label, and classes
        of fewer than five examples are not used.
      seed: Seed of the folds.

    Returns:
      Mean accuracy over the folds, by the name of the stage; empty where there are too few
      examples or groups for folds that leave two classes to fit on.
    """
    usable = _usable(examples)
    labels = examples.labels[usable]
    splits = folds(labels, np.asarray(units(examples))[usable], _FOLDS, seed=seed)
    if not splits:
        return {}
    accuracies = {}
    for name, values in features_by_layer.items():
        if name != FEATURES:
            correct = cross_validated_scores(values[usable], labels, splits).argmax(1) == labels
            accuracies[name] = float(np.mean([correct[test].mean() for _, test in splits]))
    return accuracies
