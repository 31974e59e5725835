"""Errors that a user can cause: what and where in one line, what to do in the next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can mend; the binary prints it and exits with code 2.

    Args:
      what: one line that says what is wrong and where.
      remedy: one line that says what to do.
    """

    def __init__(self, what: str, remedy: str):
        super().__init__(f"{what}\n{remedy}")
        self.what = what
        self.remedy = remedy


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """An error for a name that does not exist: the nearest names, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    remedy = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}."
    return UserError(f"There is no {kind} named {name!r}.", remedy)


def check_known(name: str, value: str, known: Iterable[str], where: str) -> None:
    """Raises the error of `unknown_name` unless the field `name` of `where` is one of `known`."""
    if value not in known:
        raise unknown_name(f"{name} (of {where})", value, known)
