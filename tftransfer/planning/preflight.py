"""What would stop a long run, looked for in seconds and before anything is read or made."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np

from tftransfer.checkpoints.checkpoint import KEPT
from tftransfer.core.experiment import Experiment
from tftransfer.planning.plan import Plan
from tftransfer.utils.errors import UserError

# Optimizers keep two moments of each weight that trains.
_MOMENTS = 2


def preflight(experiment: Experiment, workdir: Path) -> None:
    """Checks the environment, the run's folder and the named files.

    Raises:
      UserError: TF_CONFIG is malformed, the folder cannot be written, weights are not there.
    """
    _check_tf_config(os.environ.get("TF_CONFIG", ""))
    _check_writable(workdir)
    weights = experiment.weights
    if weights not in ("pretrained", "none") and "://" not in weights:
        path = Path(weights).expanduser()
        if not path.exists():
            raise UserError(f"The weights file {path} does not exist.", "Check --weights.")


def check_room(plan: Plan, workdir: Path) -> None:
    """Checks that the disk has room for checkpoints, final weights and export.

    Raises:
      UserError: it has not.
    """
    held = sum(path.stat().st_size for path in workdir.rglob("*") if path.is_file())
    needed, free = room_needed(plan) - held, shutil.disk_usage(_existing(workdir)).free
    if needed > free:
        raise UserError(
            f"--workdir={workdir} needs about {needed / 2**20:,.0f} MiB, its disk has "
            f"{free / 2**20:,.0f} MiB free.",
            "Make room, or give a --workdir on another disk.",
        )


def room_needed(plan: Plan) -> int:
    """Bytes: each checkpoint has all weights, the best so far, and the optimizer's moments."""
    network = plan.network
    every = sum(4 * network.parameters(block) for block in network.blocks)
    most = max(
        (
            sum(4 * network.parameters(b) for b, rate in phase.rates.items() if rate)
            for phase in plan.phases
        ),
        default=0,
    )
    checkpoint = every + (1 + _MOMENTS) * most
    predictions = 32 * (len(plan.examples.classes) + 8) * len(plan.examples)
    return int(np.ceil((KEPT + 1) * checkpoint + 2 * every + predictions))


def _check_tf_config(text: str) -> None:
    if not text:
        return
    try:
        config = json.loads(text)
        if not isinstance(config, dict) or not isinstance(config.get("cluster", {}), dict):
            raise ValueError("it is no object with a cluster")
    except ValueError as error:
        raise UserError(
            f"The environment variable TF_CONFIG cannot be understood: {error}.",
            'Unset it, or give {"cluster": {"worker": ["HOST:PORT", ...]}, "task": ...}.',
        ) from None


def _check_writable(workdir: Path) -> None:
    place = _existing(workdir)
    if not place.is_dir():
        raise UserError(f"--workdir={workdir}: {place} is a file.", "Give a folder.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(
            f"--workdir={workdir} cannot be written: {place} is read-only.",
            "Give a folder that you may write to.",
        )


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())
