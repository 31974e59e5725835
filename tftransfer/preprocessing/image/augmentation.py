"""Random changes of training pictures, by Keras's layers, decided by a seed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

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
        self._apply_each: Any = None

    def __call__(self, pixels: Any, *seed: int) -> Any:
        """Pictures in 0 to 255 of the shape of `pixels`; the same for the same seed.

        They are float32, but of the dtype of `pixels` where their values are as they were.
        """
        if self.kind == "mirror":
            return pixels[:, :, ::-1]
        if not self._layers:
            return pixels
        for number, state in enumerate(self._states()):
            state.assign(_mix(*seed, number))
        if self._apply is None:
            spec = tf.TensorSpec((None, *pixels.shape[1:]), tf.float32)
            self._apply = tf.function(self._run, autograph=False).get_concrete_function(spec)
        return self._apply(tf.cast(pixels, tf.float32))

    def per_example(self, pixels: Any, seeds: np.ndarray) -> Any:
        """As a call, but each picture is changed by its own seed, int64 [n], whatever is beside."""
        if not self._layers:
            return self(pixels)
        numbers = range(len(self._layers))
        mixed = np.array([[_mix(seed, number) for number in numbers] for seed in seeds.tolist()])
        if self._apply_each is None:
            specs = (
                tf.TensorSpec((None, *pixels.shape[1:]), tf.float32),
                tf.TensorSpec((None, len(self._layers), 2), tf.int64),
            )
            self._apply_each = tf.function(self._run_each, autograph=False).get_concrete_function(
                *specs
            )
        return self._apply_each(tf.cast(pixels, tf.float32), tf.constant(mixed, tf.int64))

    def _run_each(self, pixels: Any, seeds: Any) -> Any:
        def one(given: Any) -> Any:
            picture, mixed = given
            for number, state in enumerate(self._states()):
                state.assign(tf.cast(mixed[number], state.dtype))
            return self._run(picture[None])[0]

        spec = tf.TensorSpec(pixels.shape[1:], tf.float32)
        return tf.map_fn(one, (pixels, seeds), parallel_iterations=1, fn_output_signature=spec)

    def _states(self) -> list[Any]:
        generators = (
            getattr(each, "generator", None) or each.seed_generator for each in self._layers
        )
        return [generator.state for generator in generators]

    def _run(self, pixels: Any) -> Any:
        x = pixels
        for layer in self._layers:
            x = layer(x, training=True)
        return tf.clip_by_value(x, 0.0, 255.0)


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
