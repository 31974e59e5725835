"""Names of files under a locale whose encoding is not UTF-8."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError


def check_names(names: Iterable[str], where: str) -> None:
    """Checks that Python reads and writes names of files as UTF-8, where that matters.

    Args:
      names: Names of files.
      where: Folder or table with these names, for messages.

    Raises:
      UserError: A name is not ASCII, and the locale has another encoding than UTF-8.
    """
    encoding = sys.getfilesystemencoding()
    if encoding.replace("-", "").lower() == "utf8":
        return
    if any(not name.isascii() for name in names):
        raise UserError(
            printable(
                f"{where} has names that are not ASCII, which Python reads as {encoding} under "
                "this locale."
            ),
            "Set PYTHONUTF8=1 before the command, or a locale such as LC_ALL=C.UTF-8.",
        )
