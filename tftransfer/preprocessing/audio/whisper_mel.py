"""The spectrogram of Whisper (Radford et al., 2023)."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tftransfer.core.typing import Array, Tensor
from tftransfer.preprocessing.audio.augmentation import Layout
from tftransfer.preprocessing.audio.decode import RESAMPLER_KEY
from tftransfer.preprocessing.audio.preprocessors import ClipPreprocessor
from tftransfer.preprocessing.audio.wav import SAMPLE_RATE

_FFT_SAMPLES = 400
_HOP_SAMPLES = 160
_MIN_ENERGY = 1e-10
_RANGE_DECADES = 8.0  # of energy, which is 80 dB
# Slaney's mel scale: linear up to 1,000 Hz, then 27 steps for a factor of 6.4.
_HERTZ_PER_MEL = 200.0 / 3
_BEND_HERTZ = 1000.0
_MELS_PER_NEPER = 27 / math.log(6.4)


@dataclass(frozen=True, kw_only=True)
class WhisperPreprocessor(ClipPreprocessor):
    """Computes float32 [frames, bands]: log energies, at most 80 dB below the loudest one.

    Attributes:
      bands: Number of mel bands: 80, or 128 for the largest models.
    """

    bands: int = 80
    # A factor of e in amplitude adds 2 / ln(10) decades of energy, and the values are decades / 4.
    layout: ClassVar[Layout] = Layout(time=1, frequency=2, neper=0.5 / math.log(10))

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """[frames, bands], with a frame every 10 ms."""
        return (self.samples // _HOP_SAMPLES, self.bands)

    @property
    def cache_key(self) -> str:
        """The number of samples, the resampler and the number of bands."""
        return f"whisper {self.samples} {RESAMPLER_KEY} {self.bands}"

    def from_samples(self, samples: Tensor) -> Tensor:
        """Computes max(log10(M |STFT(x)|²), its maximum - 8) / 4 + 1, with x mirrored at its ends.

        Args:
          samples: Waveform, float32 [samples] at 16 kHz.

        Returns:
          Spectrogram, float32 [frames, bands].
        """
        half = _FFT_SAMPLES // 2
        mirrored = tf.pad(samples, [[half, half]], mode="REFLECT")
        spectrum = tf.signal.stft(mirrored, _FFT_SAMPLES, _HOP_SAMPLES, _FFT_SAMPLES)[:-1]
        mel = tf.matmul(tf.square(tf.abs(spectrum)), tf.constant(slaney_filters(self.bands)))
        decades = tf.math.log(tf.maximum(mel, _MIN_ENERGY)) / math.log(10)
        decades = tf.maximum(decades, tf.reduce_max(decades) - _RANGE_DECADES)
        return tf.ensure_shape(decades / 4 + 1, self.shape)


@functools.lru_cache
def slaney_filters(bands: int) -> Array:
    """Returns triangles of equal area on Slaney's mel scale up to 8 kHz, float32 [201, bands]."""
    bend = _BEND_HERTZ / _HERTZ_PER_MEL
    top = bend + _MELS_PER_NEPER * math.log(SAMPLE_RATE / 2 / _BEND_HERTZ)
    mels = np.linspace(0.0, top, bands + 2)
    above = _BEND_HERTZ * np.exp(np.maximum(mels - bend, 0.0) / _MELS_PER_NEPER)
    edges = np.where(mels < bend, _HERTZ_PER_MEL * mels, above)
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, _FFT_SAMPLES // 2 + 1)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    matrix: np.ndarray = (triangles * 2.0 / (high - low)).astype(np.float32)
    return matrix
