"""Progress of long work: a bar where somebody watches, elsewhere a line every 10 seconds."""

from __future__ import annotations

import importlib.util
import logging
import sys
import time
from typing import Any

from tftransfer.utils.console import real_stderr

LOGGER = logging.getLogger(__name__)

LINE_SECONDS = 10.0
_FIRST_LINE_SECONDS = 2.0
_BAR_SECONDS = 1.0


class Progress:
    """Counts what is done of a known total; a context manager.

    A terminal and a notebook get a tqdm bar once the work has taken a second. Elsewhere, such as in
    a log file, the logger `tftransfer` gets a line after 2 seconds and then one every 10 seconds.

    Args:
      what: The work in a few words, such as `scanning`.
      total: Number of units of the whole work.
      unit: Name of a unit, in the plural.
    """

    def __init__(self, what: str, total: int, unit: str = "examples"):
        self._what, self._total, self._unit = what, total, unit
        self._done = 0
        self._started = time.monotonic()
        self._next_line = self._started + _FIRST_LINE_SECONDS
        self._bar = _bar(what, total, unit) if LOGGER.isEnabledFor(logging.INFO) else None

    def add(self, count: int) -> None:
        """Counts `count` more units as done."""
        self._done += count
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(count)
        elif now >= self._next_line:
            self._next_line = now + LINE_SECONDS
            rate = self._done / (now - self._started)
            left = (self._total - self._done) / rate if rate else float("inf")
            LOGGER.info(
                f"  {self._what}: {self._done:,} of {self._total:,} {self._unit}, "
                f"{rate:.3g} per second, {left:.0f} s left"
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _bar(what: str, total: int, unit: str) -> Any:
    """A tqdm bar where somebody watches, else None."""
    options: dict[str, Any] = {
        "desc": what,
        "total": total,
        "unit": f" {unit}",
        "delay": _BAR_SECONDS,
        "leave": False,
        "dynamic_ncols": True,
    }
    if _in_notebook() and importlib.util.find_spec("ipywidgets"):
        from tqdm.notebook import tqdm as notebook_tqdm

        return notebook_tqdm(**options)
    terminal = real_stderr()
    if not (terminal.isatty() or _in_notebook()):
        return None
    from tqdm import tqdm

    return tqdm(**options, file=terminal)


def _in_notebook() -> bool:
    """Whether the process is the kernel of a notebook."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return shell is not None and hasattr(shell, "kernel")
