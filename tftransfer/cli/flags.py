"""The flags of all commands: group, value, default; texts come from docstrings where they can."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

from absl import flags

from tftransfer.core.experiment import Experiment
from tftransfer.utils.errors import UserError
from tftransfer.utils.sizes import format_size, parse_size

GROUPS = ("data", "backbone", "recipe", "training", "run", "advanced")
LEVELS = ("debug", "info", "warning", "error")
DEFAULT_CACHE_BYTES = 20 << 30


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag of one or several commands.

    Attributes:
      name: Name, as in `--name=value`.
      group: One of `GROUPS`, under which help lists the flag.
      value: What stands for the value in help, such as `N`; "" for true or false.
      default: Value where the flag is not given; its type is the flag's.
      text: Description; "" for that of the argument of this name in the command's docstring.
    """

    name: str
    group: str
    value: str
    default: bool | int | float | str = ""
    text: str = ""

    @property
    def in_bytes(self) -> bool:
        """Whether the value is a size, which is given and printed in words."""
        return self.value == "SIZE"

    @property
    def shown_default(self) -> str:
        """The default as help prints it."""
        if self.in_bytes:
            return format_size(int(self.default))
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


# In the order of help: within a group, what most people need comes first.
_ALL = (
    Flag(name="data", group="data", value="DATA"),
    Flag(name="problem_type", group="data", value="TYPE"),
    Flag(name="columns", group="data", value="CONTENT=COLUMN,..."),
    Flag(name="encoding", group="data", value="ENCODING"),
    Flag(name="test_data", group="data", value="DATA"),
    Flag(name="target_data", group="data", value="DATA"),
    Flag(name="unlabelled_data", group="data", value="DATA"),
    Flag(name="test_fraction", group="data", value="FRACTION"),
    Flag(name="validation_fraction", group="data", value="FRACTION"),
    Flag(name="group_by", group="data", value="COLUMN"),
    Flag(name="split_near_copies", group="data", value=""),
    Flag(name="labels_per_class", group="data", value="N"),
    Flag(name="max_quarantine", group="data", value="FRACTION"),
    Flag(name="backbone", group="backbone", value="BACKBONE"),
    Flag(name="weights", group="backbone", value="WEIGHTS"),
    Flag(name="image_size", group="backbone", value="PIXELS"),
    Flag(name="length", group="backbone", value="LENGTH"),
    Flag(name="trust_code", group="backbone", value=""),
    Flag(name="recipe", group="recipe", value="RECIPE"),
    Flag(name="ways", group="recipe", value="N", default=5),
    Flag(name="count", group="recipe", value="N", default=600),
    Flag(name="epochs", group="training", value="N"),
    Flag(name="batch_size", group="training", value="N"),
    Flag(name="seed", group="training", value="N"),
    Flag(name="workdir", group="run", value="FOLDER"),
    Flag(name="folder", group="run", value="FOLDER"),
    Flag(name="output", group="run", value="FILE.csv"),
    Flag(
        name="dry_run",
        group="run",
        value="",
        default=False,
        text="Whether to print the plan and its cost, and to train nothing.",
    ),
    Flag(name="resume", group="run", value="", default=False),
    Flag(name="overwrite", group="run", value="", default=False),
    Flag(name="export", group="run", value="", default=True),
    Flag(name="precision", group="advanced", value="TYPE"),
    Flag(name="xla", group="advanced", value="auto|on|off"),
    Flag(name="profile", group="advanced", value="", default=False),
    Flag(
        name="cache_dir",
        group="advanced",
        value="FOLDER",
        text="Folder where features, downloads and unpacked archives are kept for later runs; "
        "empty for $TFTRANSFER_CACHE, or else the cache folder of the user.",
    ),
    Flag(
        name="cache_bytes",
        group="advanced",
        value="SIZE",
        default=DEFAULT_CACHE_BYTES,
        text="Maximum size of the cache, such as 20 GiB or 500MB; what was used longest ago is "
        "deleted first. 0 keeps features in memory, for one run.",
    ),
    Flag(
        name="register",
        group="advanced",
        value="FILE",
        text="Python file that registers backbones, recipes or methods, such as "
        "configs/squeezenet.py.",
    ),
    Flag(
        name="verbosity",
        group="advanced",
        value="|".join(LEVELS),
        default="info",
        text="Least severe messages that are printed. Above info there are no progress bars.",
    ),
)
_DEFAULTS = {field.name: field.default for field in fields(Experiment)}
FLAGS = {
    flag.name: Flag(**{**vars(flag), "default": _DEFAULTS.get(flag.name, flag.default)})
    for flag in _ALL
}
EXPERIMENT_FLAGS = tuple(name for name in FLAGS if name in _DEFAULTS)
# Flags of every command.
COMMON_FLAGS = ("register", "verbosity")

_DEFINE: dict[type, Callable[..., object]] = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


class _SizeParser(flags.ArgumentParser[int]):
    """Parses sizes in words."""

    def parse(self, argument: str | int) -> int:
        try:
            return parse_size(argument)
        except UserError as error:
            raise ValueError(error.what) from None


def define_flags(names: Iterable[str]) -> flags.FlagValues:
    """Returns absl's values of the named flags, which can parse a command line."""
    values = flags.FlagValues()
    for flag in (FLAGS[name] for name in names):
        if flag.in_bytes:
            flags.DEFINE(_SizeParser(), flag.name, flag.default, flag.text, flag_values=values)
        elif flag.name == "verbosity":
            flags.DEFINE_enum(flag.name, str(flag.default), LEVELS, flag.text, flag_values=values)
        else:
            define = _DEFINE[type(flag.default)]
            define(flag.name, flag.default, flag.text, flag_values=values)
    return values


def flag_values(words: Sequence[str], name: str) -> list[str]:
    """Returns the values that a command line gives to a flag, before it is parsed."""
    form = re.compile(rf"--?{name}(?:=(.*))?", re.DOTALL)
    values = []
    for word, following in zip(words, [*words[1:], ""]):
        found = form.fullmatch(word)
        if found:
            values.append(following if found[1] is None else found[1])
    return values


def expected_value(flag: Flag) -> str:
    """Returns what a flag's value must look like, for error messages."""
    if flag.in_bytes:
        return "Give a size such as 20 GiB, 512 MB or 0."
    if flag.name == "verbosity":
        return f"Give {', '.join(LEVELS[:-1])} or {LEVELS[-1]}."
    return {
        bool: "Give true or false.",
        int: "Give a whole number, such as 20.",
        float: "Give a number, such as 0.1.",
        str: "Give a text.",
    }[type(flag.default)]
