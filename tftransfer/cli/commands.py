"""The commands of the program: their flags, arguments, examples and documentation."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tftransfer.cli.docstrings import Documentation, documentation_of, documentation_of_api
from tftransfer.cli.flags import COMMON_FLAGS, EXPERIMENT_FLAGS, FLAGS, Flag

_CACHE_FLAGS = ("cache_dir", "cache_bytes")
_READING_FLAGS = ("columns", "encoding", "max_quarantine")
_TRAINING_FLAGS = ("recipe", "epochs", "batch_size", "precision", "xla")
_FINISHED_RUN = "Folder of a finished run."


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of the program.

    The function `run_NAME` runs it: in `handlers`, or in `info_handlers` if it does without
    TensorFlow.

    Attributes:
      name: Name of the command.
      flags: Names of its flags, without those of every command.
      examples: Command lines that help prints.
      required: Names of the flags that are needed, for help.
      arguments: What may follow the flags, for help; "" if nothing may.
      texts: Descriptions of flags, where those of the docstring are for callers from Python.
      api: Whether the function of this name in `tftransfer.api` documents the command.
      tensorflow: Whether the command needs TensorFlow.
    """

    name: str
    flags: tuple[str, ...]
    examples: tuple[str, ...]
    required: tuple[str, ...] = ()
    arguments: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    api: bool = True
    tensorflow: bool = True

    @property
    def documentation(self) -> Documentation:
        """Documentation of the function that the command calls."""
        if self.api:
            return documentation_of_api(self.name)
        handlers = "handlers" if self.tensorflow else "info_handlers"
        return documentation_of(f"tftransfer.cli.{handlers}", f"run_{self.name}")

    @property
    def summary(self) -> str:
        """What the command does, in one line."""
        return _plain(re.sub("^Returns ", "Prints ", self.documentation.summary))

    @property
    def usage(self) -> str:
        """The form of its command line."""
        required = " ".join(f"--{name}={FLAGS[name].value}" for name in self.required)
        words = ("tftransfer", self.name, required, "[--FLAG=VALUE ...]", self.arguments)
        return " ".join(filter(None, words))

    @property
    def all_flags(self) -> tuple[Flag, ...]:
        """The flags of the command, in the order of help."""
        own = {*self.flags, *COMMON_FLAGS}
        return tuple(flag for name, flag in FLAGS.items() if name in own)

    @property
    def experiment_flags(self) -> tuple[str, ...]:
        """Names of the flags that are fields of `Experiment`."""
        return tuple(name for name in EXPERIMENT_FLAGS if name in self.flags)

    @property
    def takes_config(self) -> bool:
        """Whether the command accepts `--config`."""
        return "backbone" in self.flags

    def describe(self, flag: Flag) -> str:
        """Returns the description of a flag: its text, the command's docstring or Experiment's."""
        experiment = documentation_of("tftransfer.core.experiment", "Experiment").arguments
        documented = self.documentation.arguments.get(flag.name, "")
        if documented.endswith(f"as in `Experiment.{flag.name}`."):
            documented = ""
        text = self.texts.get(flag.name) or flag.text or documented or experiment[flag.name]
        return _plain(text, [flag.name for flag in self.all_flags])


def _plain(text: str, flags: Collection[str] = ()) -> str:
    """Returns a text of a docstring in the words of the command line."""
    text = re.sub(r"`Experiment\.(\w+)`", r"`\1`", text).replace("None for", "empty for")
    return re.sub(r"`([^`]+)`", lambda found: f"{'--' * (found[1] in flags)}{found[1]}", text)


_ALL = (
    Command(
        name="train",
        required=("data", "workdir"),
        flags=(
            *EXPERIMENT_FLAGS,
            *_CACHE_FLAGS,
            "workdir",
            "resume",
            "overwrite",
            "dry_run",
            "export",
            "profile",
        ),
        examples=(
            "tftransfer train --data=photos --workdir=runs/photos",
            "tftransfer train --config=flowers --data=flower_photos --workdir=runs/flowers",
        ),
    ),
    Command(
        name="compare",
        required=("data", "workdir"),
        flags=(
            *(name for name in EXPERIMENT_FLAGS if name != "recipe"),
            *_CACHE_FLAGS,
            "workdir",
            "resume",
            "overwrite",
            "export",
        ),
        arguments="[RECIPE ...]",
        examples=(
            "tftransfer compare --data=photos --workdir=runs/recipes scratch fine_tune:unfreeze=2",
        ),
    ),
    Command(
        name="evaluate",
        required=("workdir",),
        flags=("workdir", "data", *_READING_FLAGS, *_CACHE_FLAGS),
        texts={
            "workdir": _FINISHED_RUN,
            "data": "Labeled data, in any form that train accepts; empty for the test split of the "
            "run.",
        },
        examples=("tftransfer evaluate --workdir=runs/photos --data=more_photos",),
    ),
    Command(
        name="predict",
        required=("workdir",),
        flags=("workdir", "columns", "encoding"),
        arguments="FILE_OR_FOLDER ...",
        texts={"workdir": _FINISHED_RUN},
        examples=("tftransfer predict --workdir=runs/photos a.jpg b/",),
    ),
    Command(
        name="export",
        required=("workdir",),
        flags=("workdir", "folder", "data", *_READING_FLAGS, *_CACHE_FLAGS),
        texts={
            "workdir": _FINISHED_RUN,
            "data": "Data to compare on, in any form that train accepts; empty for the data of the "
            "run.",
        },
        examples=("tftransfer export --workdir=runs/photos --folder=served/1",),
    ),
    Command(
        name="report",
        required=("workdir",),
        flags=("workdir",),
        texts={"workdir": _FINISHED_RUN},
        examples=("tftransfer report --workdir=runs/photos",),
    ),
    Command(
        name="inspect",
        flags=(
            *(name for name in EXPERIMENT_FLAGS if name not in _TRAINING_FLAGS),
            *_CACHE_FLAGS,
            "workdir",
            "output",
        ),
        texts={
            "workdir": "Folder of a run to describe.",
            "backbone": "Backbone to describe, in any form that train accepts.",
        },
        examples=(
            "tftransfer inspect --data=photos",
            "tftransfer inspect --data=photos --backbone=mobilenet_v2 --output=suspected.csv",
            "tftransfer inspect --backbone=mobilenet_v2 --weights=none",
        ),
    ),
    Command(
        name="episodes",
        required=("data",),
        flags=(
            "data",
            "backbone",
            "weights",
            "image_size",
            "trust_code",
            "ways",
            "count",
            "seed",
            *_CACHE_FLAGS,
        ),
        examples=("tftransfer episodes --data=photos --backbone=mobilenet_v2",),
    ),
    Command(
        name="list",
        flags=(),
        arguments="[TOPIC [NAME]]",
        examples=("tftransfer list recipes", "tftransfer list recipes fine_tune"),
        api=False,
        tensorflow=False,
    ),
    Command(
        name="init",
        flags=("overwrite",),
        arguments="[FOLDER]",
        texts={"overwrite": "Whether to replace configs that are in the folder."},
        examples=("tftransfer init", "tftransfer init my_configs"),
        api=False,
        tensorflow=False,
    ),
    Command(
        name="demo",
        flags=("workdir",),
        texts={"workdir": "Folder for the runs of the demo; empty for runs/demo."},
        examples=("tftransfer demo --workdir=runs/demo",),
        api=False,
    ),
    Command(
        name="version",
        flags=(),
        examples=("tftransfer version",),
        api=False,
        tensorflow=False,
    ),
)
COMMANDS = {command.name: command for command in _ALL}
