"""Random changes of training pictures, by Keras's layers; each batch's are decided by its seed."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class Augmenter:
    """Changes a batch of pictures at random.

    Args:
      kind: `none`, `flip` (left-right), `crop` (flip, shift and zoom) or `full`
        (those, rotation, contrast and brightness).
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._layers = _layers(kind)
        self._apply = tf.function(self._run)

    def __call__(self, pixels: Any, *seed: int) -> Any:
        """float32 pictures in 0 to 255 of the shape of `pixels`; the same for the same seed."""
        if not self._layers:
            return tf.cast(pixels, tf.float32)
        for number, layer in enumerate(self._layers):
            layer.generator.state.assign(_mix(*seed, number))
        return self._apply(pixels)

    def _run(self, pixels: Any) -> Any:
        x = tf.cast(pixels, tf.float32)
        for layer in self._layers:
            x = layer(x, training=True)
        return tf.clip_by_value(x, 0.0, 255.0)


def _layers(kind: str) -> list[Any]:
    layers = keras.layers
    makers = {
        "none": [],
        "flip": [lambda: layers.RandomFlip("horizontal")],
        "crop": [
            lambda: layers.RandomFlip("horizontal"),
            lambda: layers.RandomTranslation(0.1, 0.1, fill_mode="reflect"),
            lambda: layers.RandomZoom((-0.25, 0.1), fill_mode="reflect"),
        ],
    }
    makers["full"] = [
        *makers["crop"],
        lambda: layers.RandomRotation(0.05, fill_mode="reflect"),
        lambda: layers.RandomContrast(0.2, value_range=(0, 255)),
        lambda: layers.RandomBrightness(0.15, value_range=(0, 255)),
    ]
    return [make() for make in makers[kind]]


def _mix(*seed: int) -> list[int]:
    state = 0
    for number in seed:
        state = (state * 1_000_003 + int(number) + 1) % 2**61
    return [state % 2**31, state // 2**31]
