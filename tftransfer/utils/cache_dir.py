"""The folder that keeps downloads, unpacked archives and cached features for later runs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# Marks a folder as a cache, for backups and for the search for examples; see bford.info/cachedir.
CACHE_TAG = "CACHEDIR.TAG"
_CACHE_TAG_CONTENT = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of tftransfer.\n"


def user_cache_dir(cache_dir: str = "") -> Path:
    """Returns `cache_dir`, else `$TFTRANSFER_CACHE`, else `tftransfer` in the user's cache."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    chosen = cache_dir or os.environ.get("TFTRANSFER_CACHE") or f"{user_cache}/tftransfer"
    return Path(chosen).expanduser()


def tag_cache(folder: Path) -> None:
    """Marks a folder as a cache; ignores a folder that cannot be written."""
    with contextlib.suppress(OSError):
        if not (folder / CACHE_TAG).exists():
            (folder / CACHE_TAG).write_text(_CACHE_TAG_CONTENT)
