"""The folder that keeps downloads, unpacked archives and cached features for later runs."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache_dir(cache_dir: str = "") -> Path:
    """Returns `cache_dir`, else `$TFTRANSFER_CACHE`, else `tftransfer` in the user's cache."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    chosen = cache_dir or os.environ.get("TFTRANSFER_CACHE") or f"{user_cache}/tftransfer"
    return Path(chosen).expanduser()
