"""Keras callbacks over the phases of a run."""

from __future__ import annotations

from collections.abc import Iterable

import keras


class PhaseCallbacks:
    """Calls Keras callbacks; each phase is a separate training to them.

    Args:
      callbacks: Instances of `keras.callbacks.Callback`.
    """

    def __init__(self, callbacks: Iterable[keras.callbacks.Callback]):
        self._callbacks = list(callbacks)

    def of_phase(self, model: keras.Model) -> keras.callbacks.CallbackList:
        """Returns the callbacks as one, with their model set."""
        return keras.callbacks.CallbackList(self._callbacks, model=model, add_history=False)
