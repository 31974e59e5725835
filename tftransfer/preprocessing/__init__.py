"""Kinds of input: pictures, text and audio, each with its rules, its forms and its augmentation."""

from __future__ import annotations

import importlib

from tftransfer.preprocessing.base import Augmenter, FileCheck, FileWarning, Modality, Preprocessor

__all__ = [
    "MODALITIES",
    "Augmenter",
    "FileCheck",
    "FileWarning",
    "Modality",
    "Preprocessor",
    "get_modality",
]

MODALITIES = ("image", "text", "audio")


def get_modality(name: str) -> Modality:
    """The kind of that name; only its own modules are imported."""
    return importlib.import_module(f"tftransfer.preprocessing.{name}").MODALITY
