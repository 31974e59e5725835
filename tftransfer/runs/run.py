"""The `Run`: a working directory with everything that a training leaves behind."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tftransfer.core.experiment import Experiment
from tftransfer.core.serialization import from_jsonable, read_json, to_jsonable, write_json
from tftransfer.utils.errors import UserError


@dataclass(frozen=True)
class Run:
    """Paths and records of one working directory."""

    workdir: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "workdir", Path(self.workdir).expanduser())

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.workdir / "checkpoints"

    @property
    def weights(self) -> Path:
        """File of the final weights, by block."""
        return self.workdir / "weights.npz"

    @property
    def export(self) -> Path:
        """Folder of the SavedModel."""
        return self.workdir / "export"

    def phase_weights(self, number: int) -> Path:
        """File of the weights at the end of a phase, while the run goes on."""
        return self.workdir / f".phase-{number}.npz"

    def forget_phases(self) -> None:
        """Removes the weights at starts and ends of phases, which a finished run does not need."""
        for pattern in (".phase-*.npz", "reference-*.npz"):
            for path in self.workdir.glob(pattern):
                path.unlink()

    @property
    def predictions(self) -> Path:
        """Table of what was predicted for each example of the test split."""
        return self.workdir / "predictions.csv"

    def prediction_rows(self) -> list[list[str]]:
        """What `predictions.csv` holds, its header first."""
        with self.predictions.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    @property
    def experiment(self) -> Experiment:
        """The experiment of this run, the recipe resolved."""
        return from_jsonable(read_json(self.workdir / "config.json")["experiment"])

    @property
    def result(self) -> dict[str, Any]:
        """What `result.json` holds."""
        return read_json(self.workdir / "result.json")

    @property
    def split(self) -> dict[str, Any]:
        """Classes, and of every example its name, part, label and sha256."""
        return read_json(self.workdir / "split.json")

    @property
    def finished(self) -> bool:
        """Whether the final weights are there."""
        return self.weights.is_file() and (self.workdir / "result.json").is_file()

    def start(self, config: Mapping[str, Any], *, resume: bool) -> bool:
        """Makes the folder, or checks that the run in it is this one.

        Args:
          config: what the run is to do.
          resume: whether a run must be there.

        Returns:
          Whether this run is there already.

        Raises:
          UserError: not writable, the folder holds another run, or none that was to be resumed.
        """
        try:
            self.workdir.mkdir(parents=True, exist_ok=True)
            probe = self.workdir / f".probe{os.getpid()}"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"--workdir={self.workdir} cannot be written: {error.strerror}.",
                "Give a folder that you may write to.",
            ) from None
        path = self.workdir / "config.json"
        if path.is_file():
            self._check_same(read_json(path), to_jsonable(config))
            return True
        if resume:
            raise UserError(
                f"There is no run in {self.workdir} to resume.",
                "Check --workdir, or leave --resume out.",
            )
        ours = (".gitkeep", ".lock", ".probe", ".config.json.")
        if any(not entry.name.startswith(ours) for entry in self.workdir.iterdir()):
            raise UserError(
                f"--workdir={self.workdir} holds files that are not a run's.",
                "Give a new or empty folder.",
            )
        write_json(path, config)
        return False

    def _check_same(self, stored: Any, ours: Any) -> None:
        differences = sorted(_differences(stored, ours))
        if differences:
            raise UserError(
                f"{self.workdir} holds another run; it differs in: {'; '.join(differences[:4])}.",
                "Give another --workdir, or the same settings.",
            )

    @property
    def incidents(self) -> Path:
        """What went wrong and was mended: a JSON object a line."""
        return self.workdir / "incidents.jsonl"

    def incident(self, record: Mapping[str, Any]) -> None:
        """Appends to `incidents`."""
        _append(self.incidents, record)

    def log(self, record: Mapping[str, Any]) -> None:
        """Appends a line to `metrics.jsonl`."""
        _append(self.workdir / "metrics.jsonl", record)

    def metrics(self) -> list[dict[str, Any]]:
        """All records of `metrics.jsonl`; after a resume the later record of an epoch counts."""
        path = self.workdir / "metrics.jsonl"
        if not path.is_file():
            return []
        records = []
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # cut short as the run was killed
                records.append(json.loads(line))
        newest = {(r.get("phase"), r.get("epoch")): r for r in records}
        return list(newest.values())


def _append(path: Path, record: Mapping[str, Any]) -> None:
    """A line of JSON with the time, in one write, on a line of its own."""
    line = json.dumps({"time": round(time.time(), 3), **record}) + "\n"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(line.encode())


def open_run(workdir: str | Path) -> Run:
    """The run in a folder, which must be there.

    Raises:
      UserError: no run is there.
    """
    run = Run(Path(workdir))
    if not (run.workdir / "config.json").is_file():
        raise UserError(
            f"{workdir} is not the folder of a run: it has no config.json.",
            "Give the --workdir of a training.",
        )
    return run


def write_predictions(path: Path, table: Sequence[Sequence[Any]]) -> None:
    """Writes a table, its header first, as CSV."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        csv.writer(file).writerows(table)


def environment() -> dict[str, Any]:
    """Versions, threads and devices, as far as results depend on them."""
    import keras
    import numpy
    import tensorflow as tf

    from tftransfer import __version__

    return {
        "tftransfer": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": numpy.__version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": f"{platform.machine()} {_processor()}".strip(),
        "cpus": os.cpu_count(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "deterministic": os.environ.get("TF_DETERMINISTIC_OPS", ""),
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }


def _processor() -> str:
    """Its name, as far as the system tells: kernels are chosen by it, and round as they like."""
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    return platform.processor()


def _differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new)):
            yield from _differences(*pair, f"{where}[{number}]")
    elif old != new:
        yield f"{where} ({str(old)[:40]} there, {str(new)[:40]} here)"
