"""The time that this process has spent importing modules.

The first run after an import counts its seconds, which would otherwise be missing from the report.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

_seconds = 0.0
_measuring = False


@contextlib.contextmanager
def measure() -> Iterator[None]:
    """Adds the time that the block takes; a block inside another one is counted once."""
    global _seconds, _measuring
    if _measuring:
        yield
        return
    started, _measuring = time.monotonic(), True
    try:
        yield
    finally:
        _measuring = False
        _seconds += time.monotonic() - started


def pop_seconds() -> float:
    """Returns the seconds since the last call and starts again from zero."""
    global _seconds
    popped, _seconds = _seconds, 0.0
    return popped
