"""The constructors of `keras.applications`, found by inspection rather than from a list."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Callable
from types import ModuleType

import keras

from tftransfer.core.typing import KerasModel
from tftransfer.utils.keras_internals import application_without_download

# Where a word of a constructor's name begins: MobileNet|V2, EfficientNet|B0, ConvNeXt|Tiny.
_WORD_START = re.compile(
    r"(?<=[a-z0-9])(?=V\d|B\d|[SML]$|XLarge|Large|Small|Base|Tiny|Mobile|ResNetV)"
)
_FALLBACK_IMAGE_SIZE = 224


def application_names() -> dict[str, Callable[..., KerasModel]]:
    """Returns the constructors by name in snake case: `MobileNetV2` is `mobilenet_v2`."""
    return {
        snake_case(name): entry
        for name, entry in vars(keras.applications).items()
        if inspect.isfunction(entry) and "include_top" in inspect.signature(entry).parameters
    }


def snake_case(name: str) -> str:
    """Returns a constructor's name in snake case.

    Example:
      >>> snake_case("MobileNetV3Small"), snake_case("EfficientNetV2B0")
      ('mobilenet_v3_small', 'efficientnet_v2_b0')
    """
    return _WORD_START.sub("_", name).lower()


def build_application(
    constructor: Callable[..., KerasModel],
    image_size: int,
    weights: str | None,
    **options: object,
) -> KerasModel:
    """Builds an application without its classifier, with its own preprocessing inside.

    Args:
      constructor: A function of `keras.applications`.
      image_size: Side of the input, in pixels.
      weights: None for random ones, or `imagenet` for those that Keras downloads.
      **options: Further arguments of the constructor, such as `alpha`.

    Returns:
      A functional model from pixels, float32 [n, size, size, 3] in 0 to 255, to a feature map.
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
        # Keras wants the size a second time; the weights do not depend on it.
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
        return constructor(include_top=False, weights=weights, input_tensor=inputs, **options)


def default_image_size(constructor: Callable[..., KerasModel]) -> int:
    """Returns the input size, in pixels, that a constructor has as its default.

    It is not a default of a parameter but an argument of a call in the constructor's source.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(constructor)))
    module = sys.modules[constructor.__module__]
    sizes = [_default_size(call, module) for call in ast.walk(tree) if isinstance(call, ast.Call)]
    return next(filter(None, sizes), _FALLBACK_IMAGE_SIZE)


def _default_size(call: ast.Call, module: ModuleType) -> int:
    """Returns the argument `default_size` of a call, by keyword or position; 0 if absent."""
    function = getattr(module, getattr(call.func, "id", ""), None)
    names = list(inspect.signature(function).parameters) if inspect.isfunction(function) else []
    given = dict(zip(names, call.args)) | {each.arg: each.value for each in call.keywords}
    size = given.get("default_size")
    return int(str(size.value)) if isinstance(size, ast.Constant) else 0
