"""The architecture of a functional model as JSON, built again without running foreign code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import keras

from tftransfer.core.typing import JSON, KerasModel
from tftransfer.utils.errors import UserError

# Classes whose configuration is a program, or names a file that holds one.
_PROGRAMS = (
    "Lambda",
    "__lambda__",
    "TFSMLayer",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
    "TFHubLayer",
    "ClipModule",
)
_MESSAGE_CHARACTERS = 200


def architecture_json(model: KerasModel) -> bytes:
    """Returns Keras's configuration of a model as JSON, with all layers trainable.

    Raises:
      UserError: A layer has no configuration, or one that is a program.
    """
    try:
        config = json.loads(model.to_json())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise not_storable(f"keras.Model {model.name}", error) from None
    config.pop("compile_config", None)
    _check_classes(config)
    for each in _mappings(config):
        if "trainable" in each:
            each["trainable"] = True
    return json.dumps(config, sort_keys=True).encode()


def build_from_json(data: bytes, *, image_size: int = 0) -> KerasModel:
    """Builds a model with random weights, under the present dtype policy.

    Only classes of Keras and KerasHub and registered ones are used (Keras's safe mode).

    Args:
      data: The result of `architecture_json`.
      image_size: Side of the input, in pixels; 0 for that of the configuration.

    Raises:
      UserError: A class is not registered or is a program, or the model does not fit the size.
    """
    config = json.loads(data)
    name = config["config"].get("name", "")
    _check_classes(config)
    if image_size:
        shape = _input_config(config)["batch_shape"]
        shape[1:3] = [image_size, image_size]
    policy = keras.config.dtype_policy().name
    for each in _mappings(config):
        if each.get("class_name") == "DTypePolicy" and each["config"] == {"name": "float32"}:
            each["config"] = {"name": policy}
    try:
        return keras.saving.deserialize_keras_object(config, safe_mode=True)
    except TypeError as error:
        raise UserError(
            f"The keras.Model {name} cannot be built again: {_brief(error)}.",
            "Register the class with @keras.saving.register_keras_serializable(), and import it "
            "before the model is loaded.",
        ) from None
    except ValueError as error:
        raise UserError(
            f"The keras.Model {name} cannot be built: {_brief(error)}",
            "Check --image_size.",
        ) from None


def input_shape(data: bytes) -> tuple[int | None, ...]:
    """Returns the shape of the model's input, with None for the batch and for sizes left open."""
    return tuple(_input_config(json.loads(data))["batch_shape"])


def _input_config(config: dict[str, Any]) -> dict[str, Any]:
    layers: list[dict[str, Any]] = config["config"]["layers"]
    return next(each["config"] for each in layers if each["class_name"] == "InputLayer")


def check_class(class_name: str, layer: str) -> None:
    """Raises an error for a layer whose configuration is a program.

    Args:
      class_name: Name of the layer's class.
      layer: Name of the layer.
    """
    if class_name in _PROGRAMS:
        raise UserError(
            f"The layer {layer} of the keras.Model is a {class_name}: a program, which is not "
            "stored with a run.",
            "Replace it by a layer of Keras, or by a class that is registered with "
            "@keras.saving.register_keras_serializable().",
        )


def not_storable(what: str, error: Exception) -> UserError:
    """Returns the error for a model or layer that has no configuration.

    Args:
      what: The model or layer, by name.
      error: Keras's error.
    """
    return UserError(
        f"The {what} cannot be stored: {_brief(error)}",
        "Define get_config() of each layer and register its class with "
        "@keras.saving.register_keras_serializable().",
    )


def _check_classes(config: JSON) -> None:
    for each in _mappings(config):
        settings = each.get("config")
        name = settings.get("name", "") if isinstance(settings, dict) else ""
        check_class(each.get("class_name", ""), name)


def _mappings(config: JSON) -> Iterator[dict[str, Any]]:
    """Yields every mapping in a JSON value."""
    if isinstance(config, dict):
        yield config
        for value in config.values():
            yield from _mappings(value)
    elif isinstance(config, list):
        for value in config:
            yield from _mappings(value)


def _brief(error: Exception) -> str:
    """Returns Keras's message without the configuration that it quotes."""
    unknown = re.search(r"Could not locate (class|function) '([^']+)'", str(error))
    if unknown:
        return f"the {unknown[1]} {unknown[2]} is not registered"
    return " ".join(str(error).split())[:_MESSAGE_CHARACTERS]
