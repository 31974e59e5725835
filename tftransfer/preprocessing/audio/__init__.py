"""Audio: clips of sound in files, by their class or in a table."""

from __future__ import annotations

from tftransfer.preprocessing.audio.checks import CHECKS, WARNINGS, decode_error, length_of, seconds
from tftransfer.preprocessing.base import Modality

__all__ = ["MODALITY"]

MODALITY = Modality(
    name="audio",
    singular="clip",
    plural="clips",
    checks=CHECKS,
    warnings=WARNINGS,
    decode_error=decode_error,
    measure=seconds,
    auto_length=length_of,
    middle_layers_matter=True,
    augmentations=("none", "shift", "mask", "full", "strong", "noise"),
    default_augmentation="full",
    signature_input="audio_bytes",
    invalid_message="the clip cannot be decoded; give WAV with PCM samples of 8 to 32 bits or "
    "finite floats",
    expected_data="a folder with one sub-folder of WAV files per class, or a .csv manifest",
)
