"""From what the user names to a `Backbone` of audio."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from tftransfer.backbones import load as general
from tftransfer.backbones.audio.small_cnn import small_cnn
from tftransfer.backbones.audio.tfhub import load_module
from tftransfer.backbones.audio.whisper import WHOLE, load_whisper
from tftransfer.backbones.audio.windows import in_windows
from tftransfer.backbones.audio.yamnet import build_yamnet, yamnet_stages
from tftransfer.backbones.audio.yamnet_weights import PUBLISHED, load_yamnet
from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.stages import Stage, cut_into_stages
from tftransfer.backbones.weight_files import load_weights
from tftransfer.core.run_files import is_run
from tftransfer.data.download import local_path
from tftransfer.preprocessing.audio.checks import LONG
from tftransfer.preprocessing.audio.preprocessors import LogMelPreprocessor, SpectrogramPreprocessor
from tftransfer.utils.cache_dir import user_cache_dir
from tftransfer.utils.errors import UserError
from tftransfer.utils.registry import parse_options

# Seconds: as much as YAMNet hears at once, what one picture shows, and all patches or pictures
# where nobody says: to train all of YAMNet on 32 such clips takes 13 GB, of 60 s 20 GB.
_LENGTH, _WINDOW, _IN_PARTS = 0.975, 10.0, 30.0
_PICTURE = 160


def load_backbone(
    name: str,
    *,
    weights: str,
    image_size: int,
    seed: int,
    trust_code: bool,
    cache: Path | None,
    length: float,
    assets: Path | None = None,
) -> Backbone:
    """The backbone that `name` means: `yamnet`, `small_cnn`, `whisper_tiny_en` and the like,
    a TF-Hub module, or a network of pictures.

    Args:
      name: with its options.
      weights: `pretrained` stands for the published ones of each; `none`, a path or an https URL.
      image_size: side of the spectrograms for backbones of pictures, in pixels; 0 for 160.
      seed: of random weights.
      trust_code: allow TF-Hub modules, which are programs.
      cache: where downloaded weights are kept; the user's when None.
      length: seconds that are heard of a clip; 0 for 0.975.
      assets: not used.

    Raises:
      UserError: no such backbone, option or weights.
    """
    length = length or _LENGTH
    if length < _LENGTH:
        raise UserError(f"--length={length:g} is too short.", f"Give at least {_LENGTH} seconds.")
    base, options = parse_options(name)
    if base in _OWN:
        return _own(name, base, options, weights, length, cache or user_cache_dir())
    if _is_whisper(base):
        preset = options.pop("preset", "") if base == "whisper" else base
        return load_whisper(name, preset, options, weights, length)
    plain, window = _without_window(name)
    module = load_module(plain, trust_code=trust_code, length=length)
    if module is not None and plain == name:
        return module
    if module is not None or is_run(plain):
        raise UserError(
            f"--backbone={name}: window= is for networks of pictures.", f"Give {plain} alone."
        )
    pictures = general.load_backbone(
        plain,
        modality="image",
        weights=weights,
        image_size=image_size or _PICTURE,
        seed=seed,
        trust_code=trust_code,
        cache=cache,
    )
    return replace(_of_pictures(pictures, length, window), name=name, architecture=name)


def picture_name(name: str) -> str:
    """The network of pictures that a backbone of sounds is made of; "" for those of sound alone."""
    base = parse_options(name)[0]
    return "" if base in _OWN or _is_whisper(base) else _without_window(name)[0]


def longest(name: str) -> float:
    """Seconds that are heard of long clips when nobody says how many.

    Networks that hear them part by part, each as long as what they learnt on, hear more.
    """
    base, plain = parse_options(name)[0], picture_name(name)
    if _is_whisper(base):
        return WHOLE
    parted = base == "yamnet" or (plain and not general.is_module(plain))
    return _IN_PARTS if parted else LONG


def _is_whisper(base: str) -> bool:
    return base.partition("_")[0] == "whisper"


_Cutter = Callable[[keras.Model], tuple[Stage, ...]]
_OWN: dict[str, tuple[Callable[..., keras.Model], _Cutter]] = {
    "yamnet": (build_yamnet, yamnet_stages),
    "small_cnn": (small_cnn, cut_into_stages),
}


def _own(
    name: str, base: str, options: dict[str, Any], weights: str, length: float, cache: Path
) -> Backbone:
    (build, cut), preprocessor = _OWN[base], LogMelPreprocessor(length=length)
    fresh = functools.partial(build, preprocessor.shape[0])
    general.check_options(base, fresh, options)
    general.check_counts(base, options, ("hop", "width", "depth"))
    try:
        model = fresh(**options)
    except UserError:
        raise
    except ValueError:  # halved more often than there are frames or bands
        raise UserError(
            f"The backbone {name} cannot be built for {length:g} s of sound.",
            "Give fewer stages by depth, or a longer --length.",
        ) from None
    digest, remarks = "", tuple[str, ...]()
    if base == "yamnet" and weights != "none":
        path = local_path(PUBLISHED if weights == "pretrained" else weights, cache)
        digest, remarks = load_yamnet(model, path)
        weights = "AudioSet" if weights == "pretrained" else weights
    elif weights == "pretrained":
        raise UserError(f"{base} has no published weights.", "Give --weights=none.")
    elif weights != "none":
        digest = load_weights(model, local_path(weights, cache), sha256="")
    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=cut(model),
        preprocessor=preprocessor,
        weights=weights,
        weights_sha256=digest,
        remarks=remarks,
        fresh=lambda: fresh(**options),
    )


def _of_pictures(backbone: Backbone, length: float, window: float) -> Backbone:
    """A network of pictures on spectrograms, after Palanisamy et al. (2020).

    A picture shows at most `window` of the clip's `length` seconds.
    """
    size = backbone.preprocessor.image_size  # type: ignore[attr-defined]
    count = max(1, math.ceil(length / window - 1e-6))
    preprocessor = SpectrogramPreprocessor(length=length, image_size=size, windows=count)
    said = f"the clips are heard as log-mel spectrograms of {size} px, grey in three colours"
    if count > 1:
        backbone = in_windows(backbone, count)
        said += f", {count} in a row, whose features are averaged"
    return replace(backbone, preprocessor=preprocessor, remarks=(*backbone.remarks, said))


def _without_window(name: str) -> tuple[str, float]:
    """The name without the option `window`, and its seconds, 10 where it is left out."""
    base, colon, options = name.rpartition(":")
    found = [each for each in options.split(",") if each.startswith("window=")]
    if not found or not colon:
        return name, _WINDOW
    try:
        window = float(found[0].removeprefix("window="))
    except ValueError:
        window = 0.0
    if not window > 0:
        raise UserError(
            f"--backbone={name}: {found[0]} is no number of seconds.", "Give one above 0."
        )
    others = ",".join(each for each in options.split(",") if each not in found)
    return base + (f":{others}" if others else ""), window
