"""Transformers of text through KerasHub: presets by name or folder, and Hugging Face's folders."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import keras

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.options import NO_WEIGHTS, PRETRAINED, LoadOptions
from tftransfer.backbones.stages import Stage
from tftransfer.backbones.text import hugging_face
from tftransfer.backbones.text.transformer_stages import blocks_of, one_input_model
from tftransfer.core.serialization import read_json
from tftransfer.core.typing import KerasModel, Tensor
from tftransfer.preprocessing.text.subword_preprocessor import SubwordPreprocessor
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.files import file_sha256
from tftransfer.utils.keras_internals import set_feedforward_activation

# KerasHub is an optional dependency without type stubs.
Tokenizer: TypeAlias = Any

POOLS = ("mean", "max", "first", "last")
DEFAULT_LENGTH_TOKENS = 128
_MIN_LENGTH_TOKENS = 3
_MESSAGE_CHARACTERS = 300
# Tested to give the same output without the padding at the end. FNet mixes all positions, and
# XLNet and ESM depend on the padding.
IGNORES_PADDING = (
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
_SETTINGS_FILE = "transformer.json"
# Hugging Face's name of the exact GELU; KerasHub's encoders always use the approximate one.
_EXACT_GELU = "gelu"


@dataclass(frozen=True, kw_only=True)
class _Transformer:
    """A transformer with its tokenizer and how its makers use it.

    Attributes:
      model: KerasHub's backbone.
      tokenizer: KerasHub's tokenizer.
      gelu: `exact`, `approximate`, or "" where KerasHub's own activation is right.
      pooling: The makers' pooling, one of `POOLS`.
      unit_length: Whether the makers scale the pooled vector to length 1.
      sha256: Hash of the weights file, where there is one.
      remarks: What the plan prints about it.
    """

    model: KerasModel
    tokenizer: Tokenizer
    gelu: str = ""
    pooling: str = "mean"
    unit_length: bool = False
    sha256: str = ""
    remarks: tuple[str, ...] = ()


def load_transformer(
    name: str, place: str, options: LoadOptions, *, pool: str = "", unit: int = 0
) -> Backbone:
    """Loads a transformer: `stage1` is the embedding, and each block is a stage.

    Args:
      name: The name as the user gave it.
      place: Name of a KerasHub preset, its folder, or one in Hugging Face's format.
      options: `weights` is `none` for random ones, and otherwise those that come with it; `length`
        is the number of tokens that are read, 0 for 128.
      pool: `mean`, `max`, `first` or `last` of the tokens' vectors; "" for the makers' pooling.
      unit: 1 divides the vector of a text by its length, as sentence encoders do when they compare
        texts. Heads learn better from the vector as it is.

    Raises:
      UserError: There is no such transformer or option, or a package is missing.
    """
    if pool not in ("", *POOLS):
        raise unknown_name("pool of a transformer", pool, POOLS)
    random = options.weights == NO_WEIGHTS
    stored = options.assets_folder
    found = _load_stored(stored) if stored else _load(place, random=random)
    if options.weights not in (NO_WEIGHTS, PRETRAINED):
        raise UserError(
            f"--weights={options.weights} cannot be loaded into {name}.",
            "A transformer comes with its weights; --weights=none gives random ones.",
        )
    preprocessor = _preprocessor(found, _checked_length(int(options.length)))
    padding = int(getattr(found.tokenizer, "pad_token_id", 0) or 0)

    def cut(transformer: KerasModel) -> tuple[KerasModel, tuple[Stage, ...]]:
        _set_gelu(transformer, found.gelu)
        return one_input_model(transformer, preprocessor.shape[0], padding)

    def build() -> KerasModel:
        return cut(_from_config(type(found.model), found.model.get_config()))[0]

    keras.utils.set_random_seed(options.seed)
    model, stages = cut(found.model)
    pooling = pool or found.pooling
    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=stages,
        preprocessor=preprocessor,
        weights=NO_WEIGHTS if random else name,
        weights_sha256=found.sha256,
        build=build,
        pooling=pooling,
        unit_length=bool(unit),
        assets=_assets(found),
        remarks=(
            _pooling_remark(pooling, found.unit_length and not unit),
            *found.remarks,
            *_length_remark(found, int(options.length)),
        ),
    )


def _preprocessor(found: _Transformer, length: int) -> SubwordPreprocessor:
    return SubwordPreprocessor(
        min(length, _max_length(found) or length),
        found.tokenizer,
        files=_assets(found),
        ignores_padding=type(found.model).__name__ in IGNORES_PADDING,
    )


def _max_length(found: _Transformer) -> int:
    """Returns the number of tokens that the transformer accepts at most; 0 for any number."""
    return getattr(found.model, "max_sequence_length", None) or 0


def _length_remark(found: _Transformer, length: int) -> tuple[str, ...]:
    most = _max_length(found)
    return (f"it reads at most {most} tokens",) if 0 < most < length else ()


def _pooling_remark(pooling: str, makers_scale: bool) -> str:
    more = "; its makers divide it by its length, as unit=1 does" * makers_scale
    return f"a text's vector is the {pooling} of its tokens'{more}"


def _checked_length(length: int) -> int:
    length = length or DEFAULT_LENGTH_TOKENS
    if length < _MIN_LENGTH_TOKENS:
        raise UserError(
            f"--length={length} leaves no room for words.", f"Give at least {_MIN_LENGTH_TOKENS}."
        )
    return length


def _load(place: str, *, random: bool) -> _Transformer:
    models = _keras_hub().models
    folder = Path(place).expanduser()
    if not folder.is_dir() and place not in models.Backbone.presets:
        raise unknown_name("text backbone", place, ["word_vectors", *models.Backbone.presets])
    try:
        with hugging_face.completed(folder) if folder.is_dir() else nullcontext(place) as source:
            model = models.Backbone.from_preset(str(source), load_weights=not random)
            tokenizer = models.Tokenizer.from_preset(str(source))
        if not random:
            hugging_face.add_token_types(folder, model)
    except UserError:
        raise
    except Exception as error:  # of kagglehub, safetensors, h5py and KerasHub
        message = " ".join(str(error).split())[:_MESSAGE_CHARACTERS]
        raise UserError(
            f"The transformer {place} cannot be loaded: {message}",
            "Give the folder of a KerasHub preset, or one with config.json, model.safetensors "
            "and the tokenizer's files."
            if folder.is_dir()
            else "Check the network connection, or download the preset elsewhere and give its "
            "folder.",
        ) from None
    if not hugging_face.settings_of(folder):
        return _Transformer(model=model, tokenizer=tokenizer, pooling=_default_pooling(model))
    return _with_settings(folder, model, tokenizer)


def _with_settings(folder: Path, model: KerasModel, tokenizer: Tokenizer) -> _Transformer:
    """Applies settings of Hugging Face's files that KerasHub does not read."""
    config, settings = hugging_face.settings_of(folder), hugging_face.tokenizer_settings(folder)
    if hasattr(tokenizer, "strip_accents"):
        strip = settings.get("strip_accents")
        tokenizer.strip_accents = bool(settings["do_lower_case"] if strip is None else strip)
    activation = config.get("hidden_act") or config.get("activation") or ""
    gelu = "exact" if activation == _EXACT_GELU else "approximate" * ("gelu" in activation)
    weights = folder / "model.safetensors"
    return _Transformer(
        model=model,
        tokenizer=tokenizer,
        gelu=gelu,
        pooling=hugging_face.pooling_of(folder) or _default_pooling(model),
        unit_length=hugging_face.scales_to_unit_length(folder),
        remarks=hugging_face.remarks(folder),
        sha256=file_sha256(weights) if weights.is_file() else "",
    )


def _default_pooling(model: KerasModel) -> str:
    """Returns `last` for a decoder, of which only the last token depends on the whole text."""
    blocks = blocks_of(model)
    return "last" if blocks and "Decoder" in type(blocks[0]).__name__ else "mean"


def _set_gelu(model: KerasModel, gelu: str) -> None:
    """Sets the activation that the blocks' weights were trained with."""
    for block in blocks_of(model) if gelu else []:
        set_feedforward_activation(block, _GELUS[gelu])


@keras.saving.register_keras_serializable("tftransfer")
def approximate_gelu(x: Tensor) -> Tensor:
    """Computes GELU by the hyperbolic tangent (Hendrycks & Gimpel, 2016)."""
    return keras.activations.gelu(x, approximate=True)


_GELUS = {"exact": keras.activations.gelu, "approximate": approximate_gelu}


def _assets(found: _Transformer) -> Mapping[str, bytes]:
    """Returns the settings as JSON, and the tokenizer's files as KerasHub writes them."""
    settings = {
        "transformer": _class_and_config(found.model),
        "tokenizer": _class_and_config(found.tokenizer),
        "gelu": found.gelu,
        "pooling": found.pooling,
        "unit_length": found.unit_length,
    }
    with tempfile.TemporaryDirectory() as folder:
        found.tokenizer.save_assets(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return {_SETTINGS_FILE: json.dumps(settings, indent=1, sort_keys=True).encode(), **files}


def _class_and_config(instance: KerasModel | Tokenizer) -> dict[str, object]:
    return {"class": type(instance).__name__, "config": _portable(instance.get_config())}


def _portable(config: Mapping[str, object]) -> dict[str, object]:
    """Returns a configuration without precision and name, which the new object chooses."""
    return {key: value for key, value in config.items() if key not in ("dtype", "name")}


def _load_stored(folder: Path) -> _Transformer:
    """Builds the transformer of a run again; its weights are those of the run."""
    models, settings = _keras_hub().models, read_json(folder / _SETTINGS_FILE)
    model, tokenizer = (
        _from_config(getattr(models, settings[each]["class"]), settings[each]["config"])
        for each in ("transformer", "tokenizer")
    )
    tokenizer.load_assets(str(folder))
    return _Transformer(
        model=model,
        tokenizer=tokenizer,
        gelu=settings["gelu"],
        pooling=settings["pooling"],
        unit_length=settings["unit_length"],
    )


def _from_config(cls: type, config: Mapping[str, object]) -> Any:
    return cls.from_config(_portable(config))  # type: ignore[attr-defined]


def _keras_hub() -> ModuleType:
    try:
        import tensorflow_text  # noqa: F401  (its operations tokenize)

        import keras_hub  # isort: skip
    except ImportError as error:
        raise UserError(
            f"Transformers of text need KerasHub and TensorFlow Text: {error}",
            "pip install 'tftransfer[text]'",
        ) from None
    return keras_hub
