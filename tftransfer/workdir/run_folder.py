"""The `RunFolder`: paths and records in the working directory of a run."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tftransfer.core.experiment import Experiment
from tftransfer.core.run_files import CONFIG, PREDICTIONS, RESULT, WEIGHTS, is_run
from tftransfer.core.serialization import from_jsonable, read_json, to_jsonable, write_json
from tftransfer.core.typing import JSON, PathLike
from tftransfer.utils.errors import UserError


@dataclass(frozen=True)
class RunFolder:
    """Paths and records in the working directory of a run.

    Attributes:
      workdir: The folder; a leading `~` is expanded.
    """

    workdir: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "workdir", Path(self.workdir).expanduser())

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.workdir / "checkpoints"

    @property
    def weights(self) -> Path:
        """The file of the final weights, by block."""
        return self.workdir / WEIGHTS

    @property
    def export_dir(self) -> Path:
        """The folder of the SavedModel."""
        return self.workdir / "export"

    @property
    def report(self) -> Path:
        """The file of the report."""
        return self.workdir / "report.md"

    def phase_weights(self, number: int) -> Path:
        """Returns the file of the weights at the end of a phase, which exists until the run ends.

        Args:
          number: Index of the phase, from 0.
        """
        return self.workdir / f".phase-{number}.npz"

    def delete_phase_weights(self) -> None:
        """Deletes the weights before and after each phase, which a finished run does not need."""
        for pattern in (".phase-*.npz", "reference-*.npz"):
            for path in self.workdir.glob(pattern):
                path.unlink()

    @property
    def predictions(self) -> Path:
        """The table of the predictions for each example of the test split."""
        return self.workdir / PREDICTIONS

    def prediction_rows(self) -> list[list[str]]:
        """Returns the rows of `predictions.csv`, the header first."""
        with self.predictions.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    @property
    def experiment(self) -> Experiment:
        """The experiment of this run, with the recipe resolved."""
        experiment: Experiment = from_jsonable(read_json(self.workdir / CONFIG)["experiment"])
        return experiment

    @property
    def result(self) -> dict[str, Any]:
        """The content of `result.json`: metrics, baselines, phases, verdict."""
        return _read_object(self.workdir / RESULT)

    @property
    def split(self) -> dict[str, Any]:
        """The content of `split.json`: classes, and name, split, label, sha256 of every example."""
        return _read_object(self.workdir / "split.json")

    @property
    def finished(self) -> bool:
        """Whether the final weights and the result are written."""
        return self.weights.is_file() and (self.workdir / RESULT).is_file()

    def start(self, config: Mapping[str, Any], *, resume: bool) -> bool:
        """Creates the folder, or checks that the run in it has the same settings.

        Args:
          config: The settings of the run, stored as `config.json`.
          resume: Whether the folder must hold a run already.

        Returns:
          Whether the folder holds this run already.

        Raises:
          UserError: If the folder is not writable, holds another run or other files, or holds no
            run although `resume` is set.
        """
        try:
            self.workdir.mkdir(parents=True, exist_ok=True)
            probe = self.workdir / f".probe{os.getpid()}"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"--workdir={self.workdir} cannot be written: {error.strerror}.",
                "Give a folder with write permission.",
            ) from None
        path = self.workdir / CONFIG
        if path.is_file():
            self._check_same(read_json(path), to_jsonable(config))
            return True
        if resume:
            raise UserError(
                f"There is no run in {self.workdir} to resume.",
                "Check --workdir, or omit --resume.",
            )
        before_start = (".gitkeep", ".lock", ".probe", f".{CONFIG}.")
        if any(not entry.name.startswith(before_start) for entry in self.workdir.iterdir()):
            raise UserError(
                f"--workdir={self.workdir} holds files that do not belong to a run.",
                "Give a new or empty folder.",
            )
        write_json(path, config)
        return False

    def _check_same(self, stored: JSON, current: JSON) -> None:
        differences = sorted(_differences(stored, current))
        if differences:
            raise UserError(
                f"{self.workdir} holds another run; it differs in: {'; '.join(differences[:4])}.",
                "Give another --workdir, or the same settings, or --overwrite to delete that run.",
            )

    @property
    def incidents(self) -> Path:
        """The record of failures that training recovered from: one JSON object per line."""
        return self.workdir / "incidents.jsonl"

    def append_incident(self, record: Mapping[str, Any]) -> None:
        """Appends a line to `incidents`."""
        _append(self.incidents, record)

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Appends a line to `metrics.jsonl`."""
        _append(self.workdir / "metrics.jsonl", record)

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the records of `metrics.jsonl`; a resumed run keeps the later one of an epoch."""
        path = self.workdir / "metrics.jsonl"
        if not path.is_file():
            return []
        records = []
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # truncated when the run was killed
                records.append(json.loads(line))
        newest = {(r.get("phase"), r.get("epoch")): r for r in records}
        return list(newest.values())


def _append(path: Path, record: Mapping[str, Any]) -> None:
    """Appends JSON with the time in a single write, on a new line even after a truncated one."""
    line = json.dumps({"time": round(time.time(), 3), **record}) + "\n"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(line.encode())


def open_run_folder(workdir: PathLike) -> RunFolder:
    """Returns the folder of an existing run.

    Raises:
      UserError: If the folder does not hold a run.
    """
    folder = RunFolder(Path(workdir))
    if not is_run(folder.workdir):
        raise UserError(
            f"{folder.workdir} is not the folder of a run: it has no {CONFIG} of one.",
            "Give the --workdir of a training.",
        )
    return folder


def open_finished(workdir: PathLike) -> RunFolder:
    """Returns the folder of a finished run.

    Raises:
      UserError: If the folder does not hold a run, or the run is not finished.
    """
    folder = open_run_folder(workdir)
    if not folder.finished:
        raise UserError(f"The run {folder.workdir} is not finished.", _to_finish(folder))
    return folder


def _to_finish(folder: RunFolder) -> str:
    if folder.experiment.data_is_in_memory:
        return f"Finish it: tftransfer.train(experiment, {str(folder.workdir)!r}, resume=True)"
    config = shlex.quote(str(folder.workdir / CONFIG))
    path = shlex.quote(str(folder.workdir))
    return f"Finish it: tftransfer train --config={config} --workdir={path} --resume"


def write_predictions(path: Path, table: Sequence[Sequence[Any]]) -> None:
    """Writes a table as CSV.

    Args:
      path: The file, which is replaced.
      table: The rows, the header first.
    """
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        csv.writer(file).writerows(table)


def _read_object(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(path)
    return content


def _differences(old: JSON, new: JSON, where: str = "") -> Iterator[str]:
    """Yields each setting that differs, as `name (old there, new here)`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new)):
            yield from _differences(*pair, f"{where}[{number}]")
    elif old != new:
        yield f"{where} ({str(old)[:40]} there, {str(new)[:40]} here)"
