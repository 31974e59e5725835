"""Folders in Hugging Face's format: what KerasHub does not read in them, or cannot do without."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tftransfer.ground.serialise import read_json

_TOKENIZER = "tokenizer_config.json"
_LOWERING = ("bert", "distilbert")
_MODES = {"cls_token": "first", "max_tokens": "max", "lasttoken": "last", "mean_tokens": "mean"}


def settings_of(folder: Path) -> Mapping[str, Any]:
    """What `config.json` says; nothing of a folder that is not Hugging Face's."""
    config = _json(folder / "config.json")
    return config if "model_type" in config else {}


@contextlib.contextmanager
def completed(folder: Path) -> Iterator[Path]:
    """The folder, or where it lacks what KerasHub wants, one of links to its files and of that."""
    config = settings_of(folder)
    added = _tokenizer(folder, config)
    if not added:
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        for path in folder.iterdir():
            if path.name not in added:
                (Path(place) / path.name).symlink_to(path.resolve())
        for name, content in added.items():
            (Path(place) / name).write_bytes(content)
        yield Path(place)


def tokenizer_settings(folder: Path) -> dict[str, Any]:
    """Of `tokenizer_config.json`; whether it makes letters small, by `tokenizer.json` or by rule.

    BERT's tokenizers do where nothing says that they do not.
    """
    made = _json(folder / "tokenizer.json").get("normalizer") or {}
    return {"do_lower_case": made.get("lowercase", True), **_json(folder / _TOKENIZER)}


def _tokenizer(folder: Path, config: Mapping[str, Any]) -> dict[str, bytes]:
    told = "do_lower_case" in _json(folder / _TOKENIZER)
    if told or config.get("model_type") not in _LOWERING:
        return {}
    return {_TOKENIZER: json.dumps(tokenizer_settings(folder)).encode()}


def pooling_of(folder: Path) -> str:
    """One of the poolings of a transformer by sentence-transformers' file, or ""."""
    return next(iter(_poolings(folder)), "")


def is_scaled(folder: Path) -> bool:
    """Whether sentence-transformers scales a text's vector to length 1."""
    return "Normalize" in _modules(folder)


def remarks(folder: Path) -> tuple[str, ...]:
    """What sentence-transformers does to a text's vector and is not done here."""
    poolings, said = _poolings(folder), []
    if len(poolings) > 1:
        said.append(
            f"its makers set the {' and the '.join(poolings)} of the tokens' vectors side by side; "
            f"here the {poolings[0]} is taken"
        )
    if "Dense" in _modules(folder):
        said.append("its makers' last layer, Dense, is left out")
    return tuple(said)


def _poolings(folder: Path) -> list[str]:
    settings = _json(folder / "1_Pooling" / "config.json")
    return [pool for mode, pool in _MODES.items() if settings.get(f"pooling_mode_{mode}")]


def _modules(folder: Path) -> set[str]:
    return {str(each.get("type", "")).split(".")[-1] for each in _json(folder / "modules.json")}


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else {}
