"""Log-mel spectrograms by tf.signal, and as a Keras layer."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

import keras
import tensorflow as tf

from tftransfer.core.typing import Array, Shape, Tensor
from tftransfer.preprocessing.audio.wav import SAMPLE_RATE


@dataclass(frozen=True, kw_only=True)
class MelBands:
    """Settings of a log-mel spectrogram; by default those of YAMNet (Plakal & Ellis, 2020).

    Attributes:
      rate: Sample rate in Hz.
      window: Length of the Hann window in seconds.
      hop: Time between windows in seconds.
      bands: Number of bands on the mel scale of HTK.
      low: Lower end of the lowest band in Hz.
      high: Upper end of the highest band in Hz.
      offset: Value that is added to the magnitude before the logarithm.
    """

    rate: int = SAMPLE_RATE
    window: float = 0.025
    hop: float = 0.010
    bands: int = 64
    low: float = 125.0
    high: float = 7500.0
    offset: float = 0.001

    @property
    def window_samples(self) -> int:
        """Length of the window in samples."""
        return round(self.window * self.rate)

    @property
    def hop_samples(self) -> int:
        """Samples between the starts of windows."""
        return round(self.hop * self.rate)

    @property
    def fft(self) -> int:
        """Length of the Fourier transform: the next power of two."""
        return 1 << (self.window_samples - 1).bit_length()

    def frames(self, samples: int) -> int:
        """Returns the number of windows in a clip."""
        return 1 + (samples - self.window_samples) // self.hop_samples


def log_mel(samples: Tensor, bands: MelBands) -> Tensor:
    """Computes log(M |STFT(x)| + offset) with the mel filters M.

    Args:
      samples: Waveforms, float32 [..., n], from -1 to 1.
      bands: Settings of the spectrogram.

    Returns:
      Spectrograms, float32 [..., frames, bands], with frames = 1 + (n - window) // hop.
    """
    spectrum = tf.signal.stft(
        samples, bands.window_samples, bands.hop_samples, bands.fft, pad_end=False
    )
    mel = tf.matmul(tf.abs(spectrum), tf.constant(_filters(bands)))
    return tf.math.log(mel + bands.offset)


@functools.lru_cache
def _filters(bands: MelBands) -> Array:
    with tf.init_scope():
        matrix: Array = tf.signal.linear_to_mel_weight_matrix(
            bands.bands, bands.fft // 2 + 1, bands.rate, bands.low, bands.high
        ).numpy()
        return matrix


@keras.saving.register_keras_serializable("tftransfer")
class LogMel(keras.layers.Layer):
    """Converts waveforms [n, samples] to log-mel spectrograms [n, frames, bands]; see `log_mel`.

    Args:
      bands: Settings of the spectrogram, a `MelBands` or a dictionary of its fields.
      **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, bands: MelBands | dict[str, float] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.bands = bands if isinstance(bands, MelBands) else MelBands(**(bands or {}))  # type: ignore[arg-type]

    def call(self, waveforms: Tensor) -> Tensor:
        """Computes the spectrograms."""
        return log_mel(waveforms, self.bands)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns [n, frames, bands]; frames are None if samples are."""
        *batch, samples = input_shape
        return (*batch, samples and self.bands.frames(samples), self.bands.bands)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "bands": asdict(self.bands)}
