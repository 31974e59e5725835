"""Contents that an earlier scan found readable, so that they are not decoded again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

# Increased when a check changes.
_FORMAT = 3
# About a million hashes; later contents are decoded in each scan.
_MAX_BYTES = 64 << 20


class ScanCache:
    """A set of sha256 in a file; damaged lines match no content.

    Args:
      folder: Folder of the cache.
      modality: Modality as which the contents are readable.
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
        """Adds hashes, also to the file; ignores a file that cannot be written."""
        new = sorted(set(sha256) - self._known)
        self._known.update(new)
        if new:
            with contextlib.suppress(OSError), self._path.open("a") as file:
                if file.tell() < _MAX_BYTES:
                    file.write("".join(f"{each}\n" for each in new))
