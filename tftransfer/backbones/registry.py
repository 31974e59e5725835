"""Backbones of one's own by name: functions that build functional Keras models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tftransfer.core.typing import KerasModel
from tftransfer.utils.registry import Registry

Builder = TypeVar("Builder", bound=Callable[..., KerasModel])


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A builder and what is known about it.

    Attributes:
      build: `build(image_size, **options)` returns a functional model from pixels, float32
        [n, size, size, 3] in 0 to 255, to a feature map; its preprocessing is inside.
      image_size: Default side of the input, in pixels.
      sha256: Hashes of known weights files, by file name.
      pretrained: Whether `build` loads weights; None where only a trial can show it.
    """

    build: Callable[..., KerasModel]
    image_size: int
    sha256: Mapping[str, str] = field(default_factory=dict)
    pretrained: bool | None = None

    @property
    def takes_weights(self) -> bool:
        """Whether `build` has a parameter `weights`, None for random ones."""
        return "weights" in inspect.signature(self.build).parameters


BACKBONES: Registry[Registration] = Registry("backbone")


def register_backbone(
    name: str,
    *,
    image_size: int = 224,
    sha256: Mapping[str, str] | None = None,
    pretrained: bool | None = None,
) -> Callable[[Builder], Builder]:
    """Returns a decorator that makes a model-building function available as `--backbone=name`.

    The function is `build(image_size, **options)` and returns a functional model from pixels,
    float32 [n, size, size, 3] in 0 to 255, to a feature map. If it loads its own weights, it
    should take `weights`, which is `"pretrained"`, or None for random weights. Without that
    parameter it is built twice: weights that are equal under two seeds are pretrained.
    Registering the same function again, as when its file is imported again, changes nothing.

    Args:
      name: Name of the backbone.
      image_size: Default side of the input, in pixels.
      sha256: Expected hashes of weights files, by file name.
      pretrained: Whether the function loads weights; None to find out.

    Raises:
      ValueError: Another function is registered under that name.

    Example:
      >>> import keras, tftransfer
      >>> @tftransfer.register_backbone("two_convolutions", image_size=32)
      ... def two_convolutions(image_size, width=8):
      ...     x = pixels = keras.Input((image_size, image_size, 3))
      ...     x = keras.layers.Rescaling(1 / 255)(x)
      ...     for number in (1, 2):
      ...         x = keras.layers.Conv2D(width * number, 3, strides=2, activation="relu")(x)
      ...     return keras.Model(pixels, x)
      >>> print(tftransfer.list_backbones("two_convolutions", modality="image")[0].options)
      {'width': 8}
    """

    def enter(build: Builder) -> Builder:
        if name in BACKBONES and _same_code(BACKBONES[name].build, build):
            return build
        entry = Registration(
            build=build, image_size=image_size, sha256=sha256 or {}, pretrained=pretrained
        )
        BACKBONES.register(name)(entry)
        return build

    return enter


def _same_code(first: object, second: object) -> bool:
    code = getattr(first, "__code__", None)
    return code is not None and code == getattr(second, "__code__", None)
