"""Text backbones by name: word vectors, transformers through KerasHub, TF-Hub modules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.options import LoadOptions
from tftransfer.backbones.text.tfhub import load_module
from tftransfer.backbones.text.transformers import load_transformer
from tftransfer.backbones.text.word_vectors import load_word_vectors
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.registry import parse_options


def load_text_backbone(name: str, options: LoadOptions) -> Backbone:
    """Loads a text backbone.

    Args:
      name: `word_vectors`, a KerasHub preset (`bert_tiny_en_uncased`), the folder of one, a
        folder in Hugging Face's format, or a TF-Hub module of strings; options follow a colon.
      options: Weights, sizes and permissions. For `word_vectors`, `weights` is a file of vectors.

    Raises:
      UserError: There is no such backbone, option or weights.
    """
    base, arguments = _parse(name)
    if base == "word_vectors":
        _check(name, load_word_vectors, arguments)
        return load_word_vectors(name, options, **arguments)
    if "://" in base or (Path(base).expanduser() / "saved_model.pb").is_file():
        _check(name, load_module, arguments)
        return load_module(name, base, options, **arguments)
    if "/" in base and options.assets_folder is None and not Path(base).expanduser().is_dir():
        raise UserError(
            f"--backbone={base} does not exist.",
            "Give the folder of a transformer or of a TF-Hub module, or a preset's name.",
        )
    _check(name, load_transformer, arguments)
    return load_transformer(name, base, options, **arguments)


def _parse(name: str) -> tuple[str, dict[str, Any]]:
    if Path(name).expanduser().is_dir() or "://" in name:
        return name, {}
    return parse_options(name)


def _check(name: str, load: Callable[..., Backbone], arguments: Mapping[str, object]) -> None:
    """Raises an error for options that a loader does not have: its keyword-only parameters."""
    parameters = inspect.signature(load).parameters.values()
    known = [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    for option in arguments:
        if option not in known:
            raise unknown_name(f"option of backbone {name}", option, known)
