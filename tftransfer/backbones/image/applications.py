"""Every constructor of `keras.applications`, found by looking, not by a list."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

import keras

from tftransfer.utils.keras_internals import application_without_download

_WORD_START = re.compile(
    r"(?<=[a-z0-9])(?=V\d|B\d|[SML]$|XLarge|Large|Small|Base|Tiny|Mobile|ResNetV)"
)


def application_names() -> dict[str, Callable[..., keras.Model]]:
    """Snake-case name to constructor: `MobileNetV2` is `mobilenet_v2`."""
    return {
        snake_case(name): entry
        for name, entry in vars(keras.applications).items()
        if inspect.isfunction(entry) and "include_top" in inspect.signature(entry).parameters
    }


def snake_case(name: str) -> str:
    """`MobileNetV3Small` to `mobilenet_v3_small`, `EfficientNetV2B0` to `efficientnet_v2_b0`."""
    return _WORD_START.sub("_", name).lower()


def build_application(
    constructor: Callable[..., keras.Model], image_size: int, weights: str | None, **options: Any
) -> keras.Model:
    """The application without its classifier, its own preprocessing inside.

    Args:
      constructor: a member of `keras.applications`.
      image_size: side of the input, in pixels.
      weights: None for random, or `imagenet` for Keras's download.
      **options: further arguments of the constructor, such as `alpha`.

    Returns:
      A functional model, pixels float32 [n, size, size, 3] in 0 to 255 to a feature map.
    """
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    module = sys.modules[constructor.__module__]
    inputs = module.preprocess_input(pixels)
    if weights is None and module.__name__.endswith(".efficientnet"):
        with application_without_download(module):
            return constructor(
                include_top=False, weights="imagenet", input_tensor=inputs, **options
            )
    with warnings.catch_warnings():
        # Keras looks for the size where it was not given; the weights do not depend on it.
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
        return constructor(include_top=False, weights=weights, input_tensor=inputs, **options)


def default_image_size(constructor: Callable[..., keras.Model]) -> int:
    """The input size, in pixels, that the constructor itself would choose."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(constructor)))
    module = sys.modules[constructor.__module__]
    sizes = [_default_size(call, module) for call in ast.walk(tree) if isinstance(call, ast.Call)]
    return next(filter(None, sizes), 224)


def _default_size(call: ast.Call, module: Any) -> int:
    """The argument `default_size` of a call, by keyword or place; 0 where there is none."""
    function = getattr(module, getattr(call.func, "id", ""), None)
    places = list(inspect.signature(function).parameters) if inspect.isfunction(function) else []
    given = dict(zip(places, call.args)) | {each.arg: each.value for each in call.keywords}
    size = given.get("default_size")
    return int(str(size.value)) if isinstance(size, ast.Constant) else 0
