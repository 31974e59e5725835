"""Wall time of a run by section."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tftransfer.utils import import_time


class Clock:
    """Measures the seconds of named sections.

    The time of a section inside another one counts for the inner one only, so that the sections
    add up to the whole. The section `import` holds the time that the process has spent importing,
    unless an earlier clock counted it.

    Example:
      >>> clock = Clock()
      >>> with clock.measure("training"):
      ...     pass
      >>> sorted(clock.rounded())
      ['import', 'total', 'training']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"import": import_time.pop_seconds()}
        self._open_sections: list[str] = []
        self._counted_until = time.monotonic()

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Counts the time of the block for the section `name`."""
        self._count_elapsed()
        self._open_sections.append(name)
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._count_elapsed()
            self._open_sections.pop()

    def _count_elapsed(self) -> None:
        now = time.monotonic()
        if self._open_sections:
            self.seconds[self._open_sections[-1]] += now - self._counted_until
        self._counted_until = now

    def rounded(self) -> dict[str, float]:
        """Returns the seconds by section, rounded to milliseconds, and their `total`."""
        sections = {name: round(seconds, 3) for name, seconds in self.seconds.items()}
        return {**sections, "total": round(sum(self.seconds.values()), 3)}
