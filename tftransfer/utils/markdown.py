"""Markdown that shows texts exactly as they are, whatever characters they contain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tftransfer.utils.console import printable

# Inside a word, `_` and `:` are plain text.
_SPECIAL = re.compile(
    r"[\\`*{}\[\]<>|$&~]|(?<!\w)_|_(?!\w)|^[#+=-](?=\s|$)|^\d+(?=[.)]\s)|:(?=\w+:)"
)


def escape(text: str) -> str:
    """Returns Markdown, on one line, that is shown as the text.

    Example:
      >>> print(escape("a|b, *star*, $x$, one_two"))
      a\\|b, \\*star\\*, \\$x\\$, one_two
    """
    return _SPECIAL.sub(_escaped, printable(text))


def _escaped(found: re.Match[str]) -> str:
    return found[0] + "\\" if found[0].isdigit() else f"\\{found[0]}"


def code(text: str) -> str:
    """Returns a text as inline code, in which nothing is special."""
    text = printable(text)
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (1 + max(map(len, re.findall("`+", text))))
    return f"{fence} {text} {fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns the lines of a table.

    Args:
      header: Names of the columns.
      rows: The cells of each row, as plain text.
    """
    lines = [list(map(escape, header)), ["---"] * len(header), *(map(escape, row) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
