"""One's own backbones by name: a function that builds a functional Keras model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tftransfer.utils.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A builder and what is known of it.

    Attributes:
      build: `build(image_size, **options)` returns a functional model, pixels float32
        [n, size, size, 3] in 0 to 255 to a feature map, preprocessing inside.
      image_size: the default side of the input, in pixels.
      sha256: of weight files that are known, by file name.
    """

    build: Callable[..., Any]
    image_size: int
    sha256: dict[str, str]


BACKBONES: Registry[Registration] = Registry("backbone")


def register_backbone(
    name: str, *, image_size: int = 224, sha256: dict[str, str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that makes a model-building function available as `--backbone=name`.

    The same function once more, as when its file is imported again, changes nothing.
    """

    def enter(build: Callable[..., Any]) -> Callable[..., Any]:
        if name in BACKBONES and _same_code(BACKBONES[name].build, build):
            return build
        entry = Registration(build=build, image_size=image_size, sha256=sha256 or {})
        BACKBONES.register(name)(entry)
        return build

    return enter


def _same_code(first: Any, second: Any) -> bool:
    code = getattr(first, "__code__", None)
    return code is not None and code == getattr(second, "__code__", None)


@register_backbone("small_cnn", image_size=32)
def small_cnn(image_size: int, width: int = 16, depth: int = 3) -> Any:
    """A small network for small pictures and quick trials: `depth` convolution stages.

    Args:
      image_size: side of the input, in pixels.
      width: channels of the first stage; they double from stage to stage.
      depth: number of stages, each halving the resolution.
    """
    import keras
    from keras import layers

    x = pixels = keras.Input((image_size, image_size, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(x)
    return keras.Model(pixels, convolution_stages(x, width, depth), name="small_cnn")


def convolution_stages(x: Any, width: int, depth: int, strides: int = 1) -> Any:
    """Two convolutions and a pooling, `depth` times; `width` channels at first, then doubled.

    Args:
      x: of any input, float [n, height, width, channels].
      width: channels of the first stage.
      depth: number of stages, each halving the resolution.
      strides: of the first convolution.
    """
    from keras import layers

    for stage in range(1, depth + 1):
        for part in "ab":
            name = f"conv{stage}{part}"
            filters = width * 2 ** (stage - 1)
            x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False, name=name)(x)
            strides = 1
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(name=f"pool{stage}")(x)
    return x
