"""Exit codes, and errors of the system in two lines: what is wrong, and what to do."""

from __future__ import annotations

import errno
import os
import select
import sys
from pathlib import Path
from typing import TextIO

from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError

OK = 0
BUG = 1
USER_ERROR = 2
INTERRUPTED = 130
# What a shell reports for a program that SIGPIPE ends.
CLOSED_PIPE = 141

_PACKAGE = str(Path(__file__).resolve().parents[1])
_FREE_SPACE = "Free disk space or fix the permissions, then rerun the same command to resume."
_PERMISSIONS = "Fix the permissions or give another path, then rerun the same command."
_REMEDIES = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: _FREE_SPACE,
    errno.EROFS: "Give a path on a file system that can be written to.",
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.ENOENT: "Check the path.",
    errno.ENOTDIR: "A part of the path is a file; give another path.",
    errno.EISDIR: "This is a folder; give the path of a file.",
    errno.EEXIST: "Give another path, or remove what is there.",
    errno.ENAMETOOLONG: "Give a shorter path.",
    errno.ELOOP: "Remove the symbolic links that form a loop.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n), then rerun the same command.",
    errno.ENFILE: "Close other programs, then rerun the same command.",
    errno.EIO: "Check the disk or the network drive, then rerun the same command.",
    errno.ESTALE: "Check the network drive, then rerun the same command.",
    errno.ENOMEM: "Free memory, or give a smaller --batch_size, then rerun the same command.",
}


def user_error_of(error: OSError) -> UserError | None:
    """Returns the two lines for an error of the system that its user can fix.

    Returns:
      None for other errors, and for files of the package itself: those are bugs.
    """
    remedy = _REMEDIES.get(error.errno or 0)
    file = error.filename if isinstance(error.filename, str | os.PathLike) else ""
    if not remedy or os.fspath(file).startswith(_PACKAGE):
        return None
    place = f"{os.fspath(file)}: " if file else ""
    return UserError(f"{place}{error.strerror}.", remedy)


def print_error(error: UserError) -> None:
    """Prints an error to stderr, each part on one line."""
    print(f"tftransfer: {printable(error.what)}\n{printable(error.remedy)}", file=sys.stderr)


def discard_closed_output() -> bool:
    """Returns whether the reader of stdout or stderr is gone, as after `| head`.

    Further output to it is discarded, so that Python does not report it at its exit.
    """
    closed = [stream for stream in (sys.stdout, sys.stderr) if _is_closed(stream)]
    for stream in closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(closed)


def _is_closed(stream: TextIO) -> bool:
    try:
        stream.flush()
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
    except BrokenPipeError:
        return True
    except (AttributeError, OSError):  # no poll on Windows; no file behind the stream in tests
        return False
    # A pipe without a reader; what was written before is gone.
    return any(event & select.POLLERR for _, event in poll.poll(0))
