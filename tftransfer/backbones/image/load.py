"""Image backbones by name: Keras applications, registered builders and TF-Hub modules."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TypeAlias

import keras
import numpy as np

from tftransfer.backbones import tfhub
from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.image import small_cnn as _registers_small_cnn  # noqa: F401
from tftransfer.backbones.image.applications import (
    application_names,
    build_application,
    default_image_size,
)
from tftransfer.backbones.names import is_module
from tftransfer.backbones.options import NO_WEIGHTS, PRETRAINED, LoadOptions, check_options
from tftransfer.backbones.registry import BACKBONES, Registration
from tftransfer.backbones.stages import cut_into_stages
from tftransfer.checkpoints.weight_files import load_weights
from tftransfer.core.typing import KerasModel
from tftransfer.data.download import local_path
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.files import file_sha256
from tftransfer.utils.registry import parse_options

# Keras sets no time limit on its downloads.
_NETWORK_TIMEOUT_SECONDS = 15.0
_MODULE_IMAGE_SIZE = 224
_MESSAGE_CHARACTERS = 300
# Any seed but the user's: it only has to give other random weights.
_OTHER_SEED = 1_000_003

Options: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class _Builder:
    """How a named image backbone is built.

    Attributes:
      base: The name without options.
      build: `build(image_size, pretrained, **options)` returns the model.
      image_size: Default side of the input, in pixels.
      weights: What the pretrained weights are called; "" where there are none.
      has_random: Whether `build(size, False)` returns random weights; None if unknown.
      sha256: Hashes of known weights files, by file name.
    """

    base: str
    build: Callable[..., KerasModel]
    image_size: int
    weights: str = ""
    has_random: bool | None = True
    sha256: Mapping[str, str] = field(default_factory=dict)


def load_image_backbone(name: str, options: LoadOptions) -> Backbone:
    """Loads an image backbone.

    Args:
      name: A Keras application, a registered name, or a TF-Hub module, with options.
      options: Weights, sizes and permissions.

    Raises:
      UserError: There is no such backbone, option or weights.
    """
    if is_module(name):
        return _load_module(name, options)
    base, arguments = parse_options(name)
    builder = _find_builder(base, arguments)
    size = options.image_size or builder.image_size
    build = functools.partial(_build, builder, size, arguments)
    model = build(pretrained=options.weights == PRETRAINED)
    if builder.has_random is None and options.weights in (PRETRAINED, NO_WEIGHTS):
        builder = _tried(builder, model, build)
    weights, digest = _give_weights(model, builder, options)
    return Backbone(
        name=name,
        architecture=name,
        model=model,
        stages=cut_into_stages(model),
        preprocessor=ImagePreprocessor(size),
        weights=weights,
        weights_sha256=digest,
        build=None if builder.has_random is False else functools.partial(build, pretrained=False),
    )


def check_image_backbone(name: str) -> None:
    """Checks a name and its options without building anything.

    Raises:
      UserError: There is no such backbone or option.
    """
    if not is_module(name):
        _find_builder(*parse_options(name))


def image_backbone_names() -> list[str]:
    """Returns every name that is not a path: the applications and the registered ones."""
    return sorted([*application_names(), *BACKBONES])


def _find_builder(base: str, options: Options) -> _Builder:
    if base in BACKBONES:
        check_options(base, BACKBONES[base].build, options)
        return _registered(base, BACKBONES[base])
    constructors = {_plain(name): entry for name, entry in application_names().items()}
    constructor = constructors.get(_plain(base))
    if constructor is None:
        raise unknown_name("backbone", base, image_backbone_names())
    check_options(base, constructor, options)

    def build(size: int, pretrained: bool, **arguments: object) -> KerasModel:
        weights = "imagenet" if pretrained else None
        return build_application(constructor, size, weights, **arguments)

    image_size = default_image_size(constructor)
    return _Builder(base=base, build=build, image_size=image_size, weights="ImageNet")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _registered(base: str, entry: Registration) -> _Builder:
    def build(size: int, pretrained: bool, **arguments: object) -> KerasModel:
        if entry.takes_weights:
            arguments["weights"] = PRETRAINED if pretrained else None
        return entry.build(size, **arguments)

    loads = entry.takes_weights or entry.pretrained
    return _Builder(
        base=base,
        build=build,
        image_size=entry.image_size,
        weights=f"those of {base}'s builder" if loads else "",
        has_random=entry.takes_weights or (None if entry.pretrained is None else not loads),
        sha256=entry.sha256,
    )


def _tried(builder: _Builder, model: KerasModel, build: Callable[..., KerasModel]) -> _Builder:
    """Finds out whether a builder loads weights: then another seed gives the same ones."""
    keras.utils.set_random_seed(_OTHER_SEED)
    pairs = list(zip(model.get_weights(), build(pretrained=False).get_weights()))
    loads = all(map(np.array_equal, *zip(*pairs))) and any(first.std() > 0 for first, _ in pairs)
    weights = f"those of {builder.base}'s builder" if loads else ""
    return replace(builder, weights=weights, has_random=not loads)


def _give_weights(model: KerasModel, builder: _Builder, options: LoadOptions) -> tuple[str, str]:
    """Loads a weights file where one is given; returns the weights' name and the file's hash."""
    base = builder.base
    if options.weights == NO_WEIGHTS:
        if builder.has_random is False:
            raise UserError(
                f"The builder of the backbone {base} always loads its weights, so that there are "
                "no random ones.",
                "Add a parameter `weights` to it, which is None where they must be random.",
            )
        return NO_WEIGHTS, ""
    if options.weights == PRETRAINED:
        if not builder.weights:
            raise UserError(
                f"The backbone {base} has no pretrained weights.",
                "Give --weights=none or the path of a file.",
            )
        return builder.weights, ""
    sha256 = builder.sha256.get(PurePath(options.weights).name, "")
    path = local_path(options.weights, options.cache_folder, sha256=sha256)
    return options.weights, load_weights(model, path, sha256=sha256)


def _build(builder: _Builder, size: int, arguments: Options, *, pretrained: bool) -> KerasModel:
    base = builder.base
    try:
        with _network_timeout():
            return builder.build(size, pretrained, **arguments)
    except UserError:
        raise
    except TypeError as error:
        raise UserError(f"The backbone {base}: {error}", "Check its options.") from None
    except ValueError as error:
        raise UserError(
            f"The backbone {base} at {size} px cannot be built: {_brief(error)}",
            "Check --image_size and the backbone's options.",
        ) from None
    except Exception as error:
        if not pretrained:
            raise
        raise UserError(
            f"The {builder.weights or 'pretrained'} weights of {base} could not be downloaded: "
            f"{_brief(error)}",
            "Check the network connection, or give --weights=PATH of a file, or --weights=none.",
        ) from None


@contextmanager
def _network_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_NETWORK_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:_MESSAGE_CHARACTERS]


def _load_module(handle: str, options: LoadOptions) -> Backbone:
    place, _, output = handle.partition(":output=")
    path, remarks = tfhub.trusted(place, options.trust_code)
    layer = tfhub.TFHubLayer(str(path), output, name="module", dtype="float32")
    declared = tfhub.declared_image_size(layer)
    if declared and options.image_size and declared != options.image_size:
        raise UserError(
            f"The module {handle} takes images of {declared} px, not {options.image_size}.",
            f"Omit --image_size, or set it to {declared}.",
        )
    size = declared or options.image_size or _MODULE_IMAGE_SIZE
    model = tfhub.build_tfhub_model(layer, size)
    return Backbone(
        name=handle,
        architecture=handle,
        model=model,
        stages=cut_into_stages(model),
        preprocessor=ImagePreprocessor(size),
        weights=handle,
        weights_sha256=file_sha256(path / "saved_model.pb"),
        remarks=("pixels are scaled to [0, 1], as TF-Hub's image modules expect", *remarks),
    )
