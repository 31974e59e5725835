"""Keras callbacks over the phases of a run."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from tftransfer.utils.errors import UserError

Logs = dict[str, float]

# They count epochs without improvement, which does not continue in a phase with other losses and
# a new optimizer: each phase is a separate training to them.
_PER_PHASE = (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau)


class RunCallbacks:
    """Calls Keras callbacks as one `fit` of all phases would.

    `on_train_begin` is called before the first phase and `on_train_end` after the last one; for
    `EarlyStopping` and `ReduceLROnPlateau` at the start and the end of each phase. Epochs are
    counted over all phases. `model.stop_training` ends the present phase.

    Args:
      callbacks: Callbacks of Keras 3.

    Raises:
      UserError: One of them is not a callback of Keras 3.
    """

    def __init__(self, callbacks: Iterable[keras.callbacks.Callback]):
        self._callbacks = keras.tree.flatten(list(callbacks))
        for callback in self._callbacks:
            _check(callback)
        self._begun = False
        self._first_epoch = 0

    def begin_phase(self, model: keras.Model, *, first_epoch: int, epochs: int, steps: int) -> None:
        """Starts a phase.

        Args:
          model: The network's model, compiled with the optimizer of the phase.
          first_epoch: Number of epochs of the phases before.
          epochs: Number of epochs of this phase, at most.
          steps: Number of steps of an epoch.
        """
        self._first_epoch = first_epoch
        for callback in self._callbacks:
            if not self._begun:
                callback.set_model(model)
            callback.set_params({"epochs": first_epoch + epochs, "steps": steps, "verbose": 0})
            if not self._begun or isinstance(callback, _PER_PHASE):
                callback.on_train_begin()
        self._begun = True

    def end_phase(self) -> None:
        """Ends a phase, before its best weights are restored."""
        for callback in self._callbacks:
            if isinstance(callback, _PER_PHASE):
                callback.on_train_end()

    def end_run(self) -> None:
        """Ends the run, after its last phase."""
        for callback in self._callbacks:
            if self._begun and not isinstance(callback, _PER_PHASE):
                callback.on_train_end()

    def on_epoch_begin(self, epoch: int) -> None:
        """Begins an epoch of the phase, counted from 0."""
        for callback in self._callbacks:
            callback.on_epoch_begin(self._first_epoch + epoch, {})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Ends an epoch of the phase, counted from 0; callbacks share a copy of `logs`."""
        logs = dict(logs)
        for callback in self._callbacks:
            callback.on_epoch_end(self._first_epoch + epoch, logs)

    def on_train_batch_begin(self, step: int) -> None:
        """Begins a group of steps."""
        for callback in self._callbacks:
            callback.on_train_batch_begin(step, {})

    def on_train_batch_end(self, step: int, logs: Logs) -> None:
        """Ends a group of steps, of which `step` was the last."""
        for callback in self._callbacks:
            callback.on_train_batch_end(step, dict(logs))


def _check(callback: object) -> None:
    if isinstance(callback, keras.callbacks.Callback):
        return
    library = type(callback).__module__.partition(".")[0]
    origin = f" of {library}" if library not in ("builtins", "__main__") else ""
    raise UserError(
        f"callbacks has a {type(callback).__name__}{origin}, not a callback of Keras 3.",
        "Give instances of keras.callbacks.Callback (import keras, not tf_keras).",
    )
