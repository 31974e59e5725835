"""Content that was examined before and found readable, so that it need not be decoded again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

# Raised when a rule changes.
_FORMAT = 2
_MOST_BYTES = 64 << 20


class ScanCache:
    """A set of sha256 in a file; lines of it that are damaged are hashes of nothing.

    Args:
      folder: of the cache.
      modality: of the input that it was readable as.
    """

    def __init__(self, folder: Path, modality: str = "image"):
        import tensorflow as tf

        self._path = folder / f"readable-{modality}-{tf.__version__}-{_FORMAT}.txt"
        self._known: set[str] = set()
        with contextlib.suppress(OSError, ValueError):
            self._known = set(self._path.read_text().split())

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._known

    def add(self, sha256: Iterable[str]) -> None:
        """Remembers these, for later processes too; a cache that cannot be written is no error."""
        new = sorted(set(sha256) - self._known)
        self._known.update(new)
        if new:
            with contextlib.suppress(OSError), self._path.open("a") as file:
                if file.tell() < _MOST_BYTES:
                    file.write("".join(f"{each}\n" for each in new))
