"""Conversion of recipes and experiments to JSON and back.

A dataclass becomes an object whose key `type` holds the name of the class.
"""

from __future__ import annotations

import dataclasses
import json
import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tftransfer.core.augmentation import CustomAugmentation
from tftransfer.core.experiment import Experiment
from tftransfer.core.keras_config import KerasConfig
from tftransfer.core.loss import Loss, UnavailableLoss
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.core.typing import JSON
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.files import atomic_file
from tftransfer.utils.registry import Registry

C = TypeVar("C", bound=type)

_TYPES: Registry[type] = Registry("type")


def register_serializable(cls: C) -> C:
    """Registers a frozen dataclass, such as a loss, that JSON files may contain; a decorator.

    Example:
      >>> @register_serializable
      ... @dataclasses.dataclass(frozen=True)
      ... class Margin:
      ...     size: float = 0.5
      >>> to_jsonable(Margin())
      {'type': 'Margin', 'size': 0.5}
      >>> from_jsonable({"type": "Margin", "size": 2.0})
      Margin(size=2.0)
    """
    _TYPES.register(cls.__name__)(cls)
    return cls


for _class in (CustomAugmentation, KerasConfig, Head, Phase, Recipe, Experiment):
    register_serializable(_class)


def to_jsonable(value: object) -> Any:
    """Converts dataclasses, mappings, sequences and numbers to values that JSON can hold.

    Of other objects, such as data in memory, only the type is kept.
    """
    if isinstance(value, (CustomAugmentation, KerasConfig)):
        return {"type": type(value).__name__, **value.to_json()}
    if isinstance(value, UnavailableLoss):
        return {"type": value.name, **value.stored}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, numbers.Real):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    if isinstance(value, Path):
        return str(value)
    return f"<{type(value).__name__} in memory>"


def from_jsonable(value: JSON) -> Any:
    """Reverses `to_jsonable`; lists become tuples.

    Raises:
      UserError: If a type is unknown, or a field of it is unknown or missing.
    """
    if isinstance(value, Mapping) and "type" in value:
        cls = _TYPES[str(value["type"])]
        if cls is KerasConfig:
            return KerasConfig.from_json(value)
        _check_fields(cls, value)
        if cls is CustomAugmentation:  # its fields are configs of Keras, which stay as they are
            return CustomAugmentation.from_json(value)
        return cls(**{key: _field(cls, key, item) for key, item in value.items() if key != "type"})
    if isinstance(value, Mapping):
        return {key: from_jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(from_jsonable(item) for item in value)
    return value


def _field(cls: type, key: str, value: JSON) -> object:
    if cls is Phase and key == "losses" and isinstance(value, Sequence):
        return tuple(map(_loss, value))
    return from_jsonable(value)


def _loss(value: JSON) -> Loss:
    """Returns a loss, or a placeholder if its class is not registered.

    With the placeholder a run can be used, but not trained.
    """
    try:
        loss: Loss = from_jsonable(value)
        return loss
    except UserError as error:
        if not isinstance(value, Mapping) or "type" not in value:
            raise
        name, what, remedy = str(value["type"]), error.what, error.remedy
        if name not in _TYPES:
            what = f"The loss {name} is not registered."
            remedy = (
                f"Before training or resuming, import the module that defines the class {name} "
                "with @tftransfer.register_loss."
            )
        stored = {key: item for key, item in value.items() if key != "type"}
        return UnavailableLoss(name=name, stored=stored, what=what, remedy=remedy)


def _check_fields(cls: type, value: Mapping[str, JSON]) -> None:
    known = {f.name: f for f in dataclasses.fields(cls)}
    for key in value:
        if key != "type" and key not in known:
            raise unknown_name(f"field of {cls.__name__}", key, known)
    for name, field in known.items():
        if name not in value and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"{cls.__name__} lacks the field {name!r}.", "Add it to the JSON.")


def write_json(path: Path, value: object) -> None:
    """Writes `value` as indented JSON; readers find the old content or the new one."""
    text = json.dumps(to_jsonable(value), indent=1, ensure_ascii=False)
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
      UserError: If the file does not exist or is not valid JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.", "Is this the folder of a run?") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}", "Restore the file.") from None
