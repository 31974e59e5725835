"""Folders in Hugging Face's format: what KerasHub does not read in them, or cannot do without."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.core.serialization import read_json
from tftransfer.utils.errors import UserError

_WEIGHTS, _INDEX, _ADDED = "model.safetensors", "model.safetensors.index.json", "added.safetensors"
_TOKENIZER = "tokenizer_config.json"
# A layer that KerasHub wants weights of and nothing here reads: masked language models have none.
_POOLERS = {"bert": "pooler.dense", "albert": "albert.pooler"}
# What begins the names of tensors that KerasHub looks for; a network saved alone has none of it.
_PREFIXES = {name: f"{name}." for name in ("roberta", "distilbert", "albert")}
_LOWERING = ("bert", "distilbert")
_RESERVED = 2  # rows of RoBERTa's positions that stand for no place
_MODES = {"cls_token": "first", "max_tokens": "max", "lasttoken": "last", "mean_tokens": "mean"}


def settings_of(folder: Path) -> Mapping[str, Any]:
    """What `config.json` says; nothing of a folder that is not Hugging Face's."""
    config = _json(folder / "config.json")
    return config if "model_type" in config else {}


@contextlib.contextmanager
def completed(folder: Path) -> Iterator[Path]:
    """The folder, or where it lacks what KerasHub wants, one of links to its files and of that.

    Raises:
      UserError: KerasHub reads no folder of this kind of network.
    """
    config = settings_of(folder)
    if config.get("model_type") == "electra":
        raise UserError(
            f"{folder} is an ELECTRA of Hugging Face's, which KerasHub does not read.",
            "Take one of KerasHub's presets, such as electra_small_discriminator_uncased_en, by "
            "its name or its folder.",
        )
    added = _tokenizer(folder, config) | _tensors(folder, config)
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


def _tensors(folder: Path, config: Mapping[str, Any]) -> dict[str, bytes]:
    """Files of tensors by the names that KerasHub looks for, zeros for those of no other use, and
    an index that names the file of each.
    """
    kind, files = config.get("model_type", ""), _files_of(folder)
    prefix, pooler = _PREFIXES.get(kind, ""), _POOLERS.get(kind, "")
    if prefix and any(name.startswith(prefix) for name in files):
        prefix = ""
    places = {f"{prefix}{name}": place for name, place in files.items()}
    lacks_pooler = pooler and not any(name.endswith(f"{pooler}.weight") for name in places)
    if not files or not (prefix or lacks_pooler):
        return {}
    from safetensors.numpy import load_file, save

    added = {}
    for place in sorted(set(files.values())) if prefix else ():
        some = load_file(folder / place)
        added[place] = save({f"{prefix}{name}": tensor for name, tensor in some.items()})
    if lacks_pooler:
        width = config["hidden_size"]
        zeros = {
            f"{pooler}.weight": np.zeros((width, width), np.float32),
            f"{pooler}.bias": np.zeros(width, np.float32),
        }
        added[_ADDED] = save(zeros)
        places |= dict.fromkeys(zeros, _ADDED)
    return added | {_INDEX: json.dumps({"weight_map": places}).encode()}


def _files_of(folder: Path) -> dict[str, str]:
    """The file of each tensor, by the tensor's name."""
    if (folder / _INDEX).is_file():
        return dict(read_json(folder / _INDEX)["weight_map"])
    if not (folder / _WEIGHTS).is_file():
        return {}
    from safetensors import safe_open

    with safe_open(folder / _WEIGHTS, framework="np") as file:
        return dict.fromkeys(file.keys(), _WEIGHTS)


def _tensor(folder: Path, ending: str) -> np.ndarray | None:
    from safetensors import safe_open

    for name, place in _files_of(folder).items():
        if name.endswith(ending):
            with safe_open(folder / place, framework="np") as file:
                return file.get_tensor(name)
    return None


def add_token_types(folder: Path, transformer: Any) -> None:
    """Adds the type that every token of a text has to RoBERTa's positions, as KerasHub has none."""
    if settings_of(folder).get("model_type") != "roberta":
        return
    types = _tensor(folder, "embeddings.token_type_embeddings.weight")
    stored = _tensor(folder, "embeddings.position_embeddings.weight")
    if types is None or stored is None:
        return
    positions = transformer.embeddings.position_embedding.position_embeddings
    if np.array_equal(positions, stored[_RESERVED:]):  # it was not done already
        positions.assign(positions + types[0])


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
