"""Backbones of text: word vectors, transformers through KerasHub, TF-Hub modules of strings."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from tftransfer.backbones.backbone import Backbone
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.registry import parse_options

__all__ = ["load_backbone"]


def load_backbone(
    name: str,
    *,
    weights: str = "pretrained",
    image_size: int = 0,
    seed: int = 0,
    trust_code: bool = False,
    cache: Path | None = None,
    length: float = 0.0,
    assets: Path | None = None,
) -> Backbone:
    """The backbone of text that `name` means.

    Args:
      name: `word_vectors`, a KerasHub preset (`bert_tiny_en_uncased`), the folder of one, a
        folder in Hugging Face's format, or a TF-Hub module of strings; options follow a colon.
      weights: for `word_vectors`, a file of vectors; `none` for random weights.
      image_size: of no use here.
      seed: of random weights.
      trust_code: allow TF-Hub modules, which are programs.
      cache: of no use here.
      length: words or tokens of a text that are read; 0 for the backbone's own.
      assets: folder of a run's files, for a backbone that is built again.

    Raises:
      UserError: no such backbone, option or weights.
    """
    base, options = _parsed(name)
    folder = assets if assets is not None and assets.is_dir() else None
    if base == "word_vectors":
        from tftransfer.backbones.text.word_vectors import load_word_vectors

        return _called(
            load_word_vectors,
            options,
            name,
            weights=weights,
            length=int(length),
            seed=seed,
            assets=folder,
        )
    if _is_module(base):
        from tftransfer.backbones.text.tfhub import load_module

        return _called(load_module, options, name, base, trust_code=trust_code)
    from tftransfer.backbones.text.transformers import load_transformer

    if "/" in base and folder is None and not Path(base).expanduser().is_dir():
        raise UserError(
            f"--backbone={base} does not exist.",
            "Give the folder of a transformer or of a TF-Hub module, or a preset's name.",
        )
    return _called(
        load_transformer,
        options,
        name,
        base,
        weights=weights,
        length=int(length),
        seed=seed,
        assets=folder,
    )


def _parsed(name: str) -> tuple[str, dict[str, Any]]:
    if Path(name).expanduser().is_dir() or "://" in name:
        return name, {}
    return parse_options(name)


def _is_module(base: str) -> bool:
    return "://" in base or (Path(base).expanduser() / "saved_model.pb").is_file()


def _called(load: Any, options: dict[str, Any], *args: Any, **kwargs: Any) -> Backbone:
    known = [key for key in inspect.signature(load).parameters if key not in kwargs]
    for option in options:
        if option not in known[len(args) :]:
            raise unknown_name(f"option of backbone {args[0]}", option, known[len(args) :])
    return load(*args, **kwargs, **options)
