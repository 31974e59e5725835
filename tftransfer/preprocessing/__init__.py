"""Modalities: images, texts and audio, each with its checks, preprocessors and augmentations."""

from __future__ import annotations

from tftransfer.preprocessing.base import (
    Augmenter,
    Decoded,
    FileCheck,
    FileWarning,
    Modality,
    Preprocessor,
)

__all__ = [
    "MODALITIES",
    "Augmenter",
    "Decoded",
    "FileCheck",
    "FileWarning",
    "Modality",
    "Preprocessor",
    "get_modality",
]

MODALITIES = ("image", "text", "audio")


def get_modality(name: str) -> Modality:
    """Returns the modality of that name; imports only its own modules.

    Raises:
      KeyError: There is no such modality.
    """
    if name == "image":
        from tftransfer.preprocessing.image import MODALITY
    elif name == "text":
        from tftransfer.preprocessing.text import MODALITY
    elif name == "audio":
        from tftransfer.preprocessing.audio import MODALITY
    else:
        raise KeyError(name)
    return MODALITY
