"""Audio: clips of sound in files, by their class or in a table."""

from __future__ import annotations

from tftransfer.preprocessing.audio.checks import NOTES, RULES, length_of, seconds, undecodable
from tftransfer.preprocessing.base import Modality

__all__ = ["KIND"]

MODALITY = Modality(
    name="audio",
    one="clip",
    many="clips",
    rules=RULES,
    notes=NOTES,
    undecodable=undecodable,
    measure=seconds,
    length=length_of,
    middle_layers_matter=True,
    augments=("none", "shift", "mask", "full", "strong", "noise"),
    augment="full",
    argument="audio_bytes",
    refused="not a clip that can be decoded: WAV of PCM (8 to 32 bits) or finite floats can",
    advice="a folder with one sub-folder of WAV files per class, or a .csv manifest",
)
