"""What checkpoints and the proofs of what stayed frozen cost a training; a line of `faults.py`."""

import contextlib
import shutil
import statistics
import time
from unittest import mock

# Trains for more than 20 seconds on two cores.
_LONG = "fine_tune:unfreeze=2,head_epochs=10,epochs=150,augment=shift,patience=0"


@contextlib.contextmanager
def without_proofs():
    """Inside, nothing is written while a run trains, and nothing hashed."""
    from tftransfer.building.network import Network
    from tftransfer.using.saving import Saver

    with (
        mock.patch.multiple(Saver, due=lambda self: False, save=lambda self, checkpoint: None,
                            write=lambda self: None),
        mock.patch.object(Network, "digest", lambda self, blocks: "-".join(blocks)),
    ):  # fmt: skip
        yield


def training_seconds(folder, cache):
    """Of one run's phases, and of waiting for what they had to write; and of the processors."""
    import tftransfer
    from tftransfer.using.trainer import Trainer

    shutil.rmtree(folder / "run", ignore_errors=True)
    real, seconds = Trainer.fit, []

    def fit(trainer):
        began, worked = time.monotonic(), time.process_time()
        phases = real(trainer)
        trainer.saver.keep()
        seconds.append([time.monotonic() - began, time.process_time() - worked])
        return phases

    settings = tftransfer.Experiment(
        data=str(folder / "digits" / "target"), backbone=str(folder / "source"), batch_size=16,
        recipe=_LONG,
    )  # fmt: skip
    with mock.patch.object(Trainer, "fit", fit):
        tftransfer.train(settings, folder / "run", export=False, cache_dir=str(folder / cache),
                         say=lambda line: None)  # fmt: skip
    return seconds[0]


def measured_cost(folder, runs):
    """Medians of so many runs with checkpoints and proofs, by those of as many without, in turn.

    Args:
      folder: with the digits and their source.
      runs: of each kind, after one that computes the features and warms the process up.
    """
    found = {"with": [], "without": []}
    for number in range(runs + 1):
        for name in sorted(found, reverse=number % 2 == 1):
            with without_proofs() if name == "without" else contextlib.nullcontext():
                seconds = training_seconds(folder, f"cache {name}")
            if number:
                found[name].append([round(each, 2) for each in seconds])
    medians = {n: [statistics.median(each) for each in zip(*found[n])] for n in found}
    # Others at work on the machine lengthen a run, but hardly the work of its processors.
    ratio, of_work = (round(a / b, 4) for a, b in zip(medians["with"], medians["without"]))
    shutil.rmtree(folder / "run", ignore_errors=True)
    return {"ratio": ratio, "ratio of processor time": of_work, "each": found}
