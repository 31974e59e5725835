"""Kinds of input: pictures, text and audio, each with its rules, its forms and its augmentation."""

from __future__ import annotations

import importlib

from tftransfer.preprocessing.base import Augmenter, Form, InputKind, Note, Rule

__all__ = ["INPUT_KINDS", "Augmenter", "Form", "InputKind", "Note", "Rule", "input_kind"]

INPUT_KINDS = ("image", "text", "audio")


def input_kind(name: str) -> InputKind:
    """The kind of that name; only its own modules are imported."""
    return importlib.import_module(f"tftransfer.preprocessing.{name}").KIND
