"""Modality of files by their content, and files that are never examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tftransfer.preprocessing.image.checks import image_format

# The modality is the majority among at most about twice as many files.
_SAMPLE_FILES = 32
# Signatures are in the first bytes.
_HEAD_BYTES = 64
_TEXT_SUFFIXES = (".txt", ".text", ".md")
# Signature and its offset in bytes.
_AUDIO_SIGNATURES = (
    (b"fLaC", 0),
    (b"OggS", 0),
    (b"ID3", 0),
    (b"\xff\xfb", 0),
    (b"\xff\xf3", 0),
    (b"WAVE", 8),
    (b"AIFF", 8),
)
_SYSTEM_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}
_SYSTEM_FOLDERS = {"__MACOSX", ".ipynb_checkpoints", ".git"}


def is_system_file(name: str) -> bool:
    """Returns whether a file or folder of this name belongs to an operating system or tool."""
    return name in _SYSTEM_FILES or name in _SYSTEM_FOLDERS or name.startswith("._")


def not_empty(data: bytes) -> str | None:
    """Checks that a file has content."""
    return None if data else "the file is empty (0 bytes)"


def modality_of_files(items: Sequence[str | bytes]) -> str:
    """Returns the modality of most of a sample of the items; `image` if none is recognized.

    Text files are recognized by their extension, texts in memory by being non-empty UTF-8, all
    others by their first bytes.

    Args:
      items: Paths or encoded bytes.

    Returns:
      `image`, `text` or `audio`.
    """
    step = max(1, len(items) // _SAMPLE_FILES)
    votes = Counter(filter(None, map(_modality_of, items[::step])))
    return votes.most_common(1)[0][0] if votes else "image"


def _modality_of(item: str | bytes) -> str:
    head = item[:_HEAD_BYTES] if isinstance(item, bytes) else _read_head(item)
    if image_format(head):
        return "image"
    if any(head[offset:].startswith(signature) for signature, offset in _AUDIO_SIGNATURES):
        return "audio"
    is_text = item.lower().endswith(_TEXT_SUFFIXES) if isinstance(item, str) else _is_text(item)
    return "text" if is_text else ""


def _is_text(item: bytes) -> bool:
    try:
        return bool(item.decode().strip()) and b"\0" not in item
    except UnicodeDecodeError:
        return False


def _read_head(path: str) -> bytes:
    try:
        if not Path(path).is_file():  # opening a pipe blocks forever
            return b""
        with Path(path).open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""
