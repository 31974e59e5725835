"""A wish to stop, told by a signal, and heard where a run can stop without losing anything."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

# What a process ends with that can be gone on with: "temporary failure" of sysexits.h.
RESUMABLE = 75
# Those who send SIGTERM kill after ten seconds or more.
_PATIENCE = 7.0
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """A run stopped because it was asked to; it can be resumed where it was."""


class _Wish:
    """The signal that was heard, if any, and who hears."""

    def __init__(self) -> None:
        self.name = ""
        self.hearing = False
        self.at_last: Callable[[], Any] = lambda: None


_wish = _Wish()


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Inside, SIGTERM, SIGINT and SIGHUP make the next `check` raise; SIGINT once more, at once.

    When seven seconds after a SIGTERM nothing has been checked, as in a long compilation, what
    `before_the_end` was given is called, and the process ends with `RESUMABLE`.
    """
    if _wish.hearing or threading.current_thread() is not threading.main_thread():
        yield
        return
    timers: list[threading.Timer] = []

    def give_up() -> None:
        with contextlib.suppress(BaseException):
            _wish.at_last()
        os._exit(RESUMABLE)

    def hear(number: int, frame: Any) -> None:
        again = _wish.name == "SIGINT"
        _wish.name = signal.Signals(number).name
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number == signal.SIGTERM and not timers:
            timers.append(threading.Timer(_PATIENCE, give_up))
            timers[0].daemon = True
            timers[0].start()

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {n: signal.getsignal(n) for n in numbers}
    before = {n: h for n, h in before.items() if h not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, hear)
    _wish.hearing = True
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for timer in timers:
            timer.cancel()
        _wish.name, _wish.hearing, _wish.at_last = "", False, lambda: None


def before_the_end(save: Callable[[], Any]) -> None:
    """What to call when there is no time left for more."""
    _wish.at_last = save


def asked() -> bool:
    """Whether a signal asked to stop."""
    return bool(_wish.name)


def check() -> None:
    """Raises `Stopped` if a signal asked for it; call it where nothing is half done."""
    if _wish.name:
        raise Stopped(f"stopped by {_wish.name}")
