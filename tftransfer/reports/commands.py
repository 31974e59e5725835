"""Commands that a report recommends, with the values of the run filled in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tftransfer.core.experiment import Experiment

# Fields of `Experiment` that decide how data are read and divided.
_READING = (
    "test_data",
    "problem_type",
    "columns",
    "encoding",
    "group_by",
    "validation_fraction",
    "test_fraction",
    "seed",
    "labels_per_class",
)
_IN_MEMORY = ("data", "test_data", "target_data", "unlabelled_data")


@dataclass(frozen=True, kw_only=True)
class Commands:
    """The commands that follow a run.

    Attributes:
      experiment: Experiment of the run.
      workdir: Folder of the run.
      recipe: The recipe with its options, which the commands repeat; "" where it was not named.
    """

    experiment: Experiment
    workdir: Path
    recipe: str = ""

    def train(self, name: str, **changes: object) -> str:
        """Returns the command that trains like the run, with other flags.

        Args:
          name: Suffix of the new run's folder.
          **changes: Values of fields of `Experiment` that differ from the run.
        """
        new_workdir = f"{self.workdir}-{name}"
        if self._in_memory:
            experiment = f"dataclasses.replace(experiment{_arguments(changes)})"
            return f"tftransfer.train({experiment if changes else 'experiment'}, {new_workdir!r})"
        # The configuration holds the recipe as it was resolved, which no longer has options.
        options = {"recipe": self.recipe} if ":" in self.recipe else {}
        config = str(self.workdir / "config.json")
        return _command("train", {"config": config, **options, **changes, "workdir": new_workdir})

    def inspect(self) -> str:
        """Returns the command that lists problems of the data, read as the run reads them."""
        experiment = self.experiment
        reading = {
            name: getattr(experiment, name)
            for name in _READING
            if getattr(experiment, name) != getattr(Experiment, name)
        }
        if self._in_memory:
            return f"tftransfer.inspect(data=experiment.data{_arguments(reading)})"
        return _command("inspect", {"data": experiment.data, **reading})

    def report(self) -> str:
        """Returns the command that writes the report of the run again."""
        return _command("report", {"workdir": self.workdir})

    def export(self) -> str:
        """Returns the command that exports the run again."""
        if self.experiment.data_is_in_memory:
            return f"tftransfer.export({str(self.workdir)!r}, data=experiment.data)"
        return _command("export", {"workdir": self.workdir})

    def predict(self) -> str:
        """Returns the command that predicts the data of the run, or others in their place."""
        if self.experiment.data_is_in_memory:
            return f"tftransfer.predict({str(self.workdir)!r}, images)"
        data = str(self.experiment.data)
        files = shlex.quote(data) if Path(data).expanduser().exists() else "FILE"
        return f"{_command('predict', {'workdir': self.workdir})} {files}"

    @property
    def _in_memory(self) -> bool:
        """Whether only Python can repeat the run, because a command cannot name what it used."""
        given = [getattr(self.experiment, name) for name in _IN_MEMORY]
        named = all(isinstance(each, (str, Path)) and str(each)[:1] != "<" for each in given)
        return not (named and isinstance(self.experiment.backbone, str))


def _command(verb: str, flags: Mapping[str, object]) -> str:
    given = (f"--{name}={shlex.quote(str(value))}" for name, value in flags.items())
    return " ".join(["tftransfer", verb, *given])


def _arguments(values: Mapping[str, object]) -> str:
    """Further arguments of a call in Python."""
    texts = {
        name: repr(value) if isinstance(value, (str, int, float)) else f"experiment.{name}"
        for name, value in values.items()
    }
    return "".join(f", {name}={text}" for name, text in texts.items())
