"""Parts of messages that several rooms need."""

from __future__ import annotations

from collections.abc import Sequence

MAX_LISTED = 5


def first_lines(lines: Sequence[str], shown: int, what: str = "") -> list[str]:
    """Returns the first lines, and a line with the number of others.

    Args:
      lines: Lines of a list.
      shown: Number of lines to return at most, without the last one.
      what: What the others are, after their number.

    Example:
      >>> first_lines(["  a", "  b", "  c"], 1)
      ['  a', '  and 2 more']
    """
    more = len(lines) - shown
    rest = [f"  and {more:,} more{f' {what}' if what else ''}"] if more > 0 else []
    return [*lines[:shown], *rest]


def listed(texts: Sequence[str], shown: int = MAX_LISTED) -> str:
    """Returns the first texts, and how many more there are.

    Example:
      >>> listed(["a", "b", "c"], 2)
      'a, b and 1 more'
    """
    more = len(texts) - shown
    return ", ".join(texts[:shown]) + (f" and {more:,} more" if more > 0 else "")
