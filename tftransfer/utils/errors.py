"""Errors that a user can cause: one line for what is wrong and where, one for what to do."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from tftransfer.utils.wording import listed

_SHOWN = 100


class UserError(ValueError):
    """An error that the user can fix; the program `tftransfer` prints it and exits with code 2.

    Args:
      what: One line that describes what is wrong and where.
      remedy: One line that describes what to do.

    Example:
      >>> import tftransfer
      >>> try:
      ...     tftransfer.Experiment(batch_size=0)
      ... except tftransfer.UserError as error:
      ...     print(error.what)
      ...     print(error.remedy)
      batch_size is 0.
      Set batch_size to 1 or more.
    """

    def __init__(self, what: str, remedy: str):
        super().__init__(f"{what}\n{remedy}")
        self.what = what
        self.remedy = remedy


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UserError:
    """Returns the error for a name that does not exist.

    Args:
      kind: What the name should be, such as `recipe`.
      name: The name that was given.
      known: The names that exist.
    """
    return UserError(f"There is no {kind} named {name!r}.", _nearest(name, known))


def check_known(name: str, value: object, known: Collection[str], owner: str) -> None:
    """Checks that a field has one of its possible values.

    Args:
      name: Name of the field.
      value: Value of the field.
      known: The possible values.
      owner: The object that has the field, for the message, such as `Phase 'head'`.

    Raises:
      UserError: If the value is not one of the possible ones.
    """
    if value not in known:
        raise UserError(f"{owner}: {name}={value!r} is not an option.", _nearest(value, known))


def _nearest(name: object, known: Iterable[str]) -> str:
    """Returns a remedy with the three nearest names, or all names if none is near."""
    known = sorted(filter(None, known))
    if not known:
        return "None is available."
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Available: {listed(known, _SHOWN)}."
