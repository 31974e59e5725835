"""The seconds of sections add up to the whole."""

import pytest

from tftransfer.utils import import_time
from tftransfer.utils import timing as clock_module
from tftransfer.utils.timing import Clock


@pytest.fixture
def now(monkeypatch):
    time = [0.0]
    import_time.pop_seconds()
    monkeypatch.setattr(clock_module.time, "monotonic", lambda: time[0])
    return time


def test_clock_inner_section_is_not_counted_twice(now):
    clock = Clock()
    now[0] = 5.0  # before any part: not counted
    with clock.measure("outer"):
        now[0] += 1
        with clock.measure("inner"):
            now[0] += 10
        now[0] += 2
    with clock.measure("inner"):
        now[0] += 4
    assert clock.rounded() == {"import": 0.0, "outer": 3.0, "inner": 14.0, "total": 17.0}


def test_clock_exception_ends_a_section(now):
    clock = Clock()
    with pytest.raises(ValueError), clock.measure("outer"), clock.measure("inner"):
        now[0] += 1
        raise ValueError
    with clock.measure("outer"):
        now[0] += 2
    assert clock.seconds == {"import": 0.0, "outer": 2.0, "inner": 1.0}


def test_clock_first_one_counts_the_seconds_of_imports(monkeypatch):
    import_time.pop_seconds()
    time = iter([0.0, 1.0])
    monkeypatch.setattr(import_time.time, "monotonic", lambda: next(time, 1.0))
    with import_time.measure(), import_time.measure():
        pass
    assert [Clock().seconds["import"] for _ in range(2)] == [1.0, 0.0]
