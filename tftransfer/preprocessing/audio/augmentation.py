"""Random changes of training clips; each row's are decided by its own seed."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

# Of each kind: the largest shift in time, the number of masks on an axis, the largest part of the
# axis that one covers, the largest change of loudness in decibels, and of noise the deviation.
_KINDS = {
    "none": (0.0, 0, 0.0, 0.0, 0.0),
    "shift": (0.2, 0, 0.0, 0.0, 0.0),
    "mask": (0.0, 2, 0.12, 0.0, 0.0),
    "full": (0.2, 2, 0.12, 6.0, 0.0),
    "strong": (0.5, 2, 0.25, 10.0, 0.1),
    "noise": (0.0, 0, 0.0, 0.0, 0.3),
}
_NEPER = np.log(10.0) / 20.0  # a decibel in nepers
_DRAWN = 12


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How an array of clips lies.

    Attributes:
      time: its axis, counted with the batch's.
      frequency: its axis; None of waveforms.
      neper: what is added where the amplitude grows by a factor of e; 0 where it is multiplied.
      range: of the values, where they are pictures.
    """

    time: int
    frequency: int | None = None
    neper: float = 0.0
    range: tuple[float, float] | None = None


class ClipAugmenter:
    """Changes a batch of clips at random.

    Args:
      kind: `none`; `shift`: moves the clip in time, around its ends; `mask`: two stretches of time
        and two of frequency are blanked (SpecAugment, Park et al., 2019); `full`: both, and
        loudness; `strong`: more of all and noise, for views that are compared; or `noise`.
      layout: of the arrays.
    """

    def __init__(self, kind: str, layout: Layout):
        self.kind, self._layout = kind, layout
        self.random = kind != "none"
        self._apply: Any = None

    def __call__(self, inputs: Any, *seed: int) -> Any:
        """Clips changed, float32 of the shape of `inputs`; the same for the same seed."""
        rows = np.random.default_rng([int(part) % 2**63 for part in seed])
        return self.per_example(inputs, rows.integers(2**62, size=len(inputs)))

    def per_example(self, inputs: Any, seeds: np.ndarray) -> Any:
        """Clips changed, each decided by its own seed, int64 [n]."""
        if not self.random:
            return inputs
        if self._apply is None:
            shape = (None, *inputs.shape[1:])
            self._apply = tf.function(
                functools.partial(_changed, kind=self.kind, layout=self._layout),
                input_signature=[tf.TensorSpec(shape, tf.float32), tf.TensorSpec([None], tf.int64)],
                autograph=False,
            )
        return self._apply(tf.cast(inputs, tf.float32), tf.constant(seeds, tf.int64))


def _changed(x: Any, seeds: Any, *, kind: str, layout: Layout) -> Any:
    shift, masks, covered, loudness, noise = _KINDS[kind]
    drawn = tf.map_fn(_drawn, seeds, fn_output_signature=tf.float32)
    columns = iter(range(_DRAWN))

    def uniform(low: float, high: float) -> Any:
        """A number for each row."""
        return low + (high - low) * drawn[:, next(columns)]

    if shift:
        x = _moved(x, uniform(-shift, shift), layout.time)
    if loudness:
        x = _louder(x, uniform(-loudness, loudness), layout)
    if noise:
        x = x + noise * _spread(x) * _normal(x, seeds)
    for axis in filter(None, (layout.time, layout.frequency)):
        for _ in range(masks):
            x = _masked(x, uniform(0, covered), uniform(0, 1), axis, layout)
    return x if layout.range is None else tf.clip_by_value(x, *layout.range)


def _moved(x: Any, part: Any, axis: int) -> Any:
    """Moved in time by a part of the length; what leaves at one end comes in at the other."""
    length = tf.shape(x)[axis]
    by = tf.cast(tf.round(part * tf.cast(length, tf.float32)), tf.int32)
    places = (tf.range(length)[None] - by[:, None]) % length
    return tf.gather(x, places, axis=axis, batch_dims=1)


def _louder(x: Any, decibels: Any, layout: Layout) -> Any:
    change = tf.reshape(_NEPER * decibels, _column(x))
    return x + layout.neper * change if layout.neper else x * tf.exp(change)


def _spread(x: Any) -> Any:
    """What noise is measured by: each clip's own deviation."""
    return tf.math.reduce_std(x, axis=list(range(1, len(x.shape))), keepdims=True)


def _drawn(seed: Any) -> Any:
    """All numbers that one row may need, in 0 to 1."""
    return tf.random.stateless_uniform([_DRAWN], tf.stack([seed, 0]))


def _normal(x: Any, seeds: Any) -> Any:
    def draw(seed: Any) -> Any:
        return tf.random.stateless_normal(tf.shape(x)[1:], tf.stack([seed, 1]))

    return tf.map_fn(draw, seeds, fn_output_signature=tf.float32)


def _masked(x: Any, width: Any, place: Any, axis: int, layout: Layout) -> Any:
    """A stretch of an axis set to the clip's mean, or of a waveform to silence."""
    length = tf.cast(tf.shape(x)[axis], tf.float32)
    first = place * (1.0 - width) * length
    at = tf.range(length, dtype=tf.float32)[None]
    inside = (at >= first[:, None]) & (at < (first + width * length)[:, None])
    shape = [1] * len(x.shape)
    shape[0], shape[axis] = -1, x.shape[axis]
    inside = tf.reshape(inside, shape)
    blank = 0.0
    if layout.frequency is not None:
        blank = tf.reduce_mean(x, axis=list(range(1, len(x.shape))), keepdims=True)
    return tf.where(inside, blank, x)


def _column(x: Any) -> list[int]:
    return [-1] + [1] * (len(x.shape) - 1)
