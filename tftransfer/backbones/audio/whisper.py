"""Whisper's encoder (Radford et al., 2023) through KerasHub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.load import check_counts
from tftransfer.backbones.stages import cut_after
from tftransfer.preprocessing.audio.whisper_mel import WhisperPreprocessor
from tftransfer.utils.errors import UserError, unknown_name

WHOLE = 30.0  # seconds
_SIZES = {"layers": 4, "heads": 6, "width": 384}
_LAST = "encoder_layer_norm"


def load_whisper(
    name: str, preset: str, options: dict[str, Any], weights: str, length: float
) -> Backbone:
    """The encoder as stages: the convolutions, then a block each; its sequence is averaged.

    Args:
      name: as given by the user.
      preset: of KerasHub, such as `whisper_tiny_en`, or a folder that holds one; "" for random
        weights in the sizes of `options`.
      options: `layers`, `heads` and `width` where there is no preset.
      weights: `none` for random weights of a preset.
      length: seconds that are heard of a clip, at most 30.

    Raises:
      UserError: KerasHub is not installed, or has no such preset; an option that cannot be; a
        length above 30 s.
    """
    if length > WHOLE:
        raise UserError(f"Whisper hears {WHOLE:g} s, not {length:g}.", "Give --length=30.")
    if weights not in ("pretrained", "none"):
        raise UserError(
            "Whisper's weights come with its preset.", f"Give --backbone=whisper:preset={weights}."
        )
    _check_options(preset, options)
    whole = _preset(preset, weights != "none") if preset else _random({**_SIZES, **options})
    preprocessor = WhisperPreprocessor(length=length, bands=whole.num_mels)
    model = _encoder(whole, preprocessor.shape)
    blocks = [layer.name for layer in whole.encoder_transformer_layers]
    stages = cut_after(model, ["encoder_embeddings_dropout", *blocks[:-1], _LAST])

    def fresh() -> keras.Model:
        new = type(whole).from_config(whole.get_config())
        return _encoder(new, preprocessor.shape)

    pretrained = bool(preset) and weights != "none"
    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=stages,
        preprocessor=preprocessor,
        fresh=fresh,
        weights=f"KerasHub's {preset}" if pretrained else "none",
    )


def _hub() -> Any:
    try:
        import keras_hub
    except ImportError:
        raise UserError(
            "Whisper needs the package keras-hub.", "pip install 'tftransfer[audio]'"
        ) from None
    return keras_hub


def _preset(preset: str, load_weights: bool) -> Any:
    backbone = _hub().models.WhisperBackbone
    place = Path(preset).expanduser()
    known = [*backbone.presets]
    if not place.is_dir() and "/" not in preset and preset not in known:
        raise unknown_name("preset of Whisper", preset, known)
    try:
        return backbone.from_preset(
            str(place) if place.is_dir() else preset, load_weights=load_weights
        )
    except Exception as error:  # of KerasHub, Kaggle and the network
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"The preset {preset} could not be loaded: {said}",
            "Without a network, download it elsewhere and give --backbone=whisper:preset=FOLDER.",
        ) from None


def _check_options(preset: str, options: dict[str, Any]) -> None:
    if preset and options:
        raise UserError(
            f"The preset {preset} of Whisper has its own sizes, and {next(iter(options))} was "
            "given.",
            "Leave that out, or give --backbone=whisper:layers=N for random weights.",
        )
    for option in options:
        if option not in _SIZES:
            raise unknown_name("option of backbone whisper", option, ["preset", *_SIZES])
    check_counts("whisper", options, _SIZES)


def _random(sizes: dict[str, int]) -> Any:
    if sizes["width"] % sizes["heads"]:
        raise UserError(
            f"Whisper's width {sizes['width']} is no multiple of its {sizes['heads']} heads.",
            "Give --backbone=whisper:heads=6,width=384 or the like.",
        )
    return _hub().models.WhisperBackbone(
        vocabulary_size=8,
        num_layers=sizes["layers"],
        num_heads=sizes["heads"],
        hidden_dim=sizes["width"],
        intermediate_dim=4 * sizes["width"],
        max_decoder_sequence_length=8,
    )


def _encoder(whole: Any, shape: tuple[int, ...]) -> keras.Model:
    x = spectrogram = keras.Input(shape, name="log_mel")
    x = keras.layers.Activation("gelu", name="encoder_gelu_1")(whole.encoder_conv_layer_1(x))
    x = whole.encoder_conv_layer_2(whole.encoder_padder(x))
    x = keras.layers.Activation("gelu", name="encoder_gelu_2")(x)
    x = whole.encoder_embeddings_add((x, whole.encoder_position_embedding(x)))
    x = whole.encoder_embeddings_dropout(x)
    for layer in whole.encoder_transformer_layers:
        x = layer(x)
    return keras.Model(spectrogram, whole.encoder_layer_norm(x), name="whisper")
