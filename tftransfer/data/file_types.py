"""Which files are examples: their modality by content, files next to them, files of systems."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tftransfer.preprocessing.audio.checks import audio_format
from tftransfer.preprocessing.formats import HEAD_BYTES, unread_format
from tftransfer.preprocessing.image.checks import image_format
from tftransfer.utils.wording import listed

# The modality is the majority among at most about twice as many files.
_SAMPLE_FILES = 32
# Of each extension, so many files are read, of at most so many extensions.
_SAMPLE_PER_SUFFIX = 8
_MAX_SUFFIXES = 32
# A modality that the backbone reads is chosen if at least this fraction of the files have it.
_MIN_WANTED_FRACTION = 0.2
_TEXT_SUFFIXES = (".txt", ".text", ".md")
_MEDIA = """
.jpg .jpeg .jfif .png .gif .bmp .webp .tif .tiff .heic .heif .avif .jxl .jp2 .psd .dcm .svg .ico
.wav .flac .ogg .oga .opus .mp3 .m4a .aac .aif .aiff .aifc .amr .wma .mp4 .mov .webm .avi .mkv
.pdf .zip .gz .tar .7z .rar
"""
_MEDIA_SUFFIXES = frozenset(_MEDIA.split())
# Files that describe others: annotations, tables, checksums, settings, code.
_SIDE = """
.txt .text .md .rst .xml .json .jsonl .csv .tsv .yaml .yml .toml .ini .cfg .log .htm .html .css
.srt .vtt .lab .textgrid .rttm .eaf .cue .m3u .m3u8 .pls .nfo .md5 .sha1 .sha256 .sfv .xmp .aae
.pp3 .thm .db .sqlite .npy .npz .mat .pkl .pt .pth .h5 .parquet .tfrecord .py .ipynb .sh .bat
.lnk .url .webloc .torrent .exif .cat .names .data .lst .pbtxt .asd .pek .reapeaks .gitkeep
"""
_SIDE_SUFFIXES = frozenset(_SIDE.split())
_SYSTEM_NAMES = frozenset(
    name.lower()
    for name in (
        "Thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "Icon\r",
        "Picasa.ini",
        "ZbThumbnail.info",
        "__MACOSX",
        "__pycache__",
        "@eaDir",
        "@Recycle",
        "@tmp",
        "@SynoResource",
        "@__thumb",
        "@Recently-Snapshot",
        "@Transcode",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "RECYCLER",
        "System Volume Information",
        "lost+found",
        "Network Trash Folder",
        "Temporary Items",
        "TheVolumeSettingsFolder",
        "thumbnails",
        "_thumbs",
        "FOUND.000",
        "node_modules",
    )
)
# Of macOS, Office, and files that Android has not finished or will delete.
_SYSTEM_BEGINNINGS = ("._", "~$", ".trashed-", ".pending-", ".thumb")
# Of unfinished downloads, of editors, of data version control.
_SYSTEM_SUFFIXES = (
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".aria2",
    ".tmp",
    ".temp",
    ".swp",
    ".bak",
    ".dvc",
    "~",
)


@dataclass(frozen=True, kw_only=True)
class ExampleFiles:
    """The files of a folder that are examples.

    Attributes:
      modality: `image`, `text` or `audio`.
      paths: Paths of the examples.
      reason: Which files have the modality, in words.
      remarks: Which other files are not read, in words.
    """

    modality: str
    paths: list[str]
    reason: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Content:
    """What most files of an extension are; `readable` is false for formats to convert."""

    modality: str = ""
    readable: bool = False


def is_system_file(name: str) -> bool:
    """Returns whether a file or folder of this name belongs to an operating system or tool.

    So do all hidden ones, except images and clips.
    """
    lower = name.lower()
    hidden = name.startswith(".") and suffix_of(name) not in _MEDIA_SUFFIXES
    return (
        hidden
        or name.startswith(_SYSTEM_BEGINNINGS)
        or lower in _SYSTEM_NAMES
        or lower.endswith(_SYSTEM_SUFFIXES)
    )


def not_empty(data: bytes) -> str | None:
    """Checks that a file has content."""
    return None if data else "the file is empty (0 bytes)"


def example_files(paths: Sequence[str], wanted: str = "") -> ExampleFiles:
    """Returns the files that are examples, without those that lie next to them.

    The content of some files of each extension decides what its files are. The modality is the one
    that `wanted` names if enough files have it, else that of most files; a text that is named like
    an image or a clip describes it and is not counted.

    Args:
      paths: Paths of all files.
      wanted: Modality that the backbone reads; "" if none was asked for.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[suffix_of(path)].append(path)
    if len(groups) == 1:
        return _example_files(modality_of_files(paths), paths)
    largest = sorted(groups, key=lambda suffix: (-len(groups[suffix]), suffix))[:_MAX_SUFFIXES]
    contents = {suffix: _content_of(groups[suffix]) for suffix in largest}
    modality = _choose_modality(groups, contents, wanted)
    of_modality = [s for s in largest if contents[s].modality == modality]
    stems = {_stem(path) for s in of_modality if contents[s].readable for path in groups[s]}
    side = {
        suffix: _side_files(suffix, group, contents.get(suffix, _Content()), modality, stems)
        for suffix, group in groups.items()
    }
    left_out = {path for group in side.values() for path in group}
    kept = [path for path in paths if path not in left_out]
    if not left_out or not kept:
        return _example_files(modality, paths)
    return _example_files(modality, kept, (_remark(modality, side, contents),))


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
    votes = Counter(filter(None, (_content(item).modality for item in items[::step])))
    return votes.most_common(1)[0][0] if votes else "image"


def suffix_of(path: str) -> str:
    """Returns the extension in lower case, with its dot; "" if there is none.

    Many paths are split, and `pathlib` takes several times as long.
    """
    start = path.rfind(".")
    has_suffix = start > max(path.rfind("/"), path.rfind(os.sep)) + 1
    return path[start:].lower() if has_suffix else ""


def is_side_file(name: str) -> bool:
    """Returns whether a file of this name may describe examples but is never an image or a clip."""
    return suffix_of(name) in _SIDE_SUFFIXES


def _content_of(paths: Sequence[str]) -> _Content:
    step = max(1, len(paths) // _SAMPLE_PER_SUFFIX)
    votes = Counter(map(_content, paths[::step]))
    known = [(content, count) for content, count in votes.most_common() if content.modality]
    return known[0][0] if known else _Content()


def _choose_modality(
    groups: dict[str, list[str]], contents: dict[str, _Content], wanted: str
) -> str:
    counts: Counter[str] = Counter()
    asked_for = sum(len(groups[s]) for s, each in contents.items() if each.modality == wanted)
    if wanted and asked_for >= max(1, _MIN_WANTED_FRACTION * sum(map(len, groups.values()))):
        return wanted
    media = [s for s in contents if contents[s].modality in ("image", "audio")]
    stems = {_stem(path) for suffix in media for path in groups[suffix]}
    for suffix, content in contents.items():
        if content.modality in ("image", "audio"):
            counts[content.modality] += len(groups[suffix])
        elif content.modality == "text":
            counts["text"] += sum(not _describes(path, stems) for path in groups[suffix])
    return counts.most_common(1)[0][0] if counts.total() else "image"


def _side_files(
    suffix: str, paths: list[str], content: _Content, modality: str, stems: set[str]
) -> list[str]:
    """Returns the files of an extension that are not examples of the modality."""
    if content.modality == modality and content.readable:
        return []
    if content.modality not in ("", modality) or suffix in _SIDE_SUFFIXES:
        return paths
    return [path for path in paths if _describes(path, stems)]


def _stem(path: str) -> str:
    return path[: len(path) - len(suffix_of(path))]


def _describes(path: str, stems: set[str]) -> bool:
    """Returns whether a file is named like an example: `a.txt` or `a.jpg.txt` like `a.jpg`."""
    stem = _stem(path)
    return stem in stems or _stem(stem) in stems


def _example_files(
    modality: str, paths: Sequence[str], remarks: tuple[str, ...] = ()
) -> ExampleFiles:
    suffixes = Counter(suffix_of(path) for path in paths)
    reason = f"by the content of the files: {_suffix_counts(suffixes)}" if paths else ""
    return ExampleFiles(modality=modality, paths=list(paths), reason=reason, remarks=remarks)


def _remark(modality: str, side: dict[str, list[str]], contents: dict[str, _Content]) -> str:
    """Returns which files are not read, with the flag that reads them."""
    counts = Counter({suffix: len(group) for suffix, group in side.items() if group})
    others = sorted({contents[s].modality for s in counts if s in contents} - {"", modality})
    hint = f"; a --backbone for {' or '.join(others)} reads those instead" if others else ""
    return (
        f"{counts.total():,} files next to the examples are not read: {_suffix_counts(counts)}"
        f"{hint}"
    )


def _suffix_counts(counts: Counter[str]) -> str:
    shown = [f"{n:,} {s or 'without extension'}" for s, n in counts.most_common()]
    return listed(shown)


def _content(item: str | bytes) -> _Content:
    head = item[:HEAD_BYTES] if isinstance(item, bytes) else _read_head(item)
    if image_format(head):
        return _Content("image", readable=True)
    if audio_format(head):
        return _Content("audio", readable=True)
    unread = unread_format(head)
    if unread and unread.modality:
        return _Content(unread.modality)
    is_text = _is_text_file(item, head) if isinstance(item, str) else _is_text(item)
    return _Content("text", readable=True) if is_text else _Content()


def _is_text_file(path: str, head: bytes) -> bool:
    """Returns whether a file is a text: by its extension, or by its content if that is unusual."""
    suffix = suffix_of(path)
    if suffix in _TEXT_SUFFIXES:
        return True
    usual = suffix in _SIDE_SUFFIXES or suffix in _MEDIA_SUFFIXES
    return not usual and not unread_format(head) and _is_text(head)


def _is_text(item: bytes) -> bool:
    try:
        return bool(item.decode().strip()) and b"\0" not in item
    except UnicodeDecodeError as error:  # the head of a file may end within a character
        return len(item) == HEAD_BYTES and error.start > HEAD_BYTES - 4 and b"\0" not in item


def _read_head(path: str) -> bytes:
    try:
        if not Path(path).is_file():  # opening a pipe blocks forever
            return b""
        with Path(path).open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""
