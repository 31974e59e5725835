"""Random changes of training pictures, by Keras's layers; each batch's are decided by its seed."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

_MIRRORING = ("flip", "crop", "full")
# Kinds for what compares a changed picture with something: none of its views is the picture itself.
_ALWAYS = ("strong", "noise")
_NOISE = 25.0


class Augmenter:
    """Changes a batch of pictures at random.

    Args:
      kind: `mirror` (always), `none`, `flip` (left-right), `shift` (shift and zoom, for
        what has a left and a right, such as digits), `crop` (both), `full` (both,
        rotation, contrast and brightness) or `strong` (large crops, contrast, brightness,
        saturation, grey: for views that are compared with each other) or `noise`.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._layers = [] if kind == "mirror" else _layers(kind)
        self.random = bool(self._layers)
        self._apply: Any = None

    def __call__(self, pixels: Any, *seed: int) -> Any:
        """Pictures in 0 to 255 of the shape of `pixels`; the same for the same seed.

        They are float32, but of the dtype of `pixels` where their values are as they were.
        """
        if self.kind == "mirror":
            return pixels[:, :, ::-1]
        if not self._layers:
            return pixels
        for number, layer in enumerate(self._layers):
            generator = getattr(layer, "generator", None) or layer.seed_generator
            generator.state.assign(_mix(*seed, number))
        if self._apply is None:
            spec = tf.TensorSpec((None, *pixels.shape[1:]), tf.float32)
            self._apply = tf.function(self._run).get_concrete_function(spec)
        return self._apply(tf.cast(pixels, tf.float32))

    def _run(self, pixels: Any) -> Any:
        x = pixels
        for layer in self._layers:
            x = layer(x, training=True)
        return tf.clip_by_value(x, 0.0, 255.0)


def view_kind(kind: str, view: int) -> str:
    """What the stored view of a number undergoes: 0 nothing; 1 the mirror, where `kind` mirrors."""
    if kind in _ALWAYS:
        return kind
    if view == 0 or kind == "none":
        return "none"
    return "mirror" if view == 1 and kind in _MIRRORING else kind


def most_views(kind: str) -> int:
    """How many stored views of a picture differ; 0 for as many as one likes."""
    return {"none": 1, "flip": 2}.get(kind, 0)


class _Noise(keras.layers.Layer):
    """Adds normal noise; Keras's own takes deviations up to 1 alone."""

    def __init__(self) -> None:
        super().__init__(name="noise")
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, pixels: Any, training: bool = False) -> Any:
        noise = keras.random.normal(
            keras.ops.shape(pixels), stddev=_NOISE, seed=self.seed_generator
        )
        return pixels + noise


def _layers(kind: str) -> list[Any]:
    layers = keras.layers
    makers: dict[str, list[Any]] = {
        "none": [],
        "flip": [lambda: layers.RandomFlip("horizontal")],
        "shift": [
            lambda: layers.RandomTranslation(0.1, 0.1, fill_mode="reflect"),
            lambda: layers.RandomZoom((-0.25, 0.1), fill_mode="reflect"),
        ],
        "noise": [_Noise],
        "strong": [
            lambda: layers.RandomFlip("horizontal"),
            lambda: layers.RandomTranslation(0.2, 0.2, fill_mode="reflect"),
            lambda: layers.RandomZoom((-0.6, 0.1), fill_mode="reflect"),
            lambda: layers.RandomContrast(0.4, value_range=(0, 255)),
            lambda: layers.RandomBrightness(0.3, value_range=(0, 255)),
            lambda: layers.RandomSaturation((0.2, 0.8), value_range=(0, 255)),
            lambda: layers.RandomGrayscale(0.2),
        ],
    }
    makers["crop"] = [*makers["flip"], *makers["shift"]]
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
