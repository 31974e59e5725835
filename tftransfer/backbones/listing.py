"""What backbones exist: name, one line, options, parameters and input size of each."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from tftransfer.backbones.audio.small_cnn import small_cnn
from tftransfer.backbones.audio.yamnet import build_yamnet
from tftransfer.backbones.image import small_cnn as _registers_small_cnn  # noqa: F401
from tftransfer.backbones.image.applications import application_names, default_image_size
from tftransfer.backbones.image.parameter_counts import PARAMETER_COUNTS
from tftransfer.backbones.options import option_defaults
from tftransfer.backbones.registry import BACKBONES, Registration
from tftransfer.backbones.text.transformers import DEFAULT_LENGTH_TOKENS, load_transformer
from tftransfer.backbones.text.word_vectors import DEFAULT_LENGTH_WORDS, load_word_vectors
from tftransfer.preprocessing import MODALITIES
from tftransfer.utils.errors import check_known

# Arguments of loaders and builders that are not worth listing as options.
_UNLISTED_OPTIONS = ("frames", "include_preprocessing", "name", "options", "place", "pooling")
_YAMNET_PARAMETERS = 3_217_344
# KerasHub's families of text encoders, and of decoders of moderate size.
_TEXT_FAMILIES = (
    "AlbertBackbone",
    "BertBackbone",
    "DebertaV3Backbone",
    "DistilBertBackbone",
    "ElectraBackbone",
    "GPT2Backbone",
    "RobertaBackbone",
    "XLMRobertaBackbone",
)


@dataclass(frozen=True, kw_only=True)
class BackboneInfo:
    """What is known about a backbone without building it.

    Attributes:
      name: Name for `Experiment.backbone`.
      modality: `image`, `text` or `audio`. Image backbones also take audio, as spectrograms.
      summary: One line about it.
      options: Options with their default values.
      parameters: Number of parameters with the default options, without a head; None if unknown.
      input_size: Default size of the input, in words.
      weights: What its pretrained weights were trained on; "" where there are none.

    Example:
      >>> import tftransfer
      >>> print(tftransfer.list_backbones("small_cnn", modality="image")[0].options)
      {'width': 16, 'depth': 3}
    """

    name: str
    modality: str
    summary: str
    options: Mapping[str, object] = field(default_factory=dict)
    parameters: int | None = None
    input_size: str = ""
    weights: str = ""

    def __str__(self) -> str:
        parameters = "" if self.parameters is None else f"{self.parameters / 1e6:.1f} M"
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        line = (
            f"{self.name:<38} {self.modality:<5} {parameters:>9} {self.input_size:>11}  "
            f"{self.summary}{f'; weights: {self.weights}' if self.weights else ''}"
        )
        return f"{line}; options: {options}" if options else line


def list_backbones(pattern: str = "*", *, modality: str = "") -> list[BackboneInfo]:
    """Returns the backbones that have a name, those of KerasHub included where it is installed.

    TF-Hub modules, folders of transformers and runs are backbones too, and so are KerasHub's other
    text presets.

    Args:
      pattern: Shell pattern of names, such as `mobilenet*`.
      modality: `image`, `text` or `audio`; "" for all.

    Raises:
      UserError: There is no such modality.

    Example:
      >>> import tftransfer
      >>> small = tftransfer.list_backbones("mobilenet_v?", modality="image")[0]
      >>> small.name, small.parameters, small.input_size, small.options["alpha"]
      ('mobilenet_v2', 2257984, '224 px', 1.0)
    """
    if modality:
        check_known("modality", modality, MODALITIES, "list_backbones")
    listers = {"image": _image, "text": _text, "audio": _audio}
    chosen = [modality] if modality else list(listers)
    found = [each for name in chosen for each in listers[name]()]
    return [each for each in found if fnmatch.fnmatchcase(each.name, pattern)]


def _image() -> Iterator[BackboneInfo]:
    for name, constructor in sorted(application_names().items()):
        yield BackboneInfo(
            name=name,
            modality="image",
            summary=f"keras.applications.{constructor.__name__}",
            options=_options(constructor),
            parameters=PARAMETER_COUNTS.get(name),
            input_size=f"{default_image_size(constructor)} px",
            weights="ImageNet",
        )
    for name, entry in sorted(BACKBONES.items()):
        yield _registered(name, entry)


def _registered(name: str, entry: Registration) -> BackboneInfo:
    size = next(iter(inspect.signature(entry.build).parameters))
    options = {name: value for name, value in _options(entry.build).items() if name != size}
    return BackboneInfo(
        name=name,
        modality="image",
        summary=_first_line(entry.build),
        options=options,
        input_size=f"{entry.image_size} px",
        weights="its builder's" if entry.takes_weights or entry.pretrained else "",
    )


def _text() -> Iterator[BackboneInfo]:
    yield BackboneInfo(
        name="word_vectors",
        modality="text",
        summary="mean of word vectors from a file of GloVe, word2vec or fastText",
        options=_options(load_word_vectors),
        input_size=f"{DEFAULT_LENGTH_WORDS} words",
    )
    options = _options(load_transformer)
    for name, metadata in _presets(*_TEXT_FAMILIES):
        yield BackboneInfo(
            name=name,
            modality="text",
            summary=_first_sentence(metadata),
            options=options,
            parameters=metadata.get("params"),
            input_size=f"{DEFAULT_LENGTH_TOKENS} tokens",
            weights="KerasHub's",
        )


def _audio() -> Iterator[BackboneInfo]:
    yield BackboneInfo(
        name="yamnet",
        modality="audio",
        summary="MobileNet v1 on patches of a log-mel spectrogram",
        options=_options(build_yamnet),
        parameters=_YAMNET_PARAMETERS,
        input_size="0.975 s",
        weights="AudioSet",
    )
    yield BackboneInfo(
        name="small_cnn",
        modality="audio",
        summary=_first_line(small_cnn),
        options=_options(small_cnn),
        input_size="0.975 s",
    )
    for name, metadata in _presets("WhisperBackbone"):
        yield BackboneInfo(  # KerasHub's number of parameters includes the decoder
            name=name,
            modality="audio",
            summary=f"encoder of a {_first_sentence(metadata)}",
            input_size="30 s",
            weights="KerasHub's",
        )


def _presets(*families: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields name and metadata of KerasHub's presets; nothing where it is not installed."""
    hub = _keras_hub()
    if hub is None:
        return
    for family in families:
        for name, preset in getattr(hub.models, family).presets.items():
            yield name, preset["metadata"]


def _keras_hub() -> ModuleType | None:
    try:
        import keras_hub
    except ImportError:
        return None
    return keras_hub


def _first_sentence(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("description", "")).partition(". ")[0].rstrip(".")


def _options(function: Callable[..., object]) -> dict[str, object]:
    defaults = option_defaults(function)
    return {name: value for name, value in defaults.items() if name not in _UNLISTED_OPTIONS}


def _first_line(function: Callable[..., object]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0].rstrip(".")
