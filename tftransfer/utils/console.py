"""What reaches the user's terminal."""

from __future__ import annotations

import contextlib
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
