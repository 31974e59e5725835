"""Output in the console: the handler of the logger `tftransfer`, escapes, a quiet stderr."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

from tftransfer.utils.errors import UserError

# Stderr as it was before each `quiet_stderr` that is open.
_hidden_streams: list[TextIO] = []
# Unicode categories: controls, surrogates, line separators, paragraph separators.
_ESCAPED_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    """Returns the text on one line; characters that control a terminal are escaped."""
    if text.isprintable():
        return text
    return "".join(map(_escape, text))


def _escape(character: str) -> str:
    escaped = unicodedata.category(character) in _ESCAPED_CATEGORIES
    return character.encode("unicode_escape").decode() if escaped else character


class ConsoleHandler(logging.Handler):
    """Prints the message of each log record on a separate line, as it is.

    The stream is looked up in `sys` for each record, so that redirected output is respected.

    Args:
      stream_name: `stdout` or `stderr`.
    """

    def __init__(self, stream_name: str = "stdout"):
        super().__init__()
        self.stream_name = stream_name

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the record; progress bars in the same terminal are drawn below it again."""
        try:
            tqdm = sys.modules.get("tqdm")
            bars_hidden = tqdm.tqdm.external_write_mode() if tqdm else contextlib.nullcontext()
            with bars_hidden:
                print(self.format(record), file=getattr(sys, self.stream_name), flush=True)
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)


def console_handler() -> ConsoleHandler:
    """Returns the handler of the logger `tftransfer` that prints to the console.

    The first call adds it.
    """
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

    Messages go through the standard logger `tftransfer`, which prints them to stdout. To send them
    elsewhere, replace its handlers: `logging.getLogger("tftransfer").handlers[:] = [mine]`.

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
def quiet_stderr() -> Iterator[None]:
    """Hides what the block writes to stderr, also from C++.

    It is printed if the block raises an exception, except for a `UserError`, which explains itself.
    """
    import tempfile  # here, since every command imports this module

    sys.stderr.flush()
    stream = os.fdopen(os.dup(2), "w")
    _hidden_streams.append(stream)
    with tempfile.TemporaryFile() as written, stream:
        os.dup2(written.fileno(), 2)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, UserError):
                written.seek(0)
                os.write(stream.fileno(), written.read())
            raise
        finally:
            os.dup2(stream.fileno(), 2)
            _hidden_streams.remove(stream)


def real_stderr() -> TextIO:
    """Returns the stderr that the user sees, also inside `quiet_stderr`."""
    return _hidden_streams[0] if _hidden_streams else sys.stderr
