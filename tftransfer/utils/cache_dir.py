"""Where downloads, unpacked archives and cached features are kept for later runs."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache_dir(chosen: str = "") -> Path:
    """Where things are kept for later runs: `chosen`, else `$TFTRANSFER_CACHE`, else the user's."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    chosen = chosen or os.environ.get("TFTRANSFER_CACHE") or f"{home}/tftransfer"
    return Path(chosen).expanduser()
