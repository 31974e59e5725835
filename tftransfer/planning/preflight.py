"""Checks that take seconds and find what would stop a long run, before any data are read."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tftransfer.checkpoints.checkpoint import KEPT
from tftransfer.core.experiment import Experiment
from tftransfer.data.examples import Examples
from tftransfer.models.network import Network
from tftransfer.planning.phase_plan import PhasePlan
from tftransfer.utils.errors import UserError

_FLOAT_BYTES = 4
# Optimizers keep two moments of each weight that trains.
_MOMENTS = 2
# A row of predictions.csv has about this many characters per class, and as many more columns.
_PREDICTION_BYTES = 32
_PREDICTION_COLUMNS = 8


def preflight(experiment: Experiment, workdir: Path) -> None:
    """Checks the environment, the run's folder and the weights file.

    Args:
      experiment: The experiment.
      workdir: Folder of the run.

    Raises:
      UserError: TF_CONFIG is malformed, the folder cannot be written to, or the weights file does
        not exist.
    """
    _check_tf_config(os.environ.get("TF_CONFIG", ""))
    _check_writable(workdir)
    weights = experiment.weights
    if weights not in ("pretrained", "none") and "://" not in weights:
        path = Path(weights).expanduser()
        if not path.exists():
            raise UserError(f"The weights file {path} does not exist.", "Check --weights.")


def check_disk_space(workdir: Path, needed_bytes: int) -> None:
    """Checks that the disk has space for checkpoints, final weights and export.

    Args:
      workdir: Folder of the run; the size of its present files counts as available.
      needed_bytes: Number of bytes that the whole run writes.

    Raises:
      UserError: The disk has less space.
    """
    present = sum(path.stat().st_size for path in workdir.rglob("*") if path.is_file())
    needed, free = needed_bytes - present, shutil.disk_usage(_existing(workdir)).free
    if needed > free:
        raise UserError(
            f"--workdir={workdir} needs about {needed / 2**20:,.0f} MiB, its disk has "
            f"{free / 2**20:,.0f} MiB free.",
            "Free disk space, or give a --workdir on another disk.",
        )


def run_bytes(network: Network, phases: Sequence[PhasePlan], examples: Examples) -> int:
    """Returns the number of bytes that a run writes.

    A checkpoint has all weights, the best weights so far, and the optimizer's moments.

    Args:
      network: The network.
      phases: The phases as planned.
      examples: The examples.
    """
    size = {block: _FLOAT_BYTES * network.parameters(block) for block in network.blocks}
    trained = [sum(size[b] for b, rate in each.rates.items() if rate) for each in phases]
    checkpoint = sum(size.values()) + (1 + _MOMENTS) * max(trained, default=0)
    columns = len(examples.classes) + _PREDICTION_COLUMNS
    predictions = _PREDICTION_BYTES * columns * len(examples)
    return math.ceil((KEPT + 1) * checkpoint + 2 * sum(size.values()) + predictions)


def _check_tf_config(text: str) -> None:
    if not text:
        return
    try:
        config = json.loads(text)
        if not isinstance(config, dict) or not isinstance(config.get("cluster", {}), dict):
            raise ValueError("it is not an object with a cluster")
    except ValueError as error:
        raise UserError(
            f"The environment variable TF_CONFIG is malformed: {error}.",
            'Unset it, or give {"cluster": {"worker": ["HOST:PORT", ...]}, "task": ...}.',
        ) from None


def _check_writable(workdir: Path) -> None:
    folder = _existing(workdir)
    if not folder.is_dir():
        raise UserError(f"--workdir={workdir}: {folder} is a file.", "Give a folder.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"--workdir={workdir} cannot be written to: {folder} is read-only.",
            "Give a folder with write permission.",
        )


def _existing(path: Path) -> Path:
    """Returns the path, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())
