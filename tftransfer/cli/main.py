"""The program `tftransfer`: parses a command line and calls one function.

TensorFlow is imported only by the commands that need it.
"""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence

from tftransfer.cli import errors
from tftransfer.cli.commands import COMMANDS, Command
from tftransfer.cli.flags import flag_values
from tftransfer.cli.parse import Arguments, parse_arguments
from tftransfer.utils import signals
from tftransfer.utils.console import set_verbosity
from tftransfer.utils.errors import UserError, unknown_name

_HELP = ("--help", "-h", "-help", "--helpfull")


def entry_point() -> None:
    """Runs the installed program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # For terminals that cannot show all characters.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Runs one command line.

    Args:
      arguments: Words of the command line, without the program's name.

    Returns:
      The exit code: 0; 1 for a bug; 2 for what the user can fix; 75 for a run that a signal stopped
      and that the same command resumes; 130 for another interruption; 141 for a closed pipe.
    """
    try:
        try:
            code = _run(list(arguments))
        except (Exception, KeyboardInterrupt) as error:
            code = _report(error)
    except BrokenPipeError:
        code = errors.CLOSED_PIPE
    return errors.CLOSED_PIPE if errors.discard_closed_output() else code


def _report(error: BaseException) -> int:
    """Prints an error to stderr and returns the exit code."""
    if isinstance(error, signals.Stopped):
        print(f"tftransfer: {error}\nRerun the same command to resume.", file=sys.stderr)
        return signals.RESUMABLE_EXIT_CODE
    if isinstance(error, KeyboardInterrupt):
        print("tftransfer: interrupted\nRerun the same command to start again.", file=sys.stderr)
        return errors.INTERRUPTED
    if isinstance(error, BrokenPipeError) and errors.discard_closed_output():
        return errors.CLOSED_PIPE
    known = errors.user_error_of(error) if isinstance(error, OSError) else error
    if isinstance(known, UserError):
        errors.print_error(known)
        return errors.USER_ERROR
    traceback.print_exception(error)
    print("tftransfer: this is a bug. Please report it with the lines above.", file=sys.stderr)
    return errors.BUG


def _run(words: list[str]) -> int:
    if not words:
        _help([])
        return errors.USER_ERROR
    if words[0] in (*_HELP, "help"):
        return _help(words[1:2])
    name, rest = words[0], words[1:]
    if name in ("--version", "-version"):
        name = "version"
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    command = COMMANDS[name]
    if any(word in _HELP for word in rest):
        return _help([name])
    _register(rest)
    arguments = parse_arguments(command, rest)
    set_verbosity(arguments.flags.verbosity)
    return _call(command, arguments)


def _help(names: Sequence[str]) -> int:
    from tftransfer.cli.help import command_help, overview

    print(command_help(COMMANDS[names[0]]) if names and names[0] in COMMANDS else overview())
    return errors.OK


def _register(words: Sequence[str]) -> None:
    """Runs the file of --register, before the other words that may name what it registers."""
    files = flag_values(words, "register")
    if not files:
        return
    from tftransfer.cli.config_flag import run_file
    from tftransfer.cli.tensorflow_start import quiet_tensorflow

    with quiet_tensorflow():
        for file in files:
            run_file(file)


def _call(command: Command, arguments: Arguments) -> int:
    """Calls the function of a command."""
    from tftransfer.cli import info_handlers

    if info_handlers.asks_for_recipe_help(arguments):
        return info_handlers.run_recipe_help(arguments)
    if not command.tensorflow:
        return getattr(info_handlers, f"run_{command.name}")(arguments) or errors.OK
    from tftransfer.cli.tensorflow_start import quiet_tensorflow

    with quiet_tensorflow():
        from tftransfer.cli import handlers
    return getattr(handlers, f"run_{command.name}")(arguments) or errors.OK
