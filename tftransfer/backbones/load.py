"""From what the user names to a `Backbone`: the modality's own loader, or the run of a folder."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from tftransfer.backbones.audio.load import (
    MAX_SECONDS_OF_WINDOWS,
    image_backbone_of,
    load_audio_backbone,
    max_seconds,
)
from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.image.load import check_image_backbone, load_image_backbone
from tftransfer.backbones.keras_model import (
    KERAS_MODEL,
    check_keras_model,
    load_keras_model,
    load_stored_model,
)
from tftransfer.backbones.names import modality_of_name, split_layer
from tftransfer.backbones.options import NO_WEIGHTS, LoadOptions
from tftransfer.backbones.text.load import load_text_backbone
from tftransfer.checkpoints import weights as weight_arrays
from tftransfer.core.experiment import plain_weights
from tftransfer.core.problem_types import ProblemType
from tftransfer.core.run_files import ASSETS, CONFIG, RESULT, WEIGHTS, is_run
from tftransfer.core.serialization import read_json
from tftransfer.core.typing import Array, KerasModel, PathLike
from tftransfer.preprocessing import get_modality
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import file_sha256

_LOADERS: dict[str, Callable[[str, LoadOptions], Backbone]] = {
    "image": load_image_backbone,
    "text": load_text_backbone,
    "audio": load_audio_backbone,
}


def load_backbone(
    name: PathLike | KerasModel,
    *,
    weights: str = "pretrained",
    image_size: int = 0,
    seed: int = 0,
    trust_code: bool = False,
    cache: Path | None = None,
    modality: str = "image",
    length: float = 0.0,
    assets: Path | None = None,
) -> Backbone:
    """Loads a backbone with its weights.

    Args:
      name: `mobilenet_v2`, `mobilenet_v2:alpha=0.35`, a TF-Hub handle, URL or folder, or the folder
        of a run. Each may end in `:layer=STAGE` (or `,layer=STAGE`): the network up to there. Or a
        functional `keras.Model`, whose weights are used.
      weights: `pretrained` (or `imagenet`, Keras's word), `none`, a path, or an https URL.
      image_size: Side of the input, in pixels; 0 for the backbone's default.
      seed: Seed of random weights.
      trust_code: Whether TF-Hub modules, which are programs, may run.
      cache: Folder for downloads; None for the user's cache folder.
      modality: Modality of the data, one of `MODALITIES`.
      length: Seconds of audio or tokens of text that are read; 0 for the backbone's default.
      assets: Folder of a run's `Backbone.assets`, to build the backbone of that run again.

    Returns:
      The backbone, cut into stages.

    Raises:
      UserError: There is no such backbone, option or weights.
    """
    options = LoadOptions(
        weights=plain_weights(weights),
        image_size=image_size,
        seed=seed,
        trust_code=trust_code,
        cache=cache,
        length=length,
        assets=assets,
    )
    return _load(name, modality, options)


def _load(name: PathLike | KerasModel, modality: str, options: LoadOptions) -> Backbone:
    name = os.fspath(name) if isinstance(name, os.PathLike) else name
    if not isinstance(name, str):
        keras.utils.set_random_seed(options.seed)
        return load_keras_model(name, modality, options)
    plain, layer = split_layer(name)
    if layer:
        return replace(_load(plain, modality, options).truncated(layer), name=name)
    keras.utils.set_random_seed(options.seed)
    if is_run(name):
        return _load_run(Path(name).expanduser(), modality, options)
    if name == KERAS_MODEL:
        return load_stored_model(modality, options)
    return _LOADERS[modality](name, options)


def check_backbone(name: PathLike | KerasModel, modality: str) -> None:
    """Checks a backbone of images or audio, or a `keras.Model`, without building anything.

    KerasHub alone knows the names of text backbones, so these are not checked.

    Args:
      name: As in `load_backbone`.
      modality: Modality of the data.

    Raises:
      UserError: There is no such backbone or option.
    """
    name = os.fspath(name) if isinstance(name, os.PathLike) else name
    if not isinstance(name, str):
        return check_keras_model(name, modality)
    if name.startswith("<"):
        raise UserError(
            f"The backbone {name} was given from Python and is not in the configuration.",
            "Give the folder of its run by --backbone, or the model itself from Python.",
        )
    plain, _ = split_layer(name)
    if is_run(plain) or modality == "text":
        return None
    own = modality_of_name(plain)
    if own == "text" or (own, modality) == ("audio", "image"):
        reads = {"text": "texts", "audio": "sounds"}[own]
        raise UserError(
            f"The backbone {plain} reads {reads}, and the modality of the data is {modality}.",
            f"Give a backbone for {modality}; `tftransfer list backbones` prints them.",
        )
    if modality == "audio":
        plain = image_backbone_of(plain)
    if plain:
        check_image_backbone(plain)
    return None


def max_length(name: PathLike | KerasModel, modality: str) -> float:
    """Returns how much of an example a backbone reads unless `length` is given.

    Args:
      name: As in `load_backbone`.
      modality: Modality of the data.

    Returns:
      Seconds of audio; infinity for images and texts.
    """
    name = os.fspath(name) if isinstance(name, os.PathLike) else name
    if modality != "audio":
        return math.inf
    if not isinstance(name, str) or name == KERAS_MODEL:
        return MAX_SECONDS_OF_WINDOWS
    plain, _ = split_layer(name)
    if is_run(plain):
        result = Path(plain).expanduser() / RESULT
        return max_length(read_json(result)["architecture"], modality) if result.is_file() else 0.0
    return max_seconds(plain)


def _load_run(run: Path, modality: str, options: LoadOptions) -> Backbone:
    """Loads the backbone that a run trained, with the run's weights and head."""
    if not (run / WEIGHTS).is_file():
        raise UserError(f"The run {run} has no weights yet.", "Finish it by --resume.")
    experiment, result = read_json(run / CONFIG)["experiment"], read_json(run / RESULT)
    if result["modality"] != modality:
        trained_on, given = (get_modality(each).plural for each in (result["modality"], modality))
        raise UserError(
            f"The run {run} was trained on {trained_on}, but the data are {given}.",
            "Give another --backbone.",
        )
    source = _load(
        result["architecture"],
        modality,
        replace(
            options,
            weights=NO_WEIGHTS,
            image_size=options.image_size or experiment["image_size"],
            trust_code=options.trust_code or experiment["trust_code"],
            length=options.length or experiment["length"],
            assets=run / ASSETS,
        ),
    )
    values = weight_arrays.read(run / WEIGHTS)
    blocks = {stage.name: stage.layers for stage in source.stages}
    weight_arrays.assign_blocks(blocks, values, run / WEIGHTS)
    return replace(
        source,
        name=str(run),
        weights=f"the run {run}",
        weights_sha256=file_sha256(run / WEIGHTS),
        head=_linear_head(values, experiment, result),
    )


def _linear_head(
    values: dict[str, Array], experiment: dict[str, Any], result: dict[str, str]
) -> tuple[Array, ...]:
    """Returns kernel and bias of a run's head if it is linear and has one label per example."""
    head = tuple(values[key] for key in sorted(values) if key.startswith("head/"))
    is_linear = [value.ndim for value in head] == [2, 1]
    heads = experiment["recipe"]["heads"]
    normalized = any(each["normalize"] for each in heads if each["name"] == "head")
    exclusive = result["problem_type"] == ProblemType.SINGLE_LABEL
    return head if is_linear and not normalized and exclusive else ()
