"""Which kind of input some files are, by their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tftransfer.preprocessing.image.checks import image_format

_LOOKED_AT, _HEAD = 32, 64
_TEXT = (".txt", ".text", ".md")
_AUDIO = (
    (b"fLaC", 0),
    (b"OggS", 0),
    (b"ID3", 0),
    (b"\xff\xfb", 0),
    (b"\xff\xf3", 0),
    (b"WAVE", 8),
    (b"AIFF", 8),
)


def modality_of_files(items: Sequence[str | bytes]) -> str:
    """`image`, `text` or `audio`: what most of some of the items are; pictures where none tells.

    Files of text are known by their extension, texts in memory by saying something in UTF-8, the
    others by their first bytes.
    """
    step = max(1, len(items) // _LOOKED_AT)
    votes = Counter(filter(None, map(_kind_of, items[::step])))
    return votes.most_common(1)[0][0] if votes else "image"


def _kind_of(item: str | bytes) -> str:
    head = item[:_HEAD] if isinstance(item, bytes) else _head(item)
    if image_format(head):
        return "image"
    if any(head[at:].startswith(signature) for signature, at in _AUDIO):
        return "audio"
    is_text = item.lower().endswith(_TEXT) if isinstance(item, str) else _says(item)
    return "text" if is_text else ""


def _says(item: bytes) -> bool:
    try:
        return bool(item.decode().strip()) and b"\0" not in item
    except UnicodeDecodeError:
        return False


def _head(path: str) -> bytes:
    try:
        if not Path(path).is_file():  # to open a pipe is to wait for ever
            return b""
        with Path(path).open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""
