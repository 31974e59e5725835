"""Parts of messages that several rooms need."""

from __future__ import annotations

from collections.abc import Sequence

MAX_LISTED = 5


def listed(texts: Sequence[str], shown: int = MAX_LISTED) -> str:
    """Returns the first texts, and how many more there are.

    Example:
      >>> listed(["a", "b", "c"], 2)
      'a, b and 1 more'
    """
    more = len(texts) - shown
    return ", ".join(texts[:shown]) + (f" and {more:,} more" if more > 0 else "")
