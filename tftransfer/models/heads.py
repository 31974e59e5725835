"""The layers of heads: dense layers, decoders of images, and the balance of tasks."""

from __future__ import annotations

import math
from typing import Any

import keras

from tftransfer.core.recipe import Head
from tftransfer.core.typing import KerasLayer, Shape, Tensor

_DECODER_START_PIXELS = 4
_DECODER_CHANNELS = 32
_DECODER_MIN_CHANNELS = 16
# Beyond it, the exponential of a log variance overflows in half precision.
_MAX_LOG_VARIANCE = 20.0


def dense_layers(head: Head, units: int, *, regression: bool) -> list[KerasLayer]:
    """Returns the layers from a vector to the output of a head.

    Args:
      head: The head.
      units: Width of the output if the head does not set one.
      regression: Whether a head that does not set its width ends with the labels' mean and spread.
    """
    layers: list[KerasLayer] = []
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
        # Its mean and variance are weights, and so are stored with the others.
        layers.append(
            keras.layers.Normalization(invert=True, name=f"{head.name}_unit", dtype="float32")
        )
    return layers


def decoder_layers(name: str, size: int) -> list[KerasLayer]:
    """Returns the layers from a vector to an image [n, size, size, 3].

    A map of 4 by 4 pixels is doubled until it has at least the size.

    Args:
      name: Name of the head.
      size: Side of the image, in pixels.
    """
    layers = keras.layers
    start, channels = _DECODER_START_PIXELS, 2 * _DECODER_CHANNELS
    doublings = max(1, math.ceil(math.log2(size / start)))
    widths = [max(_DECODER_MIN_CHANNELS, channels >> k) for k in range(doublings)]
    found: list[KerasLayer] = [
        layers.Dense(start * start * channels, "relu", name=f"{name}_dense"),
        layers.Reshape((start, start, channels), name=f"{name}_map"),
    ]
    for number, width in enumerate(widths, 1):
        found.append(layers.UpSampling2D(name=f"{name}_up{number}"))
        found.append(
            layers.Conv2D(width, 3, padding="same", activation="relu", name=f"{name}_conv{number}")
        )
    found.append(layers.Conv2D(3, 3, padding="same", dtype="float32", name=name))
    found.append(layers.Resizing(size, size, name=f"{name}_size", dtype="float32"))
    return found


@keras.saving.register_keras_serializable(package="tftransfer")
class Sample(keras.layers.Layer):
    """Draws from normal distributions, given means and log variances: [n, 2 d] to [n, d].

    In inference it returns the means. The reparameterization of Kingma & Welling (2014).
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, code: Tensor, training: bool = False) -> Tensor:
        """Returns the samples, [n, d]."""
        mean, log_variance = keras.ops.split(code, 2, axis=-1)
        if not training:
            return mean
        noise = keras.random.normal(
            keras.ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator
        )
        log_variance = keras.ops.clip(log_variance, -_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE)
        return mean + keras.ops.exp(0.5 * log_variance) * noise


@keras.saving.register_keras_serializable(package="tftransfer")
class Balance(keras.layers.Layer):
    """Returns trained numbers, 0 at the start, the same for every row: [n, ...] to [n, units].

    Args:
      units: How many numbers.
    """

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Shape) -> None:
        """Creates the numbers."""
        self.numbers = self.add_weight(name="balance", shape=(self.units,), initializer="zeros")

    def call(self, x: Tensor) -> Tensor:
        """Returns the numbers for each row of x."""
        return keras.ops.broadcast_to(self.numbers, (keras.ops.shape(x)[0], self.units))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


def sample_layer(name: str) -> Sample:
    """Returns the layer that samples the input of a head.

    Its precision is float32, as that of the head's output.
    """
    return Sample(name=f"{name}_sample", dtype="float32")
