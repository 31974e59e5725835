"""Progress of long work: a bar in a terminal or notebook, lines in a log."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO, cast

from tftransfer.utils.console import real_stderr

if TYPE_CHECKING:
    from tqdm import tqdm

LOGGER = logging.getLogger(__name__)

LINE_SECONDS = 10.0
_FIRST_LINE_SECONDS = 2.0
_BAR_SECONDS = 1.0
_REDRAW_SECONDS = 1.0


class Progress:
    """Counts the finished units of work whose total is known; a context manager.

    A terminal and a notebook show a tqdm bar once the work has taken a second. Elsewhere, such as
    in a log file, the logger `tftransfer` gets a line after 2 seconds and then every 10 seconds.

    Args:
      what: Name of the work, such as `scanning`.
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


@contextlib.contextmanager
def waiting(what: str, *, log: bool = True) -> Iterator[None]:
    """Shows that work whose length is unknown is running, once it has taken 2 seconds.

    A terminal shows the elapsed time on a line that is removed at the end. Elsewhere the logger
    `tftransfer` gets one line.

    Args:
      what: Name of the work, such as `exporting`.
      log: Whether the line is logged where there is no terminal.

    Example:
      >>> from tftransfer.utils.progress import waiting
      >>> with waiting("exporting"):
      ...     pass
    """
    terminal = _Terminal()
    watched = terminal.isatty() and not _in_notebook()
    if not LOGGER.isEnabledFor(logging.INFO) or not (watched or log):
        yield
        return
    finished = threading.Event()

    def show() -> None:
        if finished.wait(_FIRST_LINE_SECONDS):
            return
        if watched:
            _show_elapsed(what, finished, terminal)
        else:
            LOGGER.info(f"  {what} ...")

    thread = threading.Thread(target=show, name="tftransfer-waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


class _Terminal:
    """Stderr as it is at each call, since `quiet_stderr` may begin or end in between."""

    # A log message moves the lines out of its way whose file equals stderr.
    def __eq__(self, other: object) -> bool:
        return other is sys.stderr or isinstance(other, _Terminal)

    def __hash__(self) -> int:
        return hash(_Terminal)

    def isatty(self) -> bool:
        return real_stderr().isatty()

    def fileno(self) -> int:
        return real_stderr().fileno()

    def write(self, text: str) -> int:
        return real_stderr().write(text)

    def flush(self) -> None:
        real_stderr().flush()


def _show_elapsed(what: str, finished: threading.Event, terminal: _Terminal) -> None:
    """Draws a tqdm line, which log messages move out of the way, until the work is finished."""
    from tqdm import tqdm

    with tqdm(
        bar_format="{desc} ... {elapsed}",
        desc=what,
        delay=_FIRST_LINE_SECONDS,
        leave=False,
        dynamic_ncols=True,
        file=cast(TextIO, terminal),
    ) as line:
        line.start_t -= _FIRST_LINE_SECONDS
        while True:
            line.refresh()
            if finished.wait(_REDRAW_SECONDS):
                return


def _bar(what: str, total: int, unit: str) -> tqdm | None:
    """Returns a tqdm bar in a terminal or notebook, else None."""
    options: dict[str, object] = {
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
    """Returns whether the process is the kernel of a notebook."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return shell is not None and hasattr(shell, "kernel")
