"""Transformers of text through KerasHub: presets by name or folder, and Hugging Face's folders."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.text import hugging_face
from tftransfer.backbones.text.transformer_stages import blocks_of, one_input_model
from tftransfer.core.serialization import read_json
from tftransfer.preprocessing.text.subword_preprocessor import SubwordPreprocessor
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.files import file_sha256
from tftransfer.utils.keras_internals import set_feedforward_activation

POOLS = ("mean", "max", "first", "last")
LENGTH = 128  # tokens
# Seen to give the same without the padding at the end. FNet mixes all places, XLNet and ESM look
# at it.
PASS_OVER_PADDING = (
    "AlbertBackbone",
    "BertBackbone",
    "BloomBackbone",
    "DebertaV3Backbone",
    "DistilBertBackbone",
    "ElectraBackbone",
    "FalconBackbone",
    "GPT2Backbone",
    "GPTNeoXBackbone",
    "GemmaBackbone",
    "Llama3Backbone",
    "LlamaBackbone",
    "MistralBackbone",
    "OPTBackbone",
    "RobertaBackbone",
    "XLMRobertaBackbone",
)
_FILE = "transformer.json"
# Hugging Face's names of the two forms of GELU; KerasHub's encoders always take the second.
_EXACT_GELU = "gelu"


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What a transformer is made from.

    Attributes:
      transformer: KerasHub's backbone.
      tokenizer: KerasHub's.
      gelu: `exact`, `approximate`, or "" where KerasHub's choice is right.
      pooling: that its makers used, one of `POOLS`.
      unit: whether they scaled what was pooled to length 1.
      sha256: of the weights' file, where there is one.
      remarks: what is worth saying of it.
    """

    transformer: Any
    tokenizer: Any
    gelu: str = ""
    pooling: str = "mean"
    unit: bool = False
    sha256: str = ""
    remarks: tuple[str, ...] = ()


def load_transformer(
    name: str,
    place: str,
    *,
    weights: str,
    length: int,
    seed: int,
    assets: Path | None,
    pool: str = "",
    unit: int = 0,
) -> Backbone:
    """A transformer as a backbone: `stage1` is the embedding, each block is a stage.

    Args:
      name: as the user gave it.
      place: name of a KerasHub preset, its folder, or one in Hugging Face's format.
      weights: `none` for random ones; otherwise those that come with it.
      length: tokens of a text that are read; 0 for 128.
      seed: of random weights.
      assets: files that make it again without `place`.
      pool: `mean`, `max`, `first` or `last` of the tokens' vectors; "" as its makers did.
      unit: 1 divides the vector of a text by its length, as sentence encoders do when they compare
        texts. Heads learn better from the vector as it is.

    Raises:
      UserError: no such transformer or option, or a package is missing.
    """
    if pool not in ("", *POOLS):
        raise unknown_name("pool of a transformer", pool, POOLS)
    random = weights == "none"
    parts = _restored(assets) if assets else _loaded(place, random=random)
    if weights not in ("none", "pretrained"):
        raise UserError(
            f"--weights={weights} cannot be read into {name}.",
            "A transformer brings its weights along; --weights=none leaves them out.",
        )
    pooling = pool or parts.pooling
    wanted = _checked(length or LENGTH)
    most = getattr(parts.transformer, "max_sequence_length", None) or wanted
    preprocessor = SubwordPreprocessor(
        min(wanted, most),
        parts.tokenizer,
        files=_files(parts),
        passed_over=type(parts.transformer).__name__ in PASS_OVER_PADDING,
    )
    padding = int(getattr(parts.tokenizer, "pad_token_id", 0) or 0)

    def built(transformer: Any) -> Any:
        _set_gelu(transformer, parts.gelu)
        return one_input_model(transformer, preprocessor.shape[0], padding)

    def fresh() -> keras.Model:
        return built(_again(type(parts.transformer), parts.transformer.get_config()))[0]

    keras.utils.set_random_seed(seed)
    model, stages = built(parts.transformer)
    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=stages,
        preprocessor=preprocessor,
        weights="none" if random else name,
        weights_sha256=parts.sha256,
        fresh=fresh,
        pooling=pooling,
        unit=bool(unit),
        assets=_files(parts),
        remarks=(
            _said(pooling, parts.unit and not unit),
            *parts.remarks,
            *([f"it reads at most {most} tokens"] if length > most else []),
        ),
    )


def _said(pooling: str, makers_scaled: bool) -> str:
    more = "; its makers divide it by its length, as unit=1 does" * makers_scaled
    return f"a text's vector is the {pooling} of its tokens'{more}"


def _loaded(place: str, *, random: bool) -> _Parts:
    models = _keras_hub().models
    folder = Path(place).expanduser()
    if not folder.is_dir() and place not in models.Backbone.presets:
        raise unknown_name("backbone of text", place, ["word_vectors", *models.Backbone.presets])
    try:
        with hugging_face.completed(folder) if folder.is_dir() else nullcontext(place) as found:
            transformer = models.Backbone.from_preset(str(found), load_weights=not random)
            tokenizer = models.Tokenizer.from_preset(str(found))
        if not random:
            hugging_face.add_token_types(folder, transformer)
    except UserError:
        raise
    except Exception as error:  # of kagglehub, safetensors, h5py and KerasHub
        said = " ".join(str(error).split())[:300]
        raise UserError(
            f"The transformer {place} cannot be loaded: {said}",
            "Give the folder of a KerasHub preset, or one with config.json, model.safetensors "
            "and the tokenizer's files."
            if folder.is_dir()
            else "Connect, or give the folder of a preset that was fetched elsewhere.",
        ) from None
    if not hugging_face.settings_of(folder):
        return _Parts(transformer=transformer, tokenizer=tokenizer, pooling=_pool(transformer))
    return _of_folder(folder, transformer, tokenizer)


def _of_folder(folder: Path, transformer: Any, tokenizer: Any) -> _Parts:
    """What the files beside the weights say, where KerasHub does not look."""
    config, settings = hugging_face.settings_of(folder), hugging_face.tokenizer_settings(folder)
    if hasattr(tokenizer, "strip_accents"):
        strip = settings.get("strip_accents")
        tokenizer.strip_accents = bool(settings["do_lower_case"] if strip is None else strip)
    activation = config.get("hidden_act") or config.get("activation") or ""
    gelu = "exact" if activation == _EXACT_GELU else "approximate" * ("gelu" in activation)
    weights = folder / "model.safetensors"
    return _Parts(
        transformer=transformer,
        tokenizer=tokenizer,
        gelu=gelu,
        pooling=hugging_face.pooling_of(folder) or _pool(transformer),
        unit=hugging_face.is_scaled(folder),
        remarks=hugging_face.remarks(folder),
        sha256=file_sha256(weights) if weights.is_file() else "",
    )


def _pool(transformer: Any) -> str:
    """Of a decoder, only the last token has seen the whole text."""
    blocks = blocks_of(transformer)
    return "last" if blocks and "Decoder" in type(blocks[0]).__name__ else "mean"


def _set_gelu(transformer: Any, gelu: str) -> None:
    """Lets the blocks compute the activation that their weights were trained with."""
    for block in blocks_of(transformer) if gelu else []:
        set_feedforward_activation(block, _GELUS[gelu])


@keras.saving.register_keras_serializable("tftransfer")
def approximate_gelu(x: Any) -> Any:
    """GELU by the hyperbolic tangent (Hendrycks & Gimpel, 2016)."""
    return keras.activations.gelu(x, approximate=True)


_GELUS = {"exact": keras.activations.gelu, "approximate": approximate_gelu}


def _files(parts: _Parts) -> Mapping[str, bytes]:
    """Settings as JSON, and the tokenizer's vocabulary as KerasHub writes it."""
    settings = {
        "transformer": {
            "class": type(parts.transformer).__name__,
            "config": _plain(parts.transformer.get_config()),
        },
        "tokenizer": {
            "class": type(parts.tokenizer).__name__,
            "config": _plain(parts.tokenizer.get_config()),
        },
        "gelu": parts.gelu,
        "pooling": parts.pooling,
        "unit": parts.unit,
    }
    with tempfile.TemporaryDirectory() as folder:
        parts.tokenizer.save_assets(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return {_FILE: json.dumps(settings, indent=1, sort_keys=True).encode(), **files}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without precision and name, which are the new one's own."""
    return {key: value for key, value in config.items() if key not in ("dtype", "name")}


def _restored(folder: Path) -> _Parts:
    models, settings = _keras_hub().models, read_json(folder / _FILE)
    made = {
        part: _again(getattr(models, settings[part]["class"]), settings[part]["config"])
        for part in ("transformer", "tokenizer")
    }
    made["tokenizer"].load_assets(str(folder))
    return _Parts(**made, gelu=settings["gelu"], pooling=settings["pooling"], unit=settings["unit"])


def _again(made_by: Any, config: Mapping[str, Any]) -> Any:
    return made_by.from_config(_plain(config))


def _checked(length: int) -> int:
    if length < 3:
        raise UserError(f"--length={length} leaves no room for words.", "Give at least 3.")
    return length


def _keras_hub() -> Any:
    try:
        import tensorflow_text  # noqa: F401  (its operations tokenize)

        import keras_hub  # isort: skip
    except ImportError as error:
        raise UserError(
            f"Transformers of text need KerasHub and TensorFlow Text: {error}",
            "pip install 'tftransfer[text]'",
        ) from None
    return keras_hub
