"""Audio backbones by name: own networks, Whisper, TF-Hub modules, and image networks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from tftransfer.backbones.audio.small_cnn import small_cnn
from tftransfer.backbones.audio.tfhub import load_module
from tftransfer.backbones.audio.whisper import MAX_SECONDS, load_whisper
from tftransfer.backbones.audio.windows import in_windows
from tftransfer.backbones.audio.yamnet import build_yamnet, yamnet_stages
from tftransfer.backbones.audio.yamnet_weights import PUBLISHED, load_yamnet
from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.image.load import load_image_backbone
from tftransfer.backbones.names import is_module
from tftransfer.backbones.options import (
    NO_WEIGHTS,
    PRETRAINED,
    LoadOptions,
    check_counts,
    check_options,
)
from tftransfer.backbones.stages import Stage, cut_into_stages
from tftransfer.checkpoints.weight_files import load_weights
from tftransfer.core.run_files import is_run
from tftransfer.core.typing import KerasModel
from tftransfer.data.download import local_path
from tftransfer.preprocessing.audio.checks import LONG_SECONDS
from tftransfer.preprocessing.audio.preprocessors import LogMelPreprocessor, SpectrogramPreprocessor
from tftransfer.utils.errors import UserError
from tftransfer.utils.registry import parse_options

# One patch of YAMNet.
_MIN_SECONDS = 0.975
_WINDOW_SECONDS = 10.0
# All patches or windows of a clip, unless `length` is given: to train all of YAMNet on 32 clips of
# 30 s takes 13 GB of memory, of 60 s 20 GB.
MAX_SECONDS_OF_WINDOWS = 30.0
_SPECTROGRAM_SIZE_PIXELS = 160
# So that a length which is a multiple of the window is not rounded up.
_ROUNDING = 1e-6

_Cutter: TypeAlias = Callable[[KerasModel], tuple[Stage, ...]]
_OWN: Mapping[str, tuple[Callable[..., KerasModel], _Cutter]] = {
    "yamnet": (build_yamnet, yamnet_stages),
    "small_cnn": (small_cnn, cut_into_stages),
}


def load_audio_backbone(name: str, options: LoadOptions) -> Backbone:
    """Loads an audio backbone.

    Args:
      name: `yamnet`, `small_cnn`, `whisper_tiny_en` and other presets of Whisper, a TF-Hub module,
        or an image network, which then processes spectrograms; with options.
      options: `length` is the number of seconds that are read of a clip, 0 for 0.975, and
        `image_size` the side of the spectrograms for image networks, in pixels, 0 for 160.

    Raises:
      UserError: There is no such backbone, option or weights.
    """
    options = replace(options, length=options.length or _MIN_SECONDS)
    if options.length < _MIN_SECONDS:
        raise UserError(
            f"--length={options.length:g} is too short.", f"Give at least {_MIN_SECONDS} seconds."
        )
    base, arguments = parse_options(name)
    if base in _OWN:
        return _load_own(name, base, arguments, options)
    if _is_whisper(base):
        preset = str(arguments.pop("preset", "")) if base == "whisper" else base
        return load_whisper(name, preset, arguments, options)
    plain, window = _split_window(name)
    module = load_module(plain, options)
    if module is not None and plain == name:
        return module
    if module is not None or is_run(plain):
        raise UserError(
            f"--backbone={name}: window= is for image networks.", f"Give {plain} alone."
        )
    size = options.image_size or _SPECTROGRAM_SIZE_PIXELS
    images = load_image_backbone(plain, replace(options, image_size=size))
    return replace(on_spectrograms(images, options.length, window), name=name, architecture=name)


def image_backbone_of(name: str) -> str:
    """Returns the image network of an audio backbone; "" for networks of audio alone."""
    base = parse_options(name)[0]
    return "" if base in _OWN or _is_whisper(base) else _split_window(name)[0]


def max_seconds(name: str) -> float:
    """Returns how many seconds of long clips are read unless `length` is given.

    It is more for networks that process a clip in patches or windows of their training's length.
    """
    base, image_name = parse_options(name)[0], image_backbone_of(name)
    if _is_whisper(base):
        return MAX_SECONDS
    in_patches = base == "yamnet" or (image_name and not is_module(image_name))
    return MAX_SECONDS_OF_WINDOWS if in_patches else LONG_SECONDS


def _is_whisper(base: str) -> bool:
    return base.partition("_")[0] == "whisper"


def _load_own(
    name: str, base: str, arguments: Mapping[str, object], options: LoadOptions
) -> Backbone:
    (build, cut), preprocessor = _OWN[base], LogMelPreprocessor(length=options.length)
    build = functools.partial(build, preprocessor.shape[0])
    check_options(base, build, arguments)
    check_counts(base, arguments, ("hop", "width", "depth"))
    try:
        model = build(**arguments)
    except UserError:
        raise
    except ValueError:  # halved more often than there are frames or bands
        raise UserError(
            f"The backbone {name} cannot be built for {options.length:g} s of audio.",
            "Give fewer stages by depth, or a longer --length.",
        ) from None
    weights, digest, remarks = _give_weights(base, model, options)
    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=cut(model),
        preprocessor=preprocessor,
        weights=weights,
        weights_sha256=digest,
        remarks=remarks,
        build=lambda: build(**arguments),
    )


def _give_weights(
    base: str, model: KerasModel, options: LoadOptions
) -> tuple[str, str, tuple[str, ...]]:
    """Loads the weights of an own network; returns their name, their hash and remarks."""
    weights = options.weights
    if weights == NO_WEIGHTS:
        return weights, "", ()
    if base == "yamnet":
        place = PUBLISHED if weights == PRETRAINED else weights
        digest, remarks = load_yamnet(model, local_path(place, options.cache_folder))
        return "AudioSet" if weights == PRETRAINED else weights, digest, remarks
    if weights == PRETRAINED:
        raise UserError(f"{base} has no published weights.", "Give --weights=none.")
    return weights, load_weights(model, local_path(weights, options.cache_folder)), ()


def on_spectrograms(backbone: Backbone, length: float, window: float = _WINDOW_SECONDS) -> Backbone:
    """Returns an image network on log-mel spectrograms, after Palanisamy et al. (2020).

    Args:
      backbone: A backbone of images.
      length: Seconds that are read of a clip.
      window: Seconds that one spectrogram shows at most; longer clips become several.
    """
    size = backbone.preprocessor.image_size  # type: ignore[attr-defined]
    count = max(1, math.ceil(length / window - _ROUNDING))
    preprocessor = SpectrogramPreprocessor(length=length, image_size=size, windows=count)
    remark = f"clips become log-mel spectrograms of {size} px, the same in three color channels"
    if count > 1:
        backbone = in_windows(backbone, count)
        remark += f", {count} in a row, whose features are averaged"
    return replace(backbone, preprocessor=preprocessor, remarks=(*backbone.remarks, remark))


def _split_window(name: str) -> tuple[str, float]:
    """Returns the name without the option `window`, and its seconds, 10 where it is omitted."""
    base, colon, options = name.rpartition(":")
    found = [each for each in options.split(",") if each.startswith("window=")]
    if not found or not colon:
        return name, _WINDOW_SECONDS
    try:
        window = float(found[0].removeprefix("window="))
    except ValueError:
        window = 0.0
    if not window > 0:
        raise UserError(
            f"--backbone={name}: {found[0]} is not a number of seconds.", "Give one above 0."
        )
    others = ",".join(each for each in options.split(",") if each not in found)
    return base + (f":{others}" if others else ""), window
