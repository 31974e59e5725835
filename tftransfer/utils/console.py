"""The console: the handler of the logger `tftransfer`, quiet stderr, escaped names."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from typing import TextIO

_behind: list[TextIO] = []
# Control characters, halves of characters, and what ends a line or a paragraph.
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    """The text on one line, for any terminal: what file names may hold besides is escaped."""
    if text.isprintable():
        return text
    return "".join(map(_escaped, text))


def _escaped(letter: str) -> str:
    unseen = unicodedata.category(letter) in _UNSEEN
    return letter.encode("unicode_escape").decode() if unseen else letter


class ConsoleHandler(logging.Handler):
    """Prints the message of each log record on a line of its own, without a prefix.

    The stream is looked up in `sys` for each record, so that redirected output is respected.

    Args:
      stream_name: `stdout` or `stderr`.
    """

    def __init__(self, stream_name: str = "stdout"):
        super().__init__()
        self.stream_name = stream_name

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the record; a progress bar on the same terminal makes room for it."""
        try:
            tqdm = sys.modules.get("tqdm")
            room = tqdm.tqdm.external_write_mode() if tqdm else contextlib.nullcontext()
            with room:
                print(self.format(record), file=getattr(sys, self.stream_name), flush=True)
        except Exception:
            self.handleError(record)


def console_handler() -> ConsoleHandler:
    """The handler of the logger `tftransfer` that prints to the console, added on first use."""
    logger = logging.getLogger("tftransfer")
    for handler in logger.handlers:
        if isinstance(handler, ConsoleHandler):
            return handler
    handler = ConsoleHandler()
    logger.addHandler(handler)
    logger.propagate = False
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    return handler


def set_verbosity(level: int | str) -> None:
    """Sets which messages of tftransfer are shown.

    Messages go through the standard logger `tftransfer`, which prints them to stdout. To handle
    them otherwise, replace its handlers: `logging.getLogger("tftransfer").handlers[:] = [mine]`.

    Args:
      level: A level of `logging`, as a number or a name in any case: `debug`, `info` (the default),
        `warning`, `error`. Levels above `info` also turn progress bars off.

    Raises:
      ValueError: If there is no such level.

    Example:
      >>> import tftransfer
      >>> tftransfer.set_verbosity("warning")
      >>> tftransfer.set_verbosity("info")
    """
    logging.getLogger("tftransfer").setLevel(level.upper() if isinstance(level, str) else level)


@contextlib.contextmanager
def stderr_kept_back() -> Iterator[None]:
    """Keeps back what is written to stderr inside, by C++ too, unless an exception is raised."""
    sys.stderr.flush()
    terminal = os.fdopen(os.dup(2), "w")
    _behind.append(terminal)
    with tempfile.TemporaryFile() as kept, terminal:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(terminal.fileno(), kept.read())
            raise
        finally:
            os.dup2(terminal.fileno(), 2)
            _behind.remove(terminal)


def real_stderr() -> TextIO:
    """Stderr, also inside `stderr_kept_back`, for what is meant to be seen."""
    return _behind[0] if _behind else sys.stderr
