"""Inputs of audio networks: waveform, log-mel spectrogram, or the spectrogram as images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from tftransfer.core.augmentation import Augment, CustomAugmentation
from tftransfer.core.typing import Shape, Tensor
from tftransfer.preprocessing.audio import compressed
from tftransfer.preprocessing.audio.augmentation import ClipAugmenter, Layout
from tftransfer.preprocessing.audio.checks import (
    LENGTH_TOLERANCE_SECONDS,
    LONG_SECONDS,
    audio_format,
)
from tftransfer.preprocessing.audio.decode import RESAMPLER_KEY, decode_waveform, fit_length
from tftransfer.preprocessing.audio.log_mel import MelBands, log_mel
from tftransfer.preprocessing.audio.wav import SAMPLE_RATE
from tftransfer.preprocessing.base import Augmenter, Preprocessor
from tftransfer.preprocessing.layer_augmentation import CustomAugmenter

# Log energies that are drawn black and white: a whisper, and full scale.
_BLACK_LOG_ENERGY = -7.0
_WHITE_LOG_ENERGY = 4.0
_LOG_ENERGY_RANGE = _WHITE_LOG_ENERGY - _BLACK_LOG_ENERGY
_PIXEL_RANGE = (0.0, 255.0)
# Losses compare these views with each other or with the clip, so no view is the clip itself.
_ALWAYS_RANDOM = ("strong", "noise")


@dataclass(frozen=True, kw_only=True)
class ClipPreprocessor(Preprocessor):
    """Base of preprocessors for clips of one length.

    The middle of longer clips is used; shorter ones are padded with silence.

    Attributes:
      length: Seconds that are used of a clip.
    """

    length: float

    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"  # type: ignore[misc]
    layout: ClassVar[Layout]

    @property
    def samples(self) -> int:
        """Samples at 16 kHz that are used of a clip."""
        return round(self.length * SAMPLE_RATE)

    @property
    def description(self) -> str:
        """Length, such as `5 s`."""
        return f"{self.length:.3g} s"

    @property
    def client_notes(self) -> str:  # type: ignore[override]
        """Format and length, since an export cannot print warnings."""
        return (
            "clients: send WAV, since only tftransfer decodes FLAC and Ogg; of a longer clip the "
            f"export uses the middle {self.length:g} s"
        )

    def scaled_batch_size(self, batch_size: int) -> int:
        """Returns how many clips have at most the duration of `batch_size` clips of 10 s."""
        return max(1, int(batch_size * min(1.0, LONG_SECONDS / self.length)))

    def truncation_warning(self, measure: float) -> str:
        """Returns that only the middle of a clip of `measure` seconds is used, or ""."""
        longer = measure > self.length + LENGTH_TOLERANCE_SECONDS
        return f"longer than {self.length:g} s: only the middle is used" * longer

    def from_samples(self, samples: Tensor) -> Tensor:
        """Converts a waveform, float32 [samples] at 16 kHz, to the input of the network."""
        raise NotImplementedError

    def decode(self, data: Tensor) -> Tensor:
        """Decodes one clip from its WAV bytes, a scalar string tensor."""
        return self.from_samples(decode_waveform(data, self.samples))

    @property
    def raw_input(self) -> tuple[str, Shape]:
        """`waveform`: float32 [samples] at 16 kHz, of any length."""
        return "waveform", (None,)

    def from_raw(self, inputs: Tensor) -> Tensor:
        """Converts waveforms, float32 [n, samples] at 16 kHz of any length."""
        signature = tf.TensorSpec(self.shape, self.dtype)
        return tf.map_fn(
            lambda one: self.from_samples(fit_length(one, self.samples)),
            inputs,
            fn_output_signature=signature,
        )

    def convert(self, item: bytes) -> bytes:
        """Converts FLAC and Ogg to WAV."""
        return item if audio_format(item) in ("WAV", None) else compressed.to_wav(item)

    def augmenter(self, augment: Augment) -> Augmenter:
        """Returns the augmenter of a name, or of Keras layers and functions."""
        if isinstance(augment, CustomAugmentation):
            return CustomAugmenter(augment, self.layout.value_range)
        return ClipAugmenter(str(augment), self.layout)

    def view_augmentation(self, augment: Augment, view: int) -> Augment:
        """Returns the augmentation of a view: view 0 is usually the clip itself."""
        return "none" if view == 0 and augment not in _ALWAYS_RANDOM else augment


@dataclass(frozen=True, kw_only=True)
class WaveformPreprocessor(ClipPreprocessor):
    """Decodes float32 [samples] at 16 kHz from -1 to 1, the input of TF-Hub's audio modules."""

    layout: ClassVar[Layout] = Layout(time=1)

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """[samples]."""
        return (self.samples,)

    @property
    def cache_key(self) -> str:
        """The number of samples and the resampler."""
        return f"waveform {self.samples} {RESAMPLER_KEY}"

    def from_samples(self, samples: Tensor) -> Tensor:
        """Returns the samples unchanged."""
        return samples


@dataclass(frozen=True, kw_only=True)
class LogMelPreprocessor(ClipPreprocessor):
    """Computes float32 [frames, bands, 1]: the log energies in mel bands, the input of YAMNet.

    Attributes:
      bands: Settings of the spectrogram.
    """

    bands: MelBands = field(default_factory=MelBands)
    layout: ClassVar[Layout] = Layout(time=1, frequency=2, neper=1.0)

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """[frames, bands, 1]."""
        return (self.bands.frames(self.samples), self.bands.bands, 1)

    @property
    def cache_key(self) -> str:
        """The number of samples, the resampler and the settings of the spectrogram."""
        return f"log-mel {self.samples} {RESAMPLER_KEY} {self.bands}"

    def from_samples(self, samples: Tensor) -> Tensor:
        """Computes the spectrogram of a waveform."""
        return tf.ensure_shape(log_mel(samples, self.bands)[..., None], self.shape)


@dataclass(frozen=True, kw_only=True)
class SpectrogramPreprocessor(ClipPreprocessor):
    """Computes float32 [size, windows × size, 3] from 0 to 255: a log-mel spectrogram as images.

    Frequency decreases from top to bottom, time increases from left to right, and the three
    channels are equal. Gray values stand for fixed loudness: log energies from -7 (black) to 4.

    Attributes:
      image_size: Side of a square image in pixels.
      windows: Number of square images side by side, each of an equal part of the clip.
      bands: Settings of the spectrogram.
    """

    image_size: int
    windows: int = 1
    bands: MelBands = field(default_factory=lambda: MelBands(bands=128, low=20.0))
    layout: ClassVar[Layout] = Layout(
        time=2, frequency=1, neper=255.0 / _LOG_ENERGY_RANGE, value_range=_PIXEL_RANGE
    )

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """[size, windows × size, 3]."""
        return (self.image_size, self.windows * self.image_size, 3)

    @property
    def description(self) -> str:
        """Such as `5 s as spectrograms of 160 px`, or `60 s as 6 spectrograms of 160 px`."""
        number = f"{self.windows} " * (self.windows > 1)
        return f"{super().description} as {number}spectrograms of {self.image_size} px"

    @property
    def cache_key(self) -> str:
        """The size, the number of samples, the resampler and the settings of the spectrogram."""
        levels = f"{_BLACK_LOG_ENERGY} {_WHITE_LOG_ENERGY}"
        return f"spectrogram {self.shape} {self.samples} {RESAMPLER_KEY} {self.bands} {levels}"

    def from_samples(self, samples: Tensor) -> Tensor:
        """Draws the spectrogram of a waveform."""
        shades = (log_mel(samples, self.bands) - _BLACK_LOG_ENERGY) / _LOG_ENERGY_RANGE
        image = tf.transpose(tf.clip_by_value(shades, 0.0, 1.0))[::-1, :, None]
        image = tf.image.resize(image, self.shape[:2], antialias=True)
        return tf.ensure_shape(tf.repeat(255.0 * image, 3, axis=-1), self.shape)
