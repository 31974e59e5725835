"""Commands that a report recommends, with the values of the run filled in."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from tftransfer.core.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class Commands:
    """The commands that follow a run.

    Attributes:
      experiment: Experiment of the run.
      workdir: Folder of the run.
    """

    experiment: Experiment
    workdir: Path

    def train(self, name: str, **changes: str) -> str:
        """Returns the command that trains like the run, with other flags.

        Args:
          name: Suffix of the new run's folder.
          **changes: Values of flags that differ from the run.
        """
        new_workdir = f"{self.workdir}-{name}"
        if self.experiment.data_is_in_memory:
            arguments = "".join(f", {field}={value!r}" for field, value in changes.items())
            return f"tftransfer.train(dataclasses.replace(experiment{arguments}), {new_workdir!r})"
        flags = {"config": str(self.workdir / "config.json"), **changes, "workdir": new_workdir}
        return _command("train", flags)

    def inspect(self) -> str:
        """Returns the command that lists problems of the data."""
        if self.experiment.data_is_in_memory:
            return "tftransfer.inspect(data=experiment.data)"
        return _command("inspect", {"data": str(self.experiment.data)})

    def evaluate(self) -> str:
        """Returns the command that evaluates the run on other data, in a folder to be named."""
        return _command("evaluate", {"workdir": str(self.workdir), "data": "FOLDER"})

    def report(self) -> str:
        """Returns the command that writes the report of the run again."""
        return _command("report", {"workdir": str(self.workdir)})

    def export(self) -> str:
        """Returns the command that exports the run again."""
        if self.experiment.data_is_in_memory:
            return f"tftransfer.export({str(self.workdir)!r}, data=experiment.data)"
        return _command("export", {"workdir": str(self.workdir)})

    def predict(self) -> str:
        """Returns the command that predicts the data of the run, or others in their place."""
        if self.experiment.data_is_in_memory:
            return f"tftransfer.predict({str(self.workdir)!r}, images)"
        data = str(self.experiment.data)
        files = shlex.quote(data) if Path(data).expanduser().exists() else "FILE"
        return f"{_command('predict', {'workdir': str(self.workdir)})} {files}"


def _command(verb: str, flags: dict[str, str]) -> str:
    return " ".join(
        ["tftransfer", verb, *(f"--{name}={shlex.quote(value)}" for name, value in flags.items())]
    )
