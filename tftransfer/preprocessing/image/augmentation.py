"""Random changes of training images by Keras layers, decided by a seed."""

from __future__ import annotations

from collections.abc import Callable

import keras

from tftransfer.core.typing import Array, Tensor
from tftransfer.preprocessing.layer_augmentation import SeededLayers

PIXEL_RANGE = (0.0, 255.0)
_NOISE_STDDEV = 25.0  # of pixels from 0 to 255


class ImageAugmenter:
    """Augments batches of images.

    Args:
      name: Name of an augmentation of `tftransfer.list_augmentations`, or `mirror`, which always
        mirrors left and right.
    """

    def __init__(self, name: str):
        self.name = name
        layers = [] if name == "mirror" else _layers(name)
        self._layers = SeededLayers(layers, PIXEL_RANGE) if layers else None
        self.random = bool(layers)

    def __call__(self, pixels: Tensor, *seed: int) -> Tensor:
        """Augments images, [n, h, w, 3] from 0 to 255; the same for the same seed.

        The result is float32, or has the dtype of `pixels` if their values do not change.
        """
        if self.name == "mirror":
            return pixels[:, :, ::-1]  # type: ignore[index, call-overload]
        return self._layers(pixels, *seed) if self._layers else pixels

    def per_example(self, pixels: Tensor, seeds: Array) -> Tensor:
        """Augments each image by its own seed, int64 [n], regardless of the others."""
        return self._layers.per_example(pixels, seeds) if self._layers else self(pixels)


class _Noise(keras.layers.Layer):
    """Adds normal noise; Keras's own layer allows deviations up to 1 only."""

    def __init__(self) -> None:
        super().__init__(name="noise")
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, pixels: Tensor, training: bool = False) -> Tensor:
        noise = keras.random.normal(
            keras.ops.shape(pixels), stddev=_NOISE_STDDEV, seed=self.seed_generator
        )
        return pixels + noise


def _flip() -> list[keras.Layer]:
    return [keras.layers.RandomFlip("horizontal")]


def _shift() -> list[keras.Layer]:
    return [
        keras.layers.RandomTranslation(0.1, 0.1, fill_mode="reflect"),
        keras.layers.RandomZoom((-0.25, 0.1), fill_mode="reflect"),
    ]


def _full() -> list[keras.Layer]:
    return [
        *_flip(),
        *_shift(),
        keras.layers.RandomRotation(0.05, fill_mode="reflect"),
        keras.layers.RandomContrast(0.2, value_range=PIXEL_RANGE),
        keras.layers.RandomBrightness(0.15, value_range=PIXEL_RANGE),
    ]


def _strong() -> list[keras.Layer]:
    return [
        *_flip(),
        keras.layers.RandomTranslation(0.2, 0.2, fill_mode="reflect"),
        keras.layers.RandomZoom((-0.6, 0.1), fill_mode="reflect"),
        keras.layers.RandomContrast(0.4, value_range=PIXEL_RANGE),
        keras.layers.RandomBrightness(0.3, value_range=PIXEL_RANGE),
        keras.layers.RandomSaturation((0.2, 0.8), value_range=PIXEL_RANGE),
        keras.layers.RandomGrayscale(0.2),
    ]


_MAKERS: dict[str, Callable[[], list[keras.Layer]]] = {
    "none": list,
    "flip": _flip,
    "shift": _shift,
    "crop": lambda: [*_flip(), *_shift()],
    "full": _full,
    "strong": _strong,
    "noise": lambda: [_Noise()],
}


def _layers(name: str) -> list[keras.Layer]:
    return _MAKERS[name]()
