"""Names for flags: a mapping that refuses duplicates and knows the nearest name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from tftransfer.utils.errors import UserError, unknown_name

T = TypeVar("T")
_OPTIONS = re.compile(":(?!//)")


class Registry(Mapping[str, T], Generic[T]):
    """A named set of functions or classes.

    Args:
      kind: what the entries are, for messages ("recipe", "backbone").
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that enters its object under `name`.

        A taken name is an error, unless the object is defined anew in the same place, as
        when a notebook's cell is run again.
        """

        def enter(entry: T) -> T:
            if name in self._entries and not _same_place(self._entries[name], entry):
                raise ValueError(f"A {self.kind} named {name!r} is registered already.")
            self._entries[name] = entry
            return entry

        return enter

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


def _same_place(old: Any, new: Any) -> bool:
    names = ("__module__", "__qualname__")
    return all(hasattr(old, n) and getattr(old, n) == getattr(new, n, None) for n in names)


def parse_options(text: str) -> tuple[str, dict[str, Any]]:
    """`mobilenet_v2:alpha=0.35,depth=2` to its name and its options, numbers as numbers.

    The colon of an address, as of `https://`, begins no options.

    Raises:
      UserError: an option without a value.
    """
    name, *found = _OPTIONS.split(text, maxsplit=1)
    rest = "".join(found)
    options: dict[str, Any] = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(
                f"{text!r} has the option {pair!r} without a value.",
                "Write NAME:option=value,option=value.",
            )
        options[key.strip()] = _number_or_text(value.strip())
    return name, options


def _number_or_text(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text.lower(), text)
