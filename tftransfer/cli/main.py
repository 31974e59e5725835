"""The binary: a command, its absl flags, one call. TensorFlow is imported only by what runs."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from absl import flags

from tftransfer.core.experiment import Experiment
from tftransfer.utils import import_time, signals
from tftransfer.utils.console import printable, quiet_stderr
from tftransfer.utils.errors import UserError, unknown_name

_TYPES: dict[type, Callable[..., Any]] = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}
_MEANT = {bool: "true or false", int: "a whole number, such as 20", float: "a number, such as 0.1"}
_ILLEGAL = re.compile(r"flag (--(\w+)=.*?): ", re.DOTALL)
_OWN_FLAGS: dict[str, tuple[Any, str]] = {
    "workdir": ("", "the run's folder: new or empty for train, of a finished run elsewhere"),
    "resume": (False, "go on where an interrupted run in --workdir stopped"),
    "dry_run": (False, "print blocks, phases, parameters, rates and cost; train nothing"),
    "export": (True, "publish a SavedModel at the end"),
    "profile": (False, "write a trace of training steps for TensorBoard's profile plugin"),
    "register": ("", "a configs/*.py file that registers the backbone or recipe that is used"),
    "cache_dir": (
        "",
        "where features, downloads and unpacked archives are kept for later runs; "
        "$TFTRANSFER_CACHE, else the user's cache folder, when empty",
    ),
    "cache_bytes": (
        20 << 30,
        "that the cache may take, what was used longest ago is deleted; 0 keeps features in memory",
    ),
    "ways": (5, "classes of an episode"),
    "count": (600, "episodes, at least 200"),
    "folder": ("", "where the SavedModel goes; export/ in --workdir when empty"),
}
_EXPERIMENT = tuple(field.name for field in fields(Experiment))
_TRAINING = ("recipe", "epochs", "batch_size", "precision", "xla")


@dataclass(frozen=True)
class Command:
    """A command of the binary.

    Attributes:
      summary: one line for the help.
      own: its flags that are no field of `Experiment`.
      experiment: its flags that are.
      arguments: what follows the flags, for the help; "" allows nothing.
      example: a whole command line.
    """

    summary: str
    own: tuple[str, ...]
    experiment: tuple[str, ...]
    arguments: str
    example: str


COMMANDS = {
    "train": Command(
        "transfer a backbone to your data: plan, train, evaluate, export, report",
        (
            "workdir",
            "resume",
            "dry_run",
            "export",
            "profile",
            "cache_dir",
            "cache_bytes",
            "register",
        ),
        _EXPERIMENT,
        "",
        "tftransfer train --data=photos --backbone=mobilenet_v2 --workdir=runs/photos",
    ),
    "compare": Command(
        "train several recipes on one split with one budget, and say which is better",
        ("workdir", "resume", "export", "cache_dir", "cache_bytes"),
        tuple(name for name in _EXPERIMENT if name != "recipe"),
        "[RECIPE ...]",
        "tftransfer compare --data=photos --workdir=runs/c scratch fine_tune:unfreeze=2",
    ),
    "evaluate": Command(
        "figures of a finished run, on its own test split or on --data",
        ("workdir", "cache_dir", "cache_bytes", "register"),
        ("data",),
        "",
        "tftransfer evaluate --workdir=runs/photos --data=more_photos",
    ),
    "predict": Command(
        "names and scores of pictures, by a finished run",
        ("workdir", "register"),
        (),
        "FILE_OR_FOLDER ...",
        "tftransfer predict --workdir=runs/photos a.jpg b/",
    ),
    "export": Command(
        "write a finished run as a SavedModel, checked against it on real pictures",
        ("workdir", "folder", "cache_dir", "cache_bytes", "register"),
        ("data",),
        "",
        "tftransfer export --workdir=runs/photos --folder=served/1",
    ),
    "episodes": Command(
        "how a backbone's frozen features do on classes of one and of five examples",
        ("ways", "count", "cache_dir", "cache_bytes"),
        ("data", "backbone", "weights", "image_size", "seed", "trust_code"),
        "",
        "tftransfer episodes --data=photos --backbone=mobilenet_v2",
    ),
    "inspect": Command(
        "what there is in a data folder, a backbone or a run",
        ("workdir", "cache_dir", "cache_bytes"),
        tuple(name for name in _EXPERIMENT if name not in _TRAINING),
        "",
        "tftransfer inspect --backbone=mobilenet_v2 --weights=none",
    ),
    "demo": Command(
        "the main job on scikit-learn's digits, without a download",
        ("workdir",),
        (),
        "",
        "tftransfer demo --workdir=runs/demo",
    ),
}


def entry_point() -> None:
    """What the installed program `tftransfer` calls."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of a locale with few letters
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Runs one command line.

    Args:
      arguments: without the program's name.

    Returns:
      The exit code: 0, 2 for what the user can mend, 75 when stopped by a signal so that the same
      command goes on from there, 130 when interrupted elsewhere.
    """
    try:
        return _dispatch(list(arguments))
    except UserError as error:
        return _complain(error.what, error.remedy)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(
            f"{where}{error.strerror or error}",
            "Make room or mend the rights there; the same command goes on.",
        )
    except signals.Stopped as stopped:
        print(f"tftransfer: {stopped}\nThe same command goes on from there.", file=sys.stderr)
        return signals.RESUMABLE_EXIT_CODE
    except KeyboardInterrupt:
        print("tftransfer: interrupted\nThe same command begins again.", file=sys.stderr)
        return 130


def _complain(what: str, remedy: str) -> int:
    print(f"tftransfer: {printable(what)}\n{printable(remedy)}", file=sys.stderr)
    return 2


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("--help", "-h", "-help", "help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from tftransfer import __version__

        print(__version__)
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    command = COMMANDS[name]
    if any(word in ("--help", "-h", "-help", "--helpfull") for word in rest):
        print(_help(name, command))
        return 0
    values, free, config = _parse(name, command, rest)
    with _quiet_start():
        run = getattr(importlib.import_module("tftransfer.cli.handlers"), name)
        if "register" in values and values["register"].value:
            importlib.import_module("tftransfer.cli.config_flag").run_file(values["register"].value)
    return run(values, free, config) or 0


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """TensorFlow's libraries write to stderr as they load, before any log level can be set."""
    from tftransfer.utils.progress import waiting

    quiet = quiet_stderr()
    with quiet, waiting("importing TensorFlow", log=False), import_time.measure():
        import tensorflow as tf

        tf.config.list_logical_devices()
        yield


def _parse(
    name: str, command: Command, rest: list[str]
) -> tuple[flags.FlagValues, list[str], dict[str, Any]]:
    values = _flag_values(command)
    takes_config = "backbone" in command.experiment
    if takes_config and any(re.match(r"--?config[.=]|--?config$", word) for word in rest):
        from tftransfer.cli.config_flag import define_config

        rest = define_config(values, rest)
    try:
        free = values([name, *rest])[1:]
    except flags.UnrecognizedFlagError as error:
        known = _spelled(values)
        raise unknown_name(f"flag of tftransfer {name}", f"--{error.flagname}", known) from None
    except flags.IllegalFlagValueError as error:
        raise _illegal(name, values, error) from None
    except flags.Error as error:
        raise UserError(
            " ".join(str(error).split()) + ".", f"See tftransfer {name} --help."
        ) from None
    if free and not command.arguments:
        raise UserError(
            f"tftransfer {name} does not know what to do with {free[0]!r}.",
            "Flags are written --NAME=VALUE.",
        )
    return values, free, _experiment_values(values, command)


def _illegal(name: str, values: flags.FlagValues, error: Exception) -> UserError:
    """What kind of value a flag takes."""
    found = _ILLEGAL.match(str(error))
    meant = _MEANT.get(type(values[found[2]].default)) if found and found[2] in values else None
    if not found or not meant:
        return UserError(" ".join(str(error).split()) + ".", f"See tftransfer {name} --help.")
    return UserError(f"{found[1]} is not understood.", f"Give {meant}.")


def _flag_values(command: Command) -> flags.FlagValues:
    values = flags.FlagValues()
    texts = _field_texts()
    for name in command.own:
        default, text = _OWN_FLAGS[name]
        _TYPES[type(default)](name, default, text, flag_values=values)
    for field in fields(Experiment):
        if field.name in command.experiment:
            define = _TYPES[type(field.default)]
            define(field.name, field.default, texts[field.name], flag_values=values)
    return values


def _spelled(values: flags.FlagValues) -> list[str]:
    return ["--help", *(f"--{name}" for name in values)]


def _experiment_values(values: flags.FlagValues, command: Command) -> dict[str, Any]:
    """The fields of `Experiment`: the config's, then what the flags say."""
    config = values["config"].value if "config" in values else None
    given = {key: config[key] for key in config} if config is not None else {}
    given = {k: v.to_dict() if hasattr(v, "to_dict") else v for k, v in given.items()}
    said = {name: values[name].value for name in command.experiment if values[name].present}
    if given:
        said.pop("recipe", None)  # the config has it already, with what --config.recipe says
    return given | said


def _field_texts() -> dict[str, str]:
    """What `Experiment`'s docstring says of each field."""
    text = inspect.getdoc(Experiment) or ""
    found = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", text.split("Attributes:")[1], re.MULTILINE)
    return {name: " ".join(said.split()).replace("`", "") for name, said in found}


def _overview() -> str:
    width = max(len(name) for name in COMMANDS) + 2
    rows = [f"  {name:<{width}}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "tftransfer: transfer learning for Keras 3 and TensorFlow.",
            "",
            "Usage: tftransfer COMMAND [--FLAG=VALUE ...]",
            "",
            *rows,
            "",
            "tftransfer COMMAND --help tells its flags.",
        ]
    )


def _help(name: str, command: Command) -> str:
    values = _flag_values(command)
    usage = f"Usage: tftransfer {name} [--FLAG=VALUE ...] {command.arguments}".rstrip()
    lines = [f"tftransfer {name}: {command.summary}", "", usage, f"  {command.example}", ""]
    for flag in (*command.own, *command.experiment):
        default = values[flag].default
        lines.append(f"  --{flag}={default}" if default != "" else f"  --{flag}=")
        lines += textwrap.wrap(
            str(values[flag].help), 84, initial_indent="      ", subsequent_indent="      "
        )
    if "backbone" in command.experiment:
        lines += [
            "  --config=FILE",
            "      a configs/*.py file, or the config.json of a run; --config.FIELD=value and",
            "      --config.recipe.OPTION=value change single values of it",
        ]
    return "\n".join(lines)
