"""How many training steps one call runs."""

from __future__ import annotations

import time

_FIRST_STEPS = 8
_MAX_STEPS = 64
# A signal is handled between two calls: within seconds, whatever the speed of a step.
_MAX_SECONDS = 2.0


class StepPacing:
    """Adapts the number of steps per call to their speed.

    A context manager around each call measures its time; calling the object returns the number of
    steps for the next one.
    """

    def __init__(self) -> None:
        self._steps, self._began = _FIRST_STEPS, 0.0

    def __call__(self) -> int:
        """Returns the number of steps for the next call."""
        return self._steps

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *error: object) -> None:
        seconds = time.monotonic() - self._began
        if seconds < _MAX_SECONDS / 2:
            self._steps = min(2 * self._steps, _MAX_STEPS)
        elif seconds > _MAX_SECONDS:
            self._steps = max(1, self._steps // 2)
