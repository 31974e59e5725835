"""What networks take of a clip: the waveform, its log-mel spectrogram, or a picture of that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import tensorflow as tf

from tftransfer.preprocessing.audio import compressed
from tftransfer.preprocessing.audio.augmentation import ClipAugmenter, Layout
from tftransfer.preprocessing.audio.checks import LENGTH_TOLERANCE_SECONDS, LONG, audio_format
from tftransfer.preprocessing.audio.decode import KERNEL, fit_length, waveform
from tftransfer.preprocessing.audio.log_mel import MelBands, log_mel
from tftransfer.preprocessing.audio.wav import RATE
from tftransfer.preprocessing.base import Augmenter, Preprocessor

# In the logarithm's units: a whisper is black, and full scale is white.
_DARK, _LIGHT = -7.0, 4.0


@dataclass(frozen=True, kw_only=True)
class ClipPreprocessor(Preprocessor):
    """Clips of one length: longer ones are cut to their middle, shorter ones end in silence.

    Attributes:
      length: seconds that are heard of a clip.
    """

    length: float

    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"  # type: ignore[misc]
    layout: ClassVar[Layout]

    @property
    def samples(self) -> int:
        """At 16 kHz, that are heard of a clip."""
        return round(self.length * RATE)

    @property
    def description(self) -> str:
        """Such as `5 s`."""
        return f"{self.length:.3g} s"

    @property
    def client_notes(self) -> str:  # type: ignore[override]
        """What is heard of a longer clip: an export has nobody to tell."""
        return (
            "clients: send WAV, as FLAC and Ogg are decoded by tftransfer alone; of a longer clip "
            f"the export hears the middle {self.length:g} s"
        )

    def scaled_batch_size(self, most: int) -> int:
        """As many as sound no longer than `most` clips of 10 s."""
        return max(1, int(most * min(1.0, LONG / self.length)))

    def truncation_warning(self, measure: float) -> str:
        """Of clips that are longer than what is heard of them."""
        longer = measure > self.length + LENGTH_TOLERANCE_SECONDS
        return f"longer than the {self.length:g} s that are heard, cut to the middle" * longer

    def from_samples(self, samples: Any) -> Any:
        """The array of a waveform, float32 [samples] at 16 kHz."""
        raise NotImplementedError

    def decode(self, data: Any) -> Any:
        """The array of one clip from its WAV bytes."""
        return self.from_samples(waveform(data, self.samples))

    @property
    def raw_input(self) -> tuple[str, tuple[int | None, ...]]:
        """`waveform`: float32 [samples] at 16 kHz, of any length."""
        return "waveform", (None,)

    def from_raw(self, numbers: Any) -> Any:
        """Arrays of waveforms, float32 [n, samples] at 16 kHz."""
        signature = tf.TensorSpec(self.shape, self.dtype)
        return tf.map_fn(
            lambda one: self.from_samples(fit_length(one, self.samples)),
            numbers,
            fn_output_signature=signature,
        )

    def convert(self, item: bytes) -> bytes:
        """FLAC and Ogg as WAV."""
        return item if audio_format(item) in ("WAV", None) else compressed.to_wav(item)

    def augmenter(self, augment: str) -> Augmenter:
        """Shifts in time, masks, loudness and noise."""
        return ClipAugmenter(augment, self.layout)

    def view_augmentation(self, augment: str, view: int) -> str:
        """View 0 is the clip itself, unless views are compared with each other."""
        return "none" if view == 0 and augment not in ("strong", "noise") else augment


@dataclass(frozen=True, kw_only=True)
class WaveformPreprocessor(ClipPreprocessor):
    """float32 [samples] at 16 kHz, -1 to 1: what TF-Hub's modules of audio take."""

    layout: ClassVar[Layout] = Layout(time=1)

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """[samples]."""
        return (self.samples,)

    @property
    def cache_key(self) -> str:
        """The number of samples, and how they are resampled."""
        return f"waveform {self.samples} {KERNEL}"

    def from_samples(self, samples: Any) -> Any:
        """The samples themselves."""
        return samples


@dataclass(frozen=True, kw_only=True)
class LogMelPreprocessor(ClipPreprocessor):
    """float32 [frames, bands, 1]: the logarithm of the energy in mel bands, as YAMNet hears."""

    bands: MelBands = field(default_factory=MelBands)
    layout: ClassVar[Layout] = Layout(time=1, frequency=2, neper=1.0)

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """[frames, bands, 1]."""
        return (self.bands.frames(self.samples), self.bands.bands, 1)

    @property
    def cache_key(self) -> str:
        """The number of samples, how they are resampled, and what is measured of them."""
        return f"log-mel {self.samples} {KERNEL} {self.bands}"

    def from_samples(self, samples: Any) -> Any:
        """The spectrogram of a waveform."""
        return tf.ensure_shape(log_mel(samples, self.bands)[..., None], self.shape)


@dataclass(frozen=True, kw_only=True)
class SpectrogramPreprocessor(ClipPreprocessor):
    """float32 [size, windows × size, 3] in 0 to 255: a log-mel spectrogram as pictures in a row.

    Frequency falls from top to bottom, time runs from left to right, and the three colours are
    equal. The shades are of fixed loudness, from -7 (black) to 4 in the logarithm's units.

    Attributes:
      image_size: side of a square, in pixels.
      windows: squares side by side, of equal parts of the clip.
      bands: what is measured.
    """

    image_size: int
    windows: int = 1
    bands: MelBands = field(default_factory=lambda: MelBands(bands=128, low=20.0))
    layout: ClassVar[Layout] = Layout(
        time=2, frequency=1, neper=255.0 / (_LIGHT - _DARK), range=(0.0, 255.0)
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
        """The size, and what `LogMelPreprocessor` depends on."""
        return f"spectrogram {self.shape} {self.samples} {KERNEL} {self.bands} {_DARK} {_LIGHT}"

    def from_samples(self, samples: Any) -> Any:
        """The picture of a waveform."""
        shades = (log_mel(samples, self.bands) - _DARK) / (_LIGHT - _DARK)
        picture = tf.transpose(tf.clip_by_value(shades, 0.0, 1.0))[::-1, :, None]
        picture = tf.image.resize(picture, self.shape[:2], antialias=True)
        return tf.ensure_shape(tf.repeat(255.0 * picture, 3, axis=-1), self.shape)
