"""Whisper's encoder (Radford et al., 2023) through KerasHub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import keras

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.options import NO_WEIGHTS, PRETRAINED, LoadOptions, check_counts
from tftransfer.backbones.stages import cut_after
from tftransfer.core.typing import KerasModel, Shape
from tftransfer.preprocessing.audio.whisper_mel import WhisperPreprocessor
from tftransfer.utils.errors import UserError, unknown_name

# KerasHub is an optional dependency without type stubs.
Whisper: TypeAlias = Any

MAX_SECONDS = 30.0
# Those of whisper_tiny.
_DEFAULT_SIZES = {"layers": 4, "heads": 6, "width": 384}
# The decoder and its vocabulary are not used, so they are as small as KerasHub allows.
_UNUSED_SIZE = 8
_LAST_LAYER = "encoder_layer_norm"
_MESSAGE_CHARACTERS = 200


def load_whisper(
    name: str, preset: str, sizes: Mapping[str, object], options: LoadOptions
) -> Backbone:
    """Loads the encoder: `stage1` is the convolutions, and each block is a stage.

    Args:
      name: The name as the user gave it.
      preset: Preset of KerasHub, such as `whisper_tiny_en`, or a folder that holds one; "" for
        random weights in the sizes of `sizes`.
      sizes: `layers`, `heads` and `width` where there is no preset.
      options: `weights` is `none` for random weights; `length` is the number of seconds that are
        read of a clip, at most 30.

    Raises:
      UserError: KerasHub is not installed or has no such preset, or an option is out of range.
    """
    if options.length > MAX_SECONDS:
        raise UserError(
            f"Whisper accepts at most {MAX_SECONDS:g} s of audio, got {options.length:g} s.",
            f"Give --length={MAX_SECONDS:g}.",
        )
    if options.weights not in (PRETRAINED, NO_WEIGHTS):
        raise UserError(
            "Whisper's weights come with its preset.",
            f"Give --backbone=whisper:preset={options.weights}.",
        )
    _check_sizes(preset, sizes)
    pretrained = bool(preset) and options.weights != NO_WEIGHTS
    whisper = _from_preset(preset, pretrained) if preset else _random({**_DEFAULT_SIZES, **sizes})
    preprocessor = WhisperPreprocessor(length=options.length, bands=whisper.num_mels)
    model = _encoder(whisper, preprocessor.shape)
    blocks = [layer.name for layer in whisper.encoder_transformer_layers]

    def build() -> KerasModel:
        return _encoder(type(whisper).from_config(whisper.get_config()), preprocessor.shape)

    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=cut_after(model, ["encoder_embeddings_dropout", *blocks[:-1], _LAST_LAYER]),
        preprocessor=preprocessor,
        build=build,
        weights=f"KerasHub's {preset}" if pretrained else NO_WEIGHTS,
    )


def _keras_hub() -> ModuleType:
    try:
        import keras_hub
    except ImportError:
        raise UserError(
            "Whisper needs the package keras-hub.", "pip install 'tftransfer[audio]'"
        ) from None
    return keras_hub


def _from_preset(preset: str, load_weights: bool) -> Whisper:
    cls = _keras_hub().models.WhisperBackbone
    folder = Path(preset).expanduser()
    known = [*cls.presets]
    if not folder.is_dir() and "/" not in preset and preset not in known:
        raise unknown_name("preset of Whisper", preset, known)
    try:
        return cls.from_preset(
            str(folder) if folder.is_dir() else preset, load_weights=load_weights
        )
    except Exception as error:  # of KerasHub, Kaggle and the network
        message = " ".join(str(error).split())[:_MESSAGE_CHARACTERS]
        raise UserError(
            f"The preset {preset} could not be loaded: {message}",
            "Without a network, download it elsewhere and give --backbone=whisper:preset=FOLDER.",
        ) from None


def _check_sizes(preset: str, sizes: Mapping[str, object]) -> None:
    if preset and sizes:
        raise UserError(
            f"The preset {preset} of Whisper has its own sizes, but {next(iter(sizes))} was given.",
            "Omit that, or give --backbone=whisper:layers=N for random weights.",
        )
    for option in sizes:
        if option not in _DEFAULT_SIZES:
            raise unknown_name("option of backbone whisper", option, ["preset", *_DEFAULT_SIZES])
    check_counts("whisper", sizes, _DEFAULT_SIZES)


def _random(sizes: Mapping[str, Any]) -> Whisper:
    if sizes["width"] % sizes["heads"]:
        raise UserError(
            f"Whisper's width {sizes['width']} is not a multiple of its {sizes['heads']} heads.",
            "Give --backbone=whisper:heads=6,width=384 or another pair.",
        )
    return _keras_hub().models.WhisperBackbone(
        vocabulary_size=_UNUSED_SIZE,
        num_layers=sizes["layers"],
        num_heads=sizes["heads"],
        hidden_dim=sizes["width"],
        intermediate_dim=4 * sizes["width"],
        max_decoder_sequence_length=_UNUSED_SIZE,
    )


def _encoder(whisper: Whisper, shape: Shape) -> KerasModel:
    x = spectrogram = keras.Input(shape, name="log_mel")
    x = keras.layers.Activation("gelu", name="encoder_gelu_1")(whisper.encoder_conv_layer_1(x))
    x = whisper.encoder_conv_layer_2(whisper.encoder_padder(x))
    x = keras.layers.Activation("gelu", name="encoder_gelu_2")(x)
    x = whisper.encoder_embeddings_add((x, whisper.encoder_position_embedding(x)))
    x = whisper.encoder_embeddings_dropout(x)
    for layer in whisper.encoder_transformer_layers:
        x = layer(x)
    return keras.Model(spectrogram, whisper.encoder_layer_norm(x), name="whisper")
