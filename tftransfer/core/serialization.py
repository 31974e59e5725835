"""Recipes and experiments to JSON and back; every dataclass carries its name."""

from __future__ import annotations

import dataclasses
import json
import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tftransfer.core.experiment import Experiment
from tftransfer.core.recipe import Head, Phase, Recipe
from tftransfer.utils.errors import UserError, unknown_name
from tftransfer.utils.files import atomic_file
from tftransfer.utils.registry import Registry

C = TypeVar("C", bound=type)

_TYPES: Registry[type] = Registry("type")


def register_serializable(cls: C) -> C:
    """A class decorator: this frozen dataclass may stand in a recipe's JSON."""
    _TYPES.register(cls.__name__)(cls)
    return cls


for _noun in (Head, Phase, Recipe, Experiment):
    register_serializable(_noun)


def to_jsonable(value: Any) -> Any:
    """Dataclasses, mappings and sequences as JSON values; a dataclass gets a `type` key."""
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


def from_jsonable(value: Any) -> Any:
    """The inverse of `to_jsonable`; lists come back as tuples.

    Raises:
      UserError: an unknown type, a field that the type does not have, or one that is missing.
    """
    if isinstance(value, Mapping) and "type" in value:
        cls = _TYPES[value["type"]]
        _check_fields(cls, value)
        return cls(**{key: from_jsonable(item) for key, item in value.items() if key != "type"})
    if isinstance(value, Mapping):
        return {key: from_jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(from_jsonable(item) for item in value)
    return value


def _check_fields(cls: type, value: Mapping[str, Any]) -> None:
    known = {f.name: f for f in dataclasses.fields(cls)}
    for key in value:
        if key != "type" and key not in known:
            raise unknown_name(f"field of {cls.__name__}", key, known)
    for name, field in known.items():
        if name not in value and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"A {cls.__name__} has no field {name!r}.", "Add it to the JSON.")


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON; readers find the old content or the new one."""
    text = json.dumps(to_jsonable(value), indent=1, ensure_ascii=False)
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a JSON file, naming it in the error when it is absent or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.", "Is this the folder of a run?") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}", "Restore the file.") from None
