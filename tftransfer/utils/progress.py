"""Progress of long work: a bar on a terminal, elsewhere a plain line each ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tftransfer.utils.console import real_stderr

SPEAK_EVERY = 10.0
_BAR_AFTER = 1.0


class Progress:
    """Counts what is done of a known total; a context manager.

    Args:
      say: where lines go; when it is `print` and stderr a terminal, a bar is drawn instead.
      what: is being done, in a few words.
      total: number of units.
      unit: in the plural.
    """

    def __init__(self, say: Callable[[str], None], what: str, total: int, unit: str = "examples"):
        self._say, self._what, self._total, self._unit = say, what, total, unit
        self._done = 0
        self._started = self._spoken = time.monotonic()
        self._bar: Any = None
        terminal = real_stderr()
        if getattr(say, "func", say) is print and terminal.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=what,
                total=total,
                unit=f" {unit}",
                delay=_BAR_AFTER,
                leave=False,
                dynamic_ncols=True,
                file=terminal,
            )

    def add(self, count: int) -> None:
        """So many more units are done."""
        self._done += count
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(count)
        elif now - self._spoken >= SPEAK_EVERY:
            self._spoken = now
            rate = self._done / (now - self._started)
            self._say(
                f"  {self._what}: {self._done:,} of {self._total:,} {self._unit}, "
                f"{rate:.3g} a second, {(self._total - self._done) / rate:.0f} s left"
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()
