"""The texts of plots: literal, in fonts that have their characters."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from tftransfer.utils.console import printable

_P = ParamSpec("_P")
_R = TypeVar("_R")
_FONT = "DejaVu Sans"
# It draws a box for every character.
_PLACEHOLDER_FONT = "Last Resort"
_MAX_CHARACTERS = 28
_CHARACTER_INCHES = 0.08


def literal_text(plot: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorates a function that plots: no text is read as a formula, whatever the user's settings.

    `labels` may add fonts while the function runs.
    """

    @functools.wraps(plot)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        import matplotlib

        settings: dict[Any, Any] = {
            "text.parse_math": False,
            "text.usetex": False,
            "font.family": [_FONT],
        }
        with matplotlib.rc_context(settings):
            return plot(*args, **kwargs)

    return wrapper


def labels(names: Sequence[str], *, max_characters: int = _MAX_CHARACTERS) -> list[str]:
    """Returns names as plots show them, and selects the fonts that they need.

    Long names are shortened; a name that no installed font can draw is `#` and its number.

    Args:
      names: Names, such as those of classes.
      max_characters: Longer names are shortened; those that become the same get their number.
    """
    import matplotlib

    fonts, missing = _fonts_for(frozenset("".join(map(printable, names))))
    matplotlib.rcParams["font.family"] = [_FONT, *fonts]
    shown = [_shortened(printable(name), max_characters) for name in names]
    whole = dict(zip(shown, names))
    return [
        f"#{number}"
        if missing.intersection(printable(name))
        else short + f" #{number}" * (whole[short] != name)
        for number, (short, name) in enumerate(zip(shown, names))
    ]


def undrawable(names: Sequence[str]) -> dict[int, str]:
    """Returns the names that no installed font can draw, by their number, from 0."""
    missing = _fonts_for(frozenset("".join(map(printable, names))))[1]
    return {n: name for n, name in enumerate(names) if missing.intersection(printable(name))}


def width_inches(texts: Sequence[str]) -> float:
    """Returns the width of the longest text at 9 points; wide characters count twice."""
    lengths = [sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text) for text in texts]
    return _CHARACTER_INCHES * max(lengths, default=0) + 0.1


def _shortened(name: str, max_characters: int) -> str:
    return name if len(name) <= max_characters else f"{name[: max_characters - 1]}…"


@functools.lru_cache(maxsize=8)
def _fonts_for(characters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Returns families that have what the usual font lacks, and the characters that none has."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    missing = {ord(each) for each in characters}
    missing -= _characters_of(findfont(FontProperties(family=[_FONT])))
    families: list[str] = []
    for entry in fontManager.ttflist if missing else ():
        if not missing or entry.name.startswith(_PLACEHOLDER_FONT):
            continue
        # Fonts of other styles are not what the family's name selects.
        if entry.style == "normal" and missing & _characters_of(entry.fname):
            missing -= _characters_of(entry.fname)
            families.append(entry.name)
    return tuple(dict.fromkeys(families)), frozenset(map(chr, missing))


@functools.cache
def _characters_of(font: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(font).get_charmap())
    except (OSError, RuntimeError):  # a damaged font has none
        return frozenset()
