"""Files as such, whatever they hold: which are a system's own, and which are empty."""

from __future__ import annotations

IGNORED_NAMES = {".DS_Store", "Thumbs.db", "desktop.ini"}
IGNORED_FOLDERS = {"__MACOSX", ".ipynb_checkpoints", ".git"}


def is_system_file(name: str) -> bool:
    """Whether a file or folder of this name is a system's own and never an example."""
    return name in IGNORED_NAMES or name in IGNORED_FOLDERS or name.startswith("._")


def not_empty(data: bytes) -> str | None:
    """Files of no bytes are left out."""
    return None if data else "the file is empty (0 bytes)"
