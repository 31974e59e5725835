"""Augmentations by Keras layers and functions, as data that can be compared and stored as JSON."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tftransfer.core.typing import JSON, JSONObject, Tensor
from tftransfer.utils.errors import UserError

if TYPE_CHECKING:
    import keras

# A Keras layer, or a function that is called with a batch, and with a `seed` if it has a parameter
# of that name.
BatchFunction: TypeAlias = Callable[..., Tensor]

_OTHER_LIBRARIES = ("albumentations", "imgaug", "kornia", "tf_keras", "torch", "torchvision")
_MIX_LAYERS = ("CutMix", "MixUp")
_WANTED = (
    "Give a layer of Keras 3, such as keras.layers.RandomFlip('horizontal'), or a function that "
    "takes a batch of images [n, h, w, 3] and returns one."
)


@dataclass(frozen=True)
class CustomAugmentation:
    """Keras layers and functions that augment a batch, one after another.

    Attributes:
      steps: One JSON text per layer or function: the config of a Keras layer, without names and
        seeds, or `{"function": NAME}` with the name under which Keras registered the function.
    """

    steps: tuple[str, ...]

    def __str__(self) -> str:
        names = (config.get("function") or config["class_name"] for config in self.configs)
        return " + ".join(map(str, names))

    @property
    def configs(self) -> tuple[JSONObject, ...]:
        """The steps as JSON objects."""
        return tuple(json.loads(step) for step in self.steps)

    @property
    def has_only_keras_layers(self) -> bool:
        """Whether all steps are layers of Keras, whose code does not change between runs."""
        return all(str(config.get("module", "")).startswith("keras.") for config in self.configs)

    def to_json(self) -> JSONObject:
        """Returns the fields of the JSON object."""
        return {"steps": list(self.configs)}

    @classmethod
    def from_json(cls, fields: Mapping[str, JSON]) -> CustomAugmentation:
        """Reverses `to_json`."""
        steps = fields["steps"]
        assert isinstance(steps, Sequence)
        return cls(tuple(map(_text, steps)))

    def build(self) -> tuple[BatchFunction, ...]:
        """Returns new layers, and the functions.

        Raises:
          UserError: A layer or function is not registered in this process.
        """
        return tuple(map(_build, self.configs))


Augment: TypeAlias = str | CustomAugmentation | BatchFunction | Sequence[BatchFunction]


def as_augmentation(value: Augment, owner: str) -> str | CustomAugmentation:
    """Returns a name as it is, and layers and functions as a `CustomAugmentation`.

    Args:
      value: Name, Keras layer, `Sequential`, function, or several of these but names.
      owner: Name of the phase, for messages.

    Raises:
      UserError: Something else is given, or a layer or function that JSON cannot hold.
    """
    if isinstance(value, (str, CustomAugmentation)):
        return value
    steps = tuple(_flat(value, owner))
    if not steps:
        raise UserError(f"{owner}: augment={value!r} is empty.", "Give augment='none'.")
    return CustomAugmentation(tuple(_text(_config(step, owner)) for step in steps))


def _flat(value: Augment, owner: str) -> list[BatchFunction]:
    """Returns the layers of a `Sequential` or a sequence, at any depth."""
    keras = sys.modules.get("keras")  # a layer is given only if Keras is imported
    if isinstance(value, (list, tuple)):
        return [step for each in value for step in _flat(each, owner)]
    if keras and isinstance(value, keras.Sequential):
        return [step for layer in value.layers for step in _flat(layer, owner)]
    modules = [each.__module__.partition(".")[0] for each in type(value).__mro__]
    library = next((name for name in modules if name in _OTHER_LIBRARIES), "")
    if library:
        raise UserError(
            f"{owner}: augment is a {type(value).__name__} of {library}, which is not supported.",
            _WANTED,
        )
    if isinstance(value, str) or not callable(value):
        raise UserError(
            f"{owner}: augment has {value!r}, which is neither a Keras layer nor a function.",
            f"{_WANTED} A name, such as 'flip', must be the only one.",
        )
    return [value]


def _config(step: BatchFunction, owner: str) -> JSONObject:
    import keras

    if isinstance(step, keras.Layer):
        return _layer_config(step, owner)
    shown = getattr(step, "__name__", type(step).__name__)
    name = keras.saving.get_registered_name(step) if hasattr(step, "__name__") else ""
    if not name or keras.saving.get_registered_object(name) is not step:
        raise UserError(
            f"{owner}: augment has the function {shown}, which is not registered with Keras, so "
            "that a run cannot be resumed.",
            "Decorate it with @keras.saving.register_keras_serializable('NAME'); a lambda or a "
            "partial function needs a def.",
        )
    return {"function": name}


def _layer_config(layer: keras.Layer, owner: str) -> JSONObject:
    import keras

    name = type(layer).__name__
    if name in _MIX_LAYERS:
        raise UserError(
            f"{owner}: augment has {name}, which must mix labels too.", "Give mixup=0.2 instead."
        )
    if layer.weights:
        raise UserError(
            f"{owner}: augment has {name}, a layer with weights.",
            "Give layers without weights, such as keras.layers.RandomFlip('horizontal').",
        )
    config = _without_names(keras.saving.serialize_keras_object(layer))
    assert isinstance(config, dict)
    try:
        _build(config)
    except UserError as error:
        raise UserError(f"{owner}: {error.what}", error.remedy) from None
    return config


def _without_names(value: JSON) -> JSON:
    """Removes what differs between equal layers: names, seeds, and shapes of earlier calls."""
    if isinstance(value, Mapping):
        names = ("build_config", "compile_config", *(("name",) if "trainable" in value else ()))
        kept = {key: _without_names(each) for key, each in value.items() if key not in names}
        return {**kept, **({"seed": None} if "seed" in kept else {})}
    if isinstance(value, (list, tuple)):
        return [_without_names(each) for each in value]
    return value


def _build(config: Mapping[str, JSON]) -> BatchFunction:
    import keras

    if "function" in config:
        function: BatchFunction | None = keras.saving.get_registered_object(config["function"])
        if function is None:
            raise UserError(
                f"The augmentation {config['function']} is not registered with Keras.",
                "Import the module that registers it, for example by --register=MODULE.",
            )
        return function
    try:
        layer: BatchFunction = keras.saving.deserialize_keras_object(config)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"The augmentation {config['class_name']} cannot be built from its config: {reason}",
            "Decorate its class with @keras.saving.register_keras_serializable('NAME') and give it "
            "get_config(), or give another layer.",
        ) from None
    return layer


def takes_seed(function: BatchFunction) -> bool:
    """Returns whether a function has a parameter `seed`."""
    try:
        return "seed" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False


def _text(config: JSON) -> str:
    return json.dumps(config, sort_keys=True)
