"""Registries of named objects, and the options in names such as `mobilenet_v2:alpha=0.35`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from tftransfer.utils.errors import UserError, unknown_name

T = TypeVar("T")

# The colon of an address, as in `https://`, does not start options.
_OPTIONS = re.compile(":(?!//)")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names to registered functions or classes.

    An unknown name raises an error that lists the nearest names.

    Args:
      kind: What the entries are, for messages, such as `recipe` or `backbone`.

    Example:
      >>> shapes = Registry("shape")
      >>> @shapes.register("square")
      ... def area(side: float) -> float:
      ...     return side * side
      >>> shapes["square"](3)
      9
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that registers its object under `name`.

        The decorator raises `ValueError` if the name is taken, unless the object was defined again
        in the same place, as when the cell of a notebook runs twice.
        """

        def decorate(entry: T) -> T:
            if name in self._entries and not _same_definition(self._entries[name], entry):
                raise ValueError(f"A {self.kind} named {name!r} is already registered.")
            self._entries[name] = entry
            return entry

        return decorate

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _same_definition(old: object, new: object) -> bool:
    """Returns whether two functions or classes have the same name in the same module or file."""
    name = getattr(old, "__qualname__", None)
    if name is None or name != getattr(new, "__qualname__", None):
        return False
    files = [getattr(getattr(each, "__code__", None), "co_filename", None) for each in (old, new)]
    same_file = files[0] is not None and files[0] == files[1]
    return same_file or getattr(old, "__module__", None) == getattr(new, "__module__", None)


def parse_options(text: str) -> tuple[str, dict[str, Any]]:
    """Splits `NAME:option=value,option=value` into the name and its options.

    Args:
      text: A name with or without options. Numbers, `true` and `false` are converted.

    Returns:
      The name, and the options by their names.

    Raises:
      UserError: If an option has no value.

    Example:
      >>> parse_options("mobilenet_v2:alpha=0.35,include_top=false")
      ('mobilenet_v2', {'alpha': 0.35, 'include_top': False})
    """
    name, *rest = _OPTIONS.split(text, maxsplit=1)
    options: dict[str, Any] = {}
    for pair in filter(None, "".join(rest).split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(
                f"{text!r} has the option {pair!r} without a value.",
                "Write NAME:option=value,option=value.",
            )
        options[key.strip()] = _converted(value.strip())
    return name, options


def _converted(text: str) -> bool | int | float | str:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text.lower(), text)
