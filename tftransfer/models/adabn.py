"""BatchNorm's statistics of other data, layer by layer as they are in use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from tftransfer.utils.keras_internals import layers_inside


def measure_statistics(model: keras.Model, layers: Sequence[Any], batches: Iterable[Any]) -> int:
    """Gives BatchNorm layers the mean and variance of what they see (AdaBN, Li et al., 2017).

    Each batch is normalised by its own statistics; what stays are their averages over the batches.
    Nothing else changes, and nothing is dropped.

    Args:
      model: run on each batch, in training.
      layers: whose BatchNorm layers are measured.
      batches: inputs of the model.

    Returns:
      How many layers were measured.
    """
    inner = [each for layer in layers for each in layers_inside(layer)]
    norms = [each for each in inner if isinstance(each, keras.layers.BatchNormalization)]
    kept = [(layer, layer.momentum, layer.trainable) for layer in norms]
    dropped = [each for each in layers_inside(model) if isinstance(each, keras.layers.Dropout)]
    rates = [layer.rate for layer in dropped]
    for layer in dropped:
        layer.rate = 0.0
    for layer in norms:
        layer.trainable = True
    for number, batch in enumerate(batches):
        for layer in norms:
            layer.momentum = number / (number + 1)  # the mean of all batches so far
        model(batch, training=True)
    for layer, momentum, trainable in kept:
        layer.momentum, layer.trainable = momentum, trainable
    for layer, rate in zip(dropped, rates, strict=True):
        layer.rate = rate
    return len(norms)
