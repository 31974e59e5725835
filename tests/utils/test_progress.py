"""A bar on a terminal, a plain line each ten seconds elsewhere."""

import functools
import io
import sys

import pytest

from tftransfer.utils import progress
from tftransfer.utils.progress import Progress


class Clock:
    """Time that passes when told."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_a_line_each_ten_seconds_says_rate_and_time_left(clock):
    said = []
    with Progress(said.append, "reading", 4000, "files") as reading:
        for _ in range(30):
            clock.now += 1.0
            reading.add(100)
    assert said == [
        "  reading: 1,000 of 4,000 files, 100 a second, 30 s left",
        "  reading: 2,000 of 4,000 files, 100 a second, 20 s left",
        "  reading: 3,000 of 4,000 files, 100 a second, 10 s left",
    ]


def test_short_work_says_nothing(clock):
    with Progress(pytest.fail, "reading", 10) as reading:
        clock.now += 9.9
        reading.add(10)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("say", [print, functools.partial(print, flush=True)])
def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch, capsys, say):
    monkeypatch.setattr(progress, "_BAR_AFTER", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(say, "reading", 10, "files") as reading:
        reading.add(10)
    drawn = sys.stderr.getvalue()
    assert "reading" in drawn and "/10" in drawn and drawn.rstrip(" ").endswith("\r")
    assert capsys.readouterr().out == ""


def test_whoever_takes_the_lines_gets_no_bar(monkeypatch):
    monkeypatch.setattr(progress, "_BAR_AFTER", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(lambda line: None, "reading", 10) as reading:
        reading.add(10)
    assert sys.stderr.getvalue() == ""


def test_what_is_kept_back_leaves_the_bar():
    from tftransfer.utils.console import real_stderr, stderr_kept_back

    before = sys.stderr
    with stderr_kept_back(), stderr_kept_back():
        assert real_stderr() is not before
        shown = real_stderr()
    assert real_stderr() is before and shown.closed
