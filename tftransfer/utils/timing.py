"""Where the wall time of a run goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tftransfer.utils import import_time


class Clock:
    """Seconds by part; the time of a part inside another counts only for the inner one.

    `import` is what the process spent importing, where no clock before it has that.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"import": import_time.take()}
        self._inside: list[str] = []
        self._since = time.monotonic()

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Counts what runs inside as this part."""
        self._turn()
        self._inside.append(name)
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._turn()
            self._inside.pop()

    def _turn(self) -> None:
        now = time.monotonic()
        if self._inside:
            self.seconds[self._inside[-1]] += now - self._since
        self._since = now

    def rounded(self) -> dict[str, float]:
        """Seconds by part to a thousandth, and their `total`."""
        parts = {name: round(seconds, 3) for name, seconds in self.seconds.items()}
        return {**parts, "total": round(sum(self.seconds.values()), 3)}
