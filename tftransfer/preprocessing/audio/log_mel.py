"""Log-mel spectrograms by tf.signal, and as a Keras layer."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.preprocessing.audio.wav import RATE


@dataclass(frozen=True, kw_only=True)
class MelBands:
    """What a spectrogram measures; by default as YAMNet hears (Plakal & Ellis, 2020).

    Attributes:
      rate: samples a second.
      window: length of the Hann window, in seconds.
      hop: from one window to the next, in seconds.
      bands: number of them, on the mel scale of HTK.
      low: where the lowest begins, in Hz.
      high: where the highest ends, in Hz.
      offset: added to the magnitude before the logarithm.
    """

    rate: int = RATE
    window: float = 0.025
    hop: float = 0.010
    bands: int = 64
    low: float = 125.0
    high: float = 7500.0
    offset: float = 0.001

    @property
    def window_samples(self) -> int:
        """Samples under a window."""
        return round(self.window * self.rate)

    @property
    def hop_samples(self) -> int:
        """Samples from one window to the next."""
        return round(self.hop * self.rate)

    @property
    def fft(self) -> int:
        """Points of the Fourier transform: the next power of two."""
        return 1 << (self.window_samples - 1).bit_length()

    def frames(self, samples: int) -> int:
        """How many windows fit into so many samples."""
        return 1 + (samples - self.window_samples) // self.hop_samples


def log_mel(samples: Any, bands: MelBands) -> Any:
    """log(M |STFT(x)| + offset) with the mel filters M.

    Args:
      samples: float32 [..., n], full scale at -1 to 1.
      bands: what is measured.

    Returns:
      float32 [..., frames, bands]; frames = 1 + (n - window) // hop.
    """
    spectrum = tf.signal.stft(
        samples, bands.window_samples, bands.hop_samples, bands.fft, pad_end=False
    )
    mel = tf.matmul(tf.abs(spectrum), tf.constant(_filters(bands)))
    return tf.math.log(mel + bands.offset)


@functools.lru_cache
def _filters(bands: MelBands) -> np.ndarray:
    with tf.init_scope():
        matrix: np.ndarray = tf.signal.linear_to_mel_weight_matrix(
            bands.bands, bands.fft // 2 + 1, bands.rate, bands.low, bands.high
        ).numpy()
        return matrix


@keras.saving.register_keras_serializable("tftransfer")
class LogMel(keras.layers.Layer):
    """Waveforms [n, samples] to log-mel spectrograms [n, frames, bands], see `log_mel`.

    Args:
      bands: what is measured; a `MelBands` or its fields in a dictionary.
    """

    def __init__(self, bands: MelBands | dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.bands = bands if isinstance(bands, MelBands) else MelBands(**(bands or {}))

    def call(self, waveforms: Any) -> Any:
        """The spectrograms."""
        return log_mel(waveforms, self.bands)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """[n, frames, bands]; frames are open where samples are."""
        *batch, samples = input_shape
        return (*batch, samples and self.bands.frames(samples), self.bands.bands)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "bands": asdict(self.bands)}
