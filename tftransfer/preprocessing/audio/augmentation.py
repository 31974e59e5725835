"""Random changes of training clips; the seed of a row decides its changes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tftransfer.core.typing import Array, Tensor

_NEPERS_PER_DECIBEL = np.log(10.0) / 20.0
# Uniform numbers per row, more than any augmentation uses.
_NUMBERS_PER_ROW = 12


@dataclass(frozen=True, kw_only=True)
class _Strength:
    """Strength of an augmentation.

    Attributes:
      shift: Largest shift in time, as a fraction of the clip.
      masks: Number of masks on each axis.
      mask_width: Largest width of a mask, as a fraction of the axis.
      loudness: Largest change of loudness in decibels.
      noise: Standard deviation of noise, as a fraction of that of the clip.
    """

    shift: float = 0.0
    masks: int = 0
    mask_width: float = 0.0
    loudness: float = 0.0
    noise: float = 0.0


_STRENGTHS = {
    "none": _Strength(),
    "shift": _Strength(shift=0.2),
    "mask": _Strength(masks=2, mask_width=0.12),
    "full": _Strength(shift=0.2, masks=2, mask_width=0.12, loudness=6.0),
    "strong": _Strength(shift=0.5, masks=2, mask_width=0.25, loudness=10.0, noise=0.1),
    "noise": _Strength(noise=0.3),
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Axes and units of a batch of clips.

    Attributes:
      time: Axis of time, where axis 0 is the batch.
      frequency: Axis of frequency; None for waveforms.
      neper: Value that is added if the amplitude grows by a factor of e; 0 if the values are
        multiplied instead.
      value_range: Range of the values if they are pixels; else None.
    """

    time: int
    frequency: int | None = None
    neper: float = 0.0
    value_range: tuple[float, float] | None = None


class ClipAugmenter:
    """Augments batches of clips.

    `mask` is SpecAugment (Park et al., 2019).

    Args:
      name: Name of an augmentation of `tftransfer.list_augmentations`.
      layout: Axes and units of a batch.
    """

    def __init__(self, name: str, layout: Layout):
        self.name, self._layout = name, layout
        self.random = name != "none"
        self._apply: Callable[[Tensor, Tensor], Tensor] | None = None

    def __call__(self, inputs: Tensor, *seed: int) -> Tensor:
        """Augments clips, float32 [n, ...]; the same for the same seed."""
        rng = np.random.default_rng([int(number) % 2**63 for number in seed])
        return self.per_example(inputs, rng.integers(2**62, size=(np.shape(inputs)[0],)))

    def per_example(self, inputs: Tensor, seeds: Array) -> Tensor:
        """Augments each clip by its own seed, int64 [n], regardless of the others."""
        if not self.random:
            return inputs
        if self._apply is None:
            shape = (None, *np.shape(inputs)[1:])
            augment = functools.partial(
                _augment, strength=_STRENGTHS[self.name], layout=self._layout
            )
            self._apply = tf.function(
                augment,
                input_signature=[tf.TensorSpec(shape, tf.float32), tf.TensorSpec([None], tf.int64)],
                autograph=False,
            )
        return self._apply(tf.cast(inputs, tf.float32), tf.constant(seeds, tf.int64))


def _augment(x: Tensor, seeds: Tensor, *, strength: _Strength, layout: Layout) -> Tensor:
    numbers = tf.map_fn(_uniform_numbers, seeds, fn_output_signature=tf.float32)
    columns = iter(range(_NUMBERS_PER_ROW))

    def uniform(low: float, high: float) -> Tensor:
        """Returns a number for each row, float32 [n]."""
        return low + (high - low) * numbers[:, next(columns)]

    if strength.shift:
        x = _shift(x, uniform(-strength.shift, strength.shift), layout.time)
    if strength.loudness:
        x = _change_loudness(x, uniform(-strength.loudness, strength.loudness), layout)
    if strength.noise:
        x = x + strength.noise * _stddev(x) * _normal_numbers(x, seeds)
    for axis in filter(None, (layout.time, layout.frequency)):
        for _ in range(strength.masks):
            x = _mask(x, uniform(0, strength.mask_width), uniform(0, 1), axis, layout)
    return x if layout.value_range is None else tf.clip_by_value(x, *layout.value_range)


def _shift(x: Tensor, fraction: Tensor, axis: int) -> Tensor:
    """Shifts by a fraction of the length; what leaves at one end enters at the other."""
    length = tf.shape(x)[axis]
    steps = tf.cast(tf.round(fraction * tf.cast(length, tf.float32)), tf.int32)
    places = (tf.range(length)[None] - steps[:, None]) % length
    return tf.gather(x, places, axis=axis, batch_dims=1)


def _change_loudness(x: Tensor, decibels: Tensor, layout: Layout) -> Tensor:
    nepers = tf.reshape(_NEPERS_PER_DECIBEL * decibels, _row_shape(x))
    return x + layout.neper * nepers if layout.neper else x * tf.exp(nepers)


def _stddev(x: Tensor) -> Tensor:
    """Returns the standard deviation of each clip, [n, 1, ...]."""
    return tf.math.reduce_std(x, axis=list(range(1, len(x.shape))), keepdims=True)


def _uniform_numbers(seed: Tensor) -> Tensor:
    """Returns all numbers that one row may need, from 0 to 1."""
    return tf.random.stateless_uniform([_NUMBERS_PER_ROW], tf.stack([seed, 0]))


def _normal_numbers(x: Tensor, seeds: Tensor) -> Tensor:
    def draw(seed: Tensor) -> Tensor:
        return tf.random.stateless_normal(tf.shape(x)[1:], tf.stack([seed, 1]))

    return tf.map_fn(draw, seeds, fn_output_signature=tf.float32)


def _mask(x: Tensor, width: Tensor, place: Tensor, axis: int, layout: Layout) -> Tensor:
    """Sets a stretch of an axis to the mean of the clip, or of a waveform to silence.

    Args:
      x: Clips, float32 [n, ...].
      width: Width of the mask of each row, as a fraction of the axis, [n].
      place: Place of the mask of each row, from 0 (start) to 1 (end), [n].
      axis: Axis to mask.
      layout: Axes and units of the clips.
    """
    length = tf.cast(tf.shape(x)[axis], tf.float32)
    first = place * (1.0 - width) * length
    at = tf.range(length, dtype=tf.float32)[None]
    inside = (at >= first[:, None]) & (at < (first + width * length)[:, None])
    shape = [1] * len(x.shape)
    shape[0], shape[axis] = -1, x.shape[axis]
    inside = tf.reshape(inside, shape)
    fill: Tensor | float = 0.0
    if layout.frequency is not None:
        fill = tf.reduce_mean(x, axis=list(range(1, len(x.shape))), keepdims=True)
    return tf.where(inside, fill, x)


def _row_shape(x: Tensor) -> list[int]:
    return [-1] + [1] * (len(x.shape) - 1)
