"""The spectrogram that Whisper hears (Radford et al., 2023)."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tftransfer.preprocessing.audio.augmentation import Layout
from tftransfer.preprocessing.audio.decode import KERNEL
from tftransfer.preprocessing.audio.preprocessors import ClipPreprocessor
from tftransfer.preprocessing.audio.wav import RATE

_FFT, _HOP = 400, 160
_FLOOR, _RANGE = 1e-10, 8.0
# Slaney's scale of mels: linear up to 1,000 Hz, then 27 steps to 6.4 times as much.
_LINEAR, _BEND, _STEPS = 200.0 / 3, 1000.0, 27 / math.log(6.4)


@dataclass(frozen=True, kw_only=True)
class WhisperPreprocessor(ClipPreprocessor):
    """float32 [frames, bands]: decibels in mel bands, of a range of 80 dB below the loudest.

    Attributes:
      bands: 80, of the largest models 128.
    """

    bands: int = 80
    layout: ClassVar[Layout] = Layout(time=1, frequency=2, neper=0.5 / math.log(10))

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """[frames, bands], a frame each 10 ms."""
        return (self.samples // _HOP, self.bands)

    @property
    def cache_key(self) -> str:
        """The number of samples, how they are resampled, and the number of bands."""
        return f"whisper {self.samples} {KERNEL} {self.bands}"

    def from_samples(self, samples: Any) -> Any:
        """max(log10(M |STFT(x)|²), its maximum - 8) / 4 + 1, with the ends of x mirrored."""
        mirrored = tf.pad(samples, [[_FFT // 2, _FFT // 2]], mode="REFLECT")
        spectrum = tf.signal.stft(mirrored, _FFT, _HOP, _FFT)[:-1]
        mel = tf.matmul(tf.square(tf.abs(spectrum)), tf.constant(slaney_filters(self.bands)))
        decades = tf.math.log(tf.maximum(mel, _FLOOR)) / math.log(10)
        decades = tf.maximum(decades, tf.reduce_max(decades) - _RANGE)
        return tf.ensure_shape(decades / 4 + 1, self.shape)


@functools.lru_cache
def slaney_filters(bands: int) -> np.ndarray:
    """Triangles of equal area on Slaney's mel scale from 0 to 8,000 Hz, float32 [201, bands]."""
    top = _BEND / _LINEAR + _STEPS * math.log(RATE / 2 / _BEND)
    mels = np.linspace(0.0, top, bands + 2)
    bend = _BEND / _LINEAR
    above = _BEND * np.exp(np.maximum(mels - bend, 0.0) / _STEPS)
    edges = np.where(mels < bend, _LINEAR * mels, above)
    hertz = np.linspace(0.0, RATE / 2, _FFT // 2 + 1)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    matrix: np.ndarray = (triangles * 2.0 / (high - low)).astype(np.float32)
    return matrix
