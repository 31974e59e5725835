"""Folders in Hugging Face's format: what KerasHub does not read in them, and what it requires."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.core.serialization import read_json
from tftransfer.core.typing import Array, KerasModel
from tftransfer.utils.errors import UserError

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_ADDED = "added.safetensors"
_TOKENIZER = "tokenizer_config.json"
# KerasHub requires the weights of this layer, which is not used; masked language models lack it.
_POOLERS = {"bert": "pooler.dense", "albert": "albert.pooler"}
# KerasHub requires these beginnings of tensor names; a network that was saved alone lacks them.
_NAME_BEGINNINGS = {name: f"{name}." for name in ("roberta", "distilbert", "albert")}
_LOWER_CASING = ("bert", "distilbert")
# Rows of RoBERTa's position embeddings that stand for no position.
_RESERVED_POSITIONS = 2
_POOLING_OF_MODE = {
    "cls_token": "first",
    "max_tokens": "max",
    "lasttoken": "last",
    "mean_tokens": "mean",
}


def settings_of(folder: Path) -> Mapping[str, Any]:
    """Returns the content of `config.json`; empty for a folder that is not Hugging Face's."""
    config = _json(folder / "config.json")
    return config if "model_type" in config else {}


@contextlib.contextmanager
def completed(folder: Path) -> Iterator[Path]:
    """Yields the folder, or a temporary one of links where files that KerasHub requires are added.

    Raises:
      UserError: KerasHub does not read folders of this network.
    """
    config = settings_of(folder)
    if config.get("model_type") == "electra":
        raise UserError(
            f"{folder} is an ELECTRA in Hugging Face's format, which KerasHub does not read.",
            "Use one of KerasHub's presets, such as electra_small_discriminator_uncased_en, by "
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
    """Returns the content of `tokenizer_config.json`, with `do_lower_case` always present.

    Where that file does not have it, `tokenizer.json` decides, or BERT's default: lower case.
    """
    normalizer = _json(folder / "tokenizer.json").get("normalizer") or {}
    return {"do_lower_case": normalizer.get("lowercase", True), **_json(folder / _TOKENIZER)}


def _tokenizer(folder: Path, config: Mapping[str, Any]) -> dict[str, bytes]:
    explicit = "do_lower_case" in _json(folder / _TOKENIZER)
    if explicit or config.get("model_type") not in _LOWER_CASING:
        return {}
    return {_TOKENIZER: json.dumps(tokenizer_settings(folder)).encode()}


def _tensors(folder: Path, config: Mapping[str, Any]) -> dict[str, bytes]:
    """Returns files of tensors under the names that KerasHub requires.

    Zeros stand for tensors that have no other use, and an index names the file of each tensor.
    """
    model_type, files = config.get("model_type", ""), _files_of(folder)
    beginning, pooler = _NAME_BEGINNINGS.get(model_type, ""), _POOLERS.get(model_type, "")
    if beginning and any(name.startswith(beginning) for name in files):
        beginning = ""
    places = {f"{beginning}{name}": place for name, place in files.items()}
    lacks_pooler = pooler and not any(name.endswith(f"{pooler}.weight") for name in places)
    if not files or not (beginning or lacks_pooler):
        return {}
    from safetensors.numpy import load_file, save

    added = {}
    for place in sorted(set(files.values())) if beginning else ():
        tensors = load_file(folder / place)
        added[place] = save({f"{beginning}{name}": tensor for name, tensor in tensors.items()})
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
    """Returns the name of the file of each tensor, by the tensor's name."""
    if (folder / _INDEX).is_file():
        return dict(read_json(folder / _INDEX)["weight_map"])
    if not (folder / _WEIGHTS).is_file():
        return {}
    from safetensors import safe_open

    with safe_open(folder / _WEIGHTS, framework="np") as file:
        return dict.fromkeys(file.keys(), _WEIGHTS)


def _tensor(folder: Path, ending: str) -> Array | None:
    from safetensors import safe_open

    for name, place in _files_of(folder).items():
        if name.endswith(ending):
            with safe_open(folder / place, framework="np") as file:
                return file.get_tensor(name)
    return None


def add_token_types(folder: Path, transformer: KerasModel) -> None:
    """Adds the embedding of RoBERTa's only token type to its positions; KerasHub has none.

    Args:
      folder: The transformer's folder; nothing changes if it is not a RoBERTa.
      transformer: KerasHub's backbone, changed in place.
    """
    if settings_of(folder).get("model_type") != "roberta":
        return
    types = _tensor(folder, "embeddings.token_type_embeddings.weight")
    stored = _tensor(folder, "embeddings.position_embeddings.weight")
    if types is None or stored is None:
        return
    positions = transformer.embeddings.position_embedding.position_embeddings
    if np.array_equal(positions, stored[_RESERVED_POSITIONS:]):  # KerasHub did not add it itself
        positions.assign(positions + types[0])


def pooling_of(folder: Path) -> str:
    """Returns the pooling that sentence-transformers' file names, or ""."""
    return next(iter(_poolings(folder)), "")


def scales_to_unit_length(folder: Path) -> bool:
    """Returns whether sentence-transformers scales a text's vector to length 1."""
    return "Normalize" in _modules(folder)


def remarks(folder: Path) -> tuple[str, ...]:
    """Returns what sentence-transformers does to a text's vector and this package does not."""
    poolings, found = _poolings(folder), []
    if len(poolings) > 1:
        found.append(
            f"its makers concatenate the {' and the '.join(poolings)} of the tokens' vectors; "
            f"here the {poolings[0]} is used"
        )
    if "Dense" in _modules(folder):
        found.append("its makers' last layer, Dense, is omitted")
    return tuple(found)


def _poolings(folder: Path) -> list[str]:
    settings = _json(folder / "1_Pooling" / "config.json")
    modes = _POOLING_OF_MODE.items()
    return [pool for mode, pool in modes if settings.get(f"pooling_mode_{mode}")]


def _modules(folder: Path) -> set[str]:
    return {str(each.get("type", "")).split(".")[-1] for each in _json(folder / "modules.json")}


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else {}
