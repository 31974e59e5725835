"""Checkpoints off the hot path: a thread writes them, when one is due."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tftransfer.checkpoints import checkpoint as checkpoints
from tftransfer.checkpoints.checkpoint import Checkpoint
from tftransfer.utils.errors import UserError

LOGGER = logging.getLogger(__name__)

# Of the training's time, what checkpoints may take; and what the first is expected to take.
_SAVING_SHARE, _FIRST_SAVE = 0.02, 0.1


class AsyncSaver:
    """Writes checkpoints, one at a time.

    Args:
      folder: of the run's checkpoints.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._saves = 0
        self._unsaved: Checkpoint | None = None
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._saved_at, self._seconds = time.monotonic(), _FIRST_SAVE

    def due(self) -> bool:
        """Whether the last checkpoint is so old that another takes little of the time."""
        free = self._writing is None or self._writing.done()
        return free and time.monotonic() - self._saved_at > self._seconds / _SAVING_SHARE

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint when that is due; what stops the training writes it anyway."""
        self._unsaved = checkpoint
        if self.due():
            self.write()

    def write(self) -> None:
        """Begins to write what was last to be saved."""
        self._written()
        if self._unsaved:
            self._saves += 1
            self._writing = self._writer.submit(self._save, self._saves, self._unsaved)
            self._unsaved = None

    def keep(self) -> None:
        """Writes what was last to be saved, and waits for it."""
        self.write()
        self._written()

    def close(self) -> None:
        """Waits until what is being written is on disk.

        Raises:
          UserError: a checkpoint could not be written.
        """
        self._written()
        self._writer.shutdown()

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that can be read; later ones are numbered after all there are."""
        found = checkpoints.load_newest(self.folder)
        if found is None:
            return None
        checkpoint, remarks = found
        for remark in remarks:
            LOGGER.info(remark)
        self._saves = max(checkpoints.numbers(self.folder))
        return checkpoint

    def _written(self) -> None:
        try:
            if self._writing:
                self._writing.result()
        except OSError as error:
            self._writing = None
            raise UserError(
                f"A checkpoint could not be written in {self.folder}: {error.strerror}.",
                "Free disk space there, then resume with --resume.",
            ) from None

    def _save(self, number: int, checkpoint: Checkpoint) -> None:
        started = time.monotonic()
        checkpoints.save(self.folder, number, checkpoint)
        self._saved_at = time.monotonic()
        self._seconds = self._saved_at - started
