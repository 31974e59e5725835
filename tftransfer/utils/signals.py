"""Stop signals, which end a run only where it can stop without losing work."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# "Temporary failure" of sysexits.h: the same command resumes the run.
RESUMABLE_EXIT_CODE = 75
# Schedulers that send SIGTERM send SIGKILL ten seconds later or more.
_FORCED_EXIT_SECONDS = 7.0
_STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """Raised where a run stops because of a signal; the run can be resumed."""


class _Request:
    """The stop signal that arrived, if any.

    Attributes:
      name: Name of the signal, or "".
      handled: Whether the handlers are installed.
      before_forced_exit: Called before the process is ended by force.
    """

    def __init__(self) -> None:
        self.reset(handled=False)

    def reset(self, *, handled: bool) -> None:
        self.name = ""
        self.handled = handled
        self.before_forced_exit: Callable[[], object] = lambda: None


_request = _Request()


@contextlib.contextmanager
def handle_stop_signals() -> Iterator[None]:
    """Turns SIGTERM, SIGINT and SIGHUP into requests that `raise_if_stop_requested` answers.

    A second SIGINT raises `KeyboardInterrupt` at once. If no check follows a SIGTERM for seven
    seconds, as in a long compilation, the function given to `call_before_forced_exit` is called and
    the process exits with `RESUMABLE_EXIT_CODE`. Only the main thread can handle signals; elsewhere
    this context does nothing.
    """
    if _request.handled or threading.current_thread() is not threading.main_thread():
        yield
        return
    timers: list[threading.Timer] = []
    previous = _install_handlers(_handler(timers))
    _request.reset(handled=True)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for timer in timers:
            timer.cancel()
        _request.reset(handled=False)


def call_before_forced_exit(save: Callable[[], object]) -> None:
    """Sets what is called before the process is ended by force after a SIGTERM."""
    _request.before_forced_exit = save


def stop_requested() -> bool:
    """Returns whether a stop signal has arrived."""
    return bool(_request.name)


def raise_if_stop_requested() -> None:
    """Raises `Stopped` after a stop signal; called where no work is half done."""
    if _request.name:
        raise Stopped(f"stopped by {_request.name}")


def _handler(timers: list[threading.Timer]) -> Callable[[int, FrameType | None], None]:
    """Returns the signal handler, which adds the timer of a forced exit to `timers`."""

    def handle(number: int, frame: FrameType | None) -> None:
        interrupted_before = _request.name == "SIGINT"
        _request.name = signal.Signals(number).name
        if interrupted_before and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number == signal.SIGTERM and not timers:
            timers.append(threading.Timer(_FORCED_EXIT_SECONDS, _force_exit))
            timers[0].daemon = True
            timers[0].start()

    return handle


def _install_handlers(
    handler: Callable[[int, FrameType | None], None],
) -> dict[int, signal._HANDLER]:
    """Installs the handler for each stop signal that is not ignored; returns the previous ones."""
    numbers = [getattr(signal, name) for name in _STOP_SIGNALS if hasattr(signal, name)]
    previous = {number: signal.getsignal(number) for number in numbers}
    previous = {n: h for n, h in previous.items() if h not in (signal.SIG_IGN, None)}
    for number in previous:
        signal.signal(number, handler)
    return previous


def _force_exit() -> None:
    with contextlib.suppress(BaseException):
        _request.before_forced_exit()
    os._exit(RESUMABLE_EXIT_CODE)
