"""Several labels in a cell: which delimiter separates them, and whether it separates labels."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# If more cells than this fraction contain a delimiter, each has several labels; fewer may be names
# that contain the character themselves.
_MIN_FRACTION_OF_SEVERAL = 0.05
_BRACKETS = re.compile(r"\s*[\[({].*[\])}]\s*", re.DOTALL)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_Split = Callable[[str], list[str]]


@dataclass(frozen=True, kw_only=True)
class Delimiter:
    """How cells may be split into several labels.

    Attributes:
      name: Name of the delimiter, such as `commas`.
      split: Function from a cell to its labels.
      count: Number of cells with several labels, or in brackets.
      example: The first such cell.
      certain: Whether the cells have several labels beyond doubt, or nearly so.
    """

    name: str
    split: _Split
    count: int
    example: str
    certain: bool


def find_delimiter(cells: Sequence[str], *, given: bool = False) -> Delimiter | None:
    """Returns how the cells may be split into several labels, or None if they cannot be.

    Lists in brackets and the characters | and ; separate labels. Commas, slashes, +, & and blanks
    do so where the pieces recur in other cells: `red`, `red,round` and `round` are two labels.

    Args:
      cells: Cells of a column; empty ones do not count.
      given: Whether it is known that cells have several labels, which needs less evidence.
    """
    cells = [cell for cell in cells if cell]
    lists = [cell for cell in cells if _BRACKETS.fullmatch(cell)]
    if lists and 2 * len(lists) > len(cells):
        return Delimiter(
            name="brackets", split=split_list, count=len(lists), example=lists[0], certain=True
        )
    strong = _explicit(cells, given)
    if strong:
        return strong
    found = [each for each in map(lambda style: _implicit(cells, *style), _STYLES) if each]
    certain = (each for each in found if each.certain)
    if given:
        usual = (each for each in found if each.name == "commas")
        return next(certain, None) or next(usual, None) or next(iter(found), None)
    return next(certain, None) or next(iter(found), None)


def split_list(cell: str) -> list[str]:
    """Returns the items of a list in brackets: JSON, Python, NumPy, or names without quotes."""
    try:
        found = json.loads(cell)
        if isinstance(found, list):
            return [item if isinstance(item, str) else json.dumps(item) for item in found]
    except ValueError:
        pass
    inner = cell.strip()
    if not _BRACKETS.fullmatch(inner):
        return [inner] if inner else []
    inner = inner[1:-1].strip()
    quoted = [first or second for first, second in _QUOTED.findall(inner)]
    if quoted:
        return quoted
    parts = re.split(r"[,;|]", inner) if re.search(r"[,;|]", inner) else inner.split()
    return [part.strip() for part in parts if part.strip()]


def split_object(cell: str) -> dict[str, str] | None:
    """Returns a JSON object as name to cell, or None for other cells."""
    if not cell.startswith("{"):
        return None
    try:
        found = json.loads(cell)
    except ValueError:
        return None
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in found.items()
    }


def _split_bars(cell: str) -> list[str]:
    return [part.strip() for part in cell.replace(";", "|").split("|") if part.strip()]


def _split_at(pattern: str) -> _Split:
    return lambda cell: [part.strip() for part in re.split(pattern, cell) if part.strip()]


# Name and function of each further delimiter, the likelier first.
_STYLES: tuple[tuple[str, _Split], ...] = (
    ("line breaks", _split_at(r"[\r\n]+")),
    ("commas", _split_at(",")),
    ("slashes", _split_at("/")),
    ("+", _split_at(r"\+")),
    ("&", _split_at("&")),
    ("blanks", str.split),
)


def _explicit(cells: Sequence[str], given: bool) -> Delimiter | None:
    """Returns the delimiter | and ; if cells contain it and are not simply names with it."""
    several = [cell for cell in cells if "|" in cell or ";" in cell]
    if not several:
        return None
    enough = len(several) > _MIN_FRACTION_OF_SEVERAL * len(cells)
    certain = given or (enough and not _are_names(cells, _split_bars))
    return Delimiter(
        name="| or ;", split=_split_bars, count=len(several), example=several[0], certain=certain
    )


def _are_names(cells: Sequence[str], split: _Split) -> bool:
    """Returns whether no piece occurs in two different cells, although cells recur."""
    different = set(cells)
    pieces = Counter(piece for cell in different for piece in set(split(cell)))
    return len(cells) >= 2 * len(different) and max(pieces.values(), default=0) < 2


def _implicit(cells: Sequence[str], name: str, split: _Split) -> Delimiter | None:
    """Returns a delimiter whose pieces recur in other cells, and whether that is beyond doubt."""
    several = [cell for cell in cells if len(split(cell)) > 1]
    if len(several) <= _MIN_FRACTION_OF_SEVERAL * len(cells):
        return None
    different = {cell: frozenset(split(cell)) for cell in set(cells)}
    pieces = Counter(piece for found in different.values() for piece in found)
    recurring = sum(count > 1 for count in pieces.values())
    if not recurring or len(pieces) > len(different):
        return None
    alone = sum(frozenset([piece]) in different.values() for piece in pieces)
    repeated = len(cells) > 1.5 * len(different)  # captions, for example, all differ
    enough = len(pieces) if name == "blanks" else 2 / 3 * len(pieces)
    combined = 3 * len(pieces) <= len(different) or alone >= enough
    certain = repeated and combined and len(pieces) < len(different) and recurring > 1
    return Delimiter(
        name=name, split=split, count=len(several), example=several[0], certain=certain
    )
