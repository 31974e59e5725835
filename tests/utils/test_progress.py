"""Progress is a bar in a terminal, elsewhere a line after 2 seconds and every 10 seconds."""

import io
import sys
import threading
import time

import pytest

import tftransfer
from tftransfer.utils import progress
from tftransfer.utils.progress import Progress, waiting


class Clock:
    """Time that passes only when a test adds to it."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_progress_long_work_logs_rate_and_time_left(clock, log_lines):
    with Progress("reading", 4000, "files") as reading:
        for _ in range(30):
            clock.now += 1.0
            reading.add(100)
    assert log_lines == [
        "  reading: 200 of 4,000 files, 100 per second, 38 s left",
        "  reading: 1,200 of 4,000 files, 100 per second, 28 s left",
        "  reading: 2,200 of 4,000 files, 100 per second, 18 s left",
    ]


def test_progress_short_work_logs_nothing(clock, log_lines):
    with Progress("reading", 10) as reading:
        clock.now += 1.9
        reading.add(10)
    assert not log_lines


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_terminal_gets_a_bar_that_is_removed(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_BAR_SECONDS", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("reading", 10, "files") as reading:
        reading.add(10)
    drawn = sys.stderr.getvalue()
    assert "reading" in drawn and "/10" in drawn and drawn.rstrip(" ").endswith("\r")
    assert capsys.readouterr().out == ""


def test_progress_verbosity_above_info_draws_no_bar(monkeypatch):
    monkeypatch.setattr(progress, "_BAR_SECONDS", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    tftransfer.set_verbosity("warning")
    try:
        with Progress("reading", 10) as reading:
            reading.add(10)
    finally:
        tftransfer.set_verbosity("info")
    assert sys.stderr.getvalue() == ""


def test_real_stderr_inside_nested_quiet_stderr_is_the_real_one():
    from tftransfer.utils.console import quiet_stderr, real_stderr

    before = sys.stderr
    with quiet_stderr(), quiet_stderr():
        assert real_stderr() is not before
        shown = real_stderr()
    assert real_stderr() is before and shown.closed


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(progress, "_FIRST_LINE_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_REDRAW_SECONDS", 0.01)


def test_waiting_long_work_logs_one_line(soon, log_lines):
    with waiting("exporting"):
        time.sleep(0.2)
    assert log_lines == ["  exporting ..."]


def test_waiting_short_work_logs_nothing(log_lines):
    with waiting("exporting"):
        pass
    assert not log_lines


def test_waiting_without_a_log_needs_a_terminal(soon, log_lines):
    with waiting("importing", log=False):
        time.sleep(0.2)
    assert not log_lines


def test_waiting_terminal_shows_a_line_that_is_removed(soon, monkeypatch, log_lines):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with waiting("exporting"):
        time.sleep(0.3)
    shown = sys.stderr.getvalue()
    assert "exporting ... 00:0" in shown and shown.rstrip(" ").endswith("\r")
    assert not log_lines


def test_waiting_error_inside_is_raised_and_ends_the_line(soon):
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), waiting("exporting"):
        1 / 0  # noqa: B018
    assert threading.active_count() == before
