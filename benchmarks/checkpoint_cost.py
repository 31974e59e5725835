"""Measures the cost of checkpoints and of hashes of frozen weights: the row `cost` of faults.py."""

import itertools
import shutil
import statistics
import time
from unittest import mock

import keras
import numpy as np

_RECIPE = "fine_tune:unfreeze=2,head_epochs=1,epochs={},augment=shift,patience=0"
# Epochs with checkpoints, followed by the same number without: a few seconds each.
_BLOCK_EPOCHS = 20


class CheckpointSwitch(keras.callbacks.Callback):
    """Turns the checkpoints of a run on and off, block by block, and times the blocks.

    A block with checkpoints ends when its last one is on disk.
    """

    def __init__(self):
        super().__init__()
        self.on, self.savers = True, set()

    def on_train_begin(self, logs=None):
        """Starts the times of a phase; those of the last phase count."""
        self.epochs, self.seconds = 0, {True: [], False: []}
        self.began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Ends a block after every `_BLOCK_EPOCHS` epochs."""
        self.epochs += 1
        if self.epochs % _BLOCK_EPOCHS:
            return
        for saver in self.savers if self.on else ():
            saver.keep()
        self.seconds[self.on].append(time.monotonic() - self.began)
        self.on = not self.on
        self.began = time.monotonic()

    def patched(self):
        """A context in which checkpoints are written only while this is on."""
        from tftransfer.checkpoints.async_saver import AsyncSaver

        due, save = AsyncSaver.due, AsyncSaver.save

        def saves(saver, checkpoint):
            self.savers.add(saver)
            if self.on:
                save(saver, checkpoint)

        return mock.patch.multiple(AsyncSaver, due=lambda saver: self.on and due(saver), save=saves)


def measure_cost(folder, blocks):
    """Measures one run whose checkpoints are on and off in turn, so that conditions are equal.

    Args:
      folder: Folder with the digits and the source.
      blocks: Number of blocks with checkpoints, and of blocks without.

    Returns:
      A dictionary of fractions of the run's time: `checkpoints` (median ratio of a block with them
      to the mean of its two neighbors without, minus 1), `weight hashes`, and `snapshots` (copies
      of the state, which blocks without checkpoints make too); and `ratio`, 1 plus their sum.
    """
    import tftransfer
    from tftransfer.models.network import Network
    from tftransfer.training.phase_loop import PhaseLoop

    switch, hash_seconds, snapshot_seconds = CheckpointSwitch(), [], []

    def timed(function, seconds):
        def run(*args):
            began = time.monotonic()
            result = function(*args)
            seconds.append(time.monotonic() - began)
            return result

        return run

    experiment = tftransfer.Experiment(
        data=str(folder / "digits" / "target"),
        backbone=str(folder / "source"),
        batch_size=16,
        recipe=_RECIPE.format((2 * blocks + 1) * _BLOCK_EPOCHS),
    )
    began = time.monotonic()
    with (
        switch.patched(),
        mock.patch.object(Network, "digest", timed(Network.digest, hash_seconds)),
        mock.patch.object(PhaseLoop, "_snapshot", timed(PhaseLoop._snapshot, snapshot_seconds)),
    ):
        tftransfer.train(experiment, folder / "run", export=False, callbacks=[switch])
    total = time.monotonic() - began
    shutil.rmtree(folder / "run", ignore_errors=True)
    # The first block includes tracing; each other block with checkpoints has two neighbors without.
    saving, plain = switch.seconds[True][1:], switch.seconds[False]
    neighbors = [np.mean(pair) for pair in itertools.pairwise(plain)]
    shares = {
        "checkpoints": statistics.median(a / b for a, b in zip(saving, neighbors)) - 1,
        "weight hashes": sum(hash_seconds) / total,
        "snapshots": sum(snapshot_seconds) / total,
    }
    return {
        "ratio": round(1 + sum(shares.values()), 4),
        **{name: round(share, 4) for name, share in shares.items()},
        "seconds": round(total),
        "epochs in a block": _BLOCK_EPOCHS,
        "blocks": {"with": [round(s, 3) for s in saving], "without": [round(s, 3) for s in plain]},
    }
