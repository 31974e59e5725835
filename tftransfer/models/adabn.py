"""Adaptive BatchNorm: statistics measured on other data, as each layer receives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras

from tftransfer.core.typing import KerasLayer, KerasModel, TensorLike
from tftransfer.utils.keras_internals import layers_inside


def measure_statistics(
    model: KerasModel, layers: Sequence[KerasLayer], batches: Iterable[TensorLike]
) -> int:
    """Sets the mean and variance of BatchNorm layers to those of other data (Li et al., 2017).

    Each batch is normalized by its own statistics, as in training; the layers keep the average of
    these over the batches. No other weight changes, and dropout is off.

    Args:
      model: The model that is run on each batch.
      layers: The layers of which all BatchNorm layers are measured.
      batches: Inputs of the model.

    Returns:
      The number of layers that were measured.
    """
    inner = [each for layer in layers for each in layers_inside(layer)]
    norms = [each for each in inner if isinstance(each, keras.layers.BatchNormalization)]
    settings = [(layer, layer.momentum, layer.trainable) for layer in norms]
    dropouts = [each for each in layers_inside(model) if isinstance(each, keras.layers.Dropout)]
    rates = [layer.rate for layer in dropouts]
    for layer in dropouts:
        layer.rate = 0.0
    for layer in norms:
        layer.trainable = True
    for number, batch in enumerate(batches):
        for layer in norms:
            layer.momentum = number / (number + 1)  # so that it holds the mean of all batches
        model(batch, training=True)
    for layer, momentum, trainable in settings:
        layer.momentum, layer.trainable = momentum, trainable
    for layer, rate in zip(dropouts, rates, strict=True):
        layer.rate = rate
    return len(norms)
