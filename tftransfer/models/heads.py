"""The layers of heads: linear ones with what stands before them, decoders, balances of tasks."""

from __future__ import annotations

import math
from typing import Any

import keras

from tftransfer.core.recipe import Head

_DECODED, _CHANNELS = 4, 32


def dense_layers(head: Head, units: int, *, regression: bool) -> list[Any]:
    """From a vector to the output.

    Args:
      head: whose layers these are.
      units: of a head that does not say.
      regression: a head that does not say its units ends in those of the labels.
    """
    layers: list[Any] = []
    if head.normalize:
        layers.append(keras.layers.UnitNormalization(name=f"{head.name}_unit_length"))
    for number, width in enumerate(head.hidden, 1):
        layers.append(keras.layers.Dense(width, "relu", name=f"{head.name}_hidden{number}"))
    if head.dropout:
        layers.append(keras.layers.Dropout(head.dropout, name=f"{head.name}_dropout"))
    layers.append(
        keras.layers.Dense(
            head.units or units,
            name=head.name,
            dtype="float32",
            kernel_initializer="zeros" if not head.hidden else "glorot_uniform",
        )
    )
    if regression and not head.units:
        # Keeps mean and variance as weights, which are stored with the others.
        layers.append(
            keras.layers.Normalization(invert=True, name=f"{head.name}_unit", dtype="float32")
        )
    return layers


def decoder_layers(name: str, size: int) -> list[Any]:
    """From a vector to a picture [size, size, 3], by doubling a map of 4 by 4 pixels."""
    layers = keras.layers
    doublings = max(1, math.ceil(math.log2(size / _DECODED)))
    channels = [max(16, 2 * _CHANNELS >> k) for k in range(doublings)]
    made: list[Any] = [
        layers.Dense(_DECODED * _DECODED * _CHANNELS * 2, "relu", name=f"{name}_dense"),
        layers.Reshape((_DECODED, _DECODED, _CHANNELS * 2), name=f"{name}_map"),
    ]
    for number, width in enumerate(channels, 1):
        made.append(layers.UpSampling2D(name=f"{name}_up{number}"))
        made.append(
            layers.Conv2D(width, 3, padding="same", activation="relu", name=f"{name}_conv{number}")
        )
    made.append(layers.Conv2D(3, 3, padding="same", dtype="float32", name=name))
    made.append(layers.Resizing(size, size, name=f"{name}_size", dtype="float32"))
    return made


@keras.saving.register_keras_serializable(package="tftransfer")
class Sample(keras.layers.Layer):
    """A draw from the normal distribution of means and logarithms of variances, [n, 2 d] to [n, d].

    In inference the means. The reparametrisation of Kingma & Welling (2014).
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, code: Any, training: bool = False) -> Any:
        """[n, 2 d] to [n, d]."""
        mean, log_variance = keras.ops.split(code, 2, axis=-1)
        if not training:
            return mean
        noise = keras.random.normal(
            keras.ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator
        )
        return mean + keras.ops.exp(0.5 * keras.ops.clip(log_variance, -20.0, 20.0)) * noise


@keras.saving.register_keras_serializable(package="tftransfer")
class Balance(keras.layers.Layer):
    """Trained numbers, begun at 0, the same for every row: [n, ...] to [n, units]."""

    def __init__(self, units: int, **options: Any):
        super().__init__(**options)
        self.units = units

    def build(self, shape: Any) -> None:
        """Makes the numbers."""
        self.numbers = self.add_weight(name="balance", shape=(self.units,), initializer="zeros")

    def call(self, x: Any) -> Any:
        """The numbers for each row of x."""
        return keras.ops.broadcast_to(self.numbers, (keras.ops.shape(x)[0], self.units))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}


def sample_layer(name: str) -> Any:
    """The layer that samples for the head of this name."""
    return Sample(name=f"{name}_sample", dtype="float32")
