"""What checkpoints and the proofs of what stayed frozen cost a training; a line of `faults.py`."""

import itertools
import shutil
import statistics
import time
from unittest import mock

import keras
import numpy as np

_LONG = "fine_tune:unfreeze=2,head_epochs=1,epochs={},augment=shift,patience=0"
# Epochs that train with checkpoints, and then as many without: some seconds.
_BLOCK = 20


class Switch(keras.callbacks.Callback):
    """Turns a run's checkpoints off and on again, block by block, and times the blocks.

    A block with checkpoints ends when its last one is on disk.
    """

    def __init__(self):
        super().__init__()
        self.on, self.savers = True, set()

    def on_train_begin(self, logs=None):
        """A phase begins; the last one's blocks count."""
        self.epochs, self.seconds = 0, {True: [], False: []}
        self.began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """The end of a block, every so often."""
        self.epochs += 1
        if self.epochs % _BLOCK:
            return
        for saver in self.savers if self.on else ():
            saver.keep()
        self.seconds[self.on].append(time.monotonic() - self.began)
        self.on = not self.on
        self.began = time.monotonic()

    def patched(self):
        """Inside, what a run saves is written only while this is on."""
        from tftransfer.checkpoints.async_saver import AsyncSaver

        due, save = AsyncSaver.due, AsyncSaver.save

        def saves(saver, checkpoint):
            self.savers.add(saver)
            if self.on:
                save(saver, checkpoint)

        return mock.patch.multiple(AsyncSaver, due=lambda saver: self.on and due(saver), save=saves)


def measured_cost(folder, blocks):
    """Of one run whose checkpoints are off and on in turn, so that both sides have one machine.

    Args:
      folder: with the digits and their source.
      blocks: of epochs with checkpoints, and as many without.

    Returns:
      `checkpoints`: the median block with them, by the median of the two without beside it, minus
      1. `proofs` and `copies`: the seconds that all hashes of weights took, and that what a
      checkpoint holds was taken, which both sides do, by the run's. `ratio`: 1 and all three.
    """
    import tftransfer
    from tftransfer.models.network import Network
    from tftransfer.training.phase_loop import PhaseLoop

    switch, proofs, copies = Switch(), [], []

    def timed(function, seconds):
        def run(*args):
            began = time.monotonic()
            found = function(*args)
            seconds.append(time.monotonic() - began)
            return found

        return run

    settings = tftransfer.Experiment(
        data=str(folder / "digits" / "target"),
        backbone=str(folder / "source"),
        batch_size=16,
        recipe=_LONG.format((2 * blocks + 1) * _BLOCK),
    )
    began = time.monotonic()
    with (
        switch.patched(),
        mock.patch.object(Network, "digest", timed(Network.digest, proofs)),
        mock.patch.object(PhaseLoop, "_taken", timed(PhaseLoop._taken, copies)),
    ):
        tftransfer.train(settings, folder / "run", export=False, callbacks=[switch])
    whole = time.monotonic() - began
    shutil.rmtree(folder / "run", ignore_errors=True)
    # The first block waits for what is traced; each other one lies between two without.
    saved, plain = switch.seconds[True][1:], switch.seconds[False]
    beside = [np.mean(pair) for pair in itertools.pairwise(plain)]
    checkpoints = statistics.median(a / b for a, b in zip(saved, beside)) - 1
    shares = [checkpoints, sum(proofs) / whole, sum(copies) / whole]
    named = zip(("checkpoints", "proofs", "copies"), shares)
    return {
        "ratio": round(1 + sum(shares), 4),
        **{name: round(share, 4) for name, share in named},
        "seconds": round(whole),
        "epochs in a block": _BLOCK,
        "each": {"with": [round(s, 3) for s in saved], "without": [round(s, 3) for s in plain]},
    }
