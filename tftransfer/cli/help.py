"""Help of the program and of its commands, laid out for the width of the terminal."""

from __future__ import annotations

import shutil
import textwrap

from tftransfer.cli.commands import COMMANDS, Command
from tftransfer.cli.flags import GROUPS, Flag

_MAX_COLUMNS = 100
_MIN_COLUMNS = 40
# Below this width a description is on the lines under its flag, else to the right of it.
_SIDE_BY_SIDE_COLUMNS = 72
_LEFT_COLUMNS = 30
_STACKED_INDENT = " " * 6
# Does not break, and is printed as a space.
_FIXED_SPACE = "\u00a0"
_CONFIG_TEXT = (
    "Settings in a Python file with get_config(), the config.json of a run, or the name of a "
    "shipped config (tftransfer list configs). --config.FIELD=VALUE and "
    "--config.recipe.OPTION=VALUE change single settings."
)


def overview() -> str:
    """Returns the help of the program: its commands with one line each."""
    width = columns()
    rows = [(name, command.summary) for name, command in COMMANDS.items()]
    left = max(len(name) for name in COMMANDS) + 4
    return "\n".join(
        [
            "tftransfer: transfer learning for Keras 3 and TensorFlow.",
            "",
            "Usage: tftransfer COMMAND [--FLAG=VALUE ...]",
            "",
            "Commands:",
            *(line for name, text in rows for line in row(name, text, left, width)),
            "",
            *_wrapped("tftransfer COMMAND --help prints the flags of a command.", width),
        ]
    )


def command_help(command: Command) -> str:
    """Returns the help of a command: its flags by group, the most needed first."""
    width = columns()
    lines = [*_wrapped(f"{command.summary}.", width), ""]
    lines += [*_wrapped(f"Usage: {command.usage}", width)]
    lines += ["", "Example:" if len(command.examples) == 1 else "Examples:"]
    lines += [f"  {example}" for example in command.examples]
    for group in GROUPS:
        rows = [
            (_left(flag), _right(command, flag))
            for flag in command.all_flags
            if flag.group == group
        ]
        if group == "recipe" and command.takes_config:
            rows.append(("--config=NAME_OR_FILE", _CONFIG_TEXT))
        if rows:
            lines += ["", f"{group.capitalize()}:"]
            lines += [
                line for left, right in rows for line in row(left, right, _LEFT_COLUMNS, width)
            ]
    return "\n".join(lines)


def columns() -> int:
    """Returns the width of the output, within bounds; 100 where there is no terminal."""
    columns = shutil.get_terminal_size((_MAX_COLUMNS, 24)).columns
    return max(_MIN_COLUMNS, min(columns, _MAX_COLUMNS))


def _left(flag: Flag) -> str:
    if isinstance(flag.default, bool):
        return f"--[no]{flag.name}" if flag.default else f"--{flag.name}"
    return f"--{flag.name}={flag.value}"


def _right(command: Command, flag: Flag) -> str:
    text, default = command.describe(flag), flag.shown_default
    explained = default in ("", "false") or (default == "0" and "0 for" in text)
    explained = explained or flag.name in command.texts
    return text if explained else f"{text} (default:{_FIXED_SPACE}{default})"


def row(left: str, right: str, left_columns: int, width: int) -> list[str]:
    """Returns the lines of a name and its description.

    Args:
      left: The name.
      right: The description.
      left_columns: Width of the column of names.
      width: Width of the whole.
    """
    left = f"  {left}"
    stacked = width < _SIDE_BY_SIDE_COLUMNS
    indent = _STACKED_INDENT if stacked else " " * left_columns
    lines = _wrapped(right, width, indent) or [""]
    if stacked or len(left) + 2 > left_columns:
        return [left, *lines]
    return [left.ljust(left_columns) + lines[0].lstrip(), *lines[1:]]


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Returns the lines of a text; flags, and names such as TF-Hub, are not split."""
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [line.replace(_FIXED_SPACE, " ") for line in lines]
