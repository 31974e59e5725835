"""How long this process has spent importing; the first run after it takes that on its account."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

_seconds = 0.0
_inside = False


@contextlib.contextmanager
def counted() -> Iterator[None]:
    """Counts what runs inside as importing."""
    global _seconds, _inside
    if _inside:
        yield
        return
    started, _inside = time.monotonic(), True
    try:
        yield
    finally:
        _inside = False
        _seconds += time.monotonic() - started


def take() -> float:
    """Seconds that nobody has taken yet."""
    global _seconds
    taken, _seconds = _seconds, 0.0
    return taken
