"""Audio: clips in files, with their class as folder or in a table."""

from __future__ import annotations

from tftransfer.preprocessing.audio.checks import (
    CHECKS,
    WARNINGS,
    auto_length,
    decode_error,
    duration,
)
from tftransfer.preprocessing.base import Decoded, Modality

__all__ = ["MODALITY"]

MODALITY = Modality(
    name="audio",
    singular="clip",
    plural="clips",
    checks=CHECKS,
    warnings=WARNINGS,
    decode=lambda data: Decoded(decode_error(data) or ""),
    measure=duration,
    auto_length=auto_length,
    length_unit="s",
    middle_layers_matter=True,
    augmentations={
        "none": "leaves examples unchanged",
        "shift": "shifts in time at random, around the ends of the clip",
        "mask": "masks two stretches of time and two of frequency (SpecAugment)",
        "full": "shift and mask, and random loudness",
        "strong": "larger shifts and masks, random loudness and noise, for views that losses "
        "compare",
        "noise": "adds normal noise, for auto-encoders",
    },
    default_augmentation="full",
    signature_input="audio_bytes",
    invalid_message="the clip cannot be decoded; give WAV with PCM samples of 8 to 32 bits or "
    "finite floats",
    expected_data="a folder with one sub-folder of WAV files per class, or a .csv table",
)
