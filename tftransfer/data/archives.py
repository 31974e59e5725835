"""Zip and tar files of unknown origin, unpacked within bounds.

An archive may hold links and paths that lead out of the folder, devices, and a few kilobytes that
unpack to terabytes. All members are checked before anything is written.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tftransfer.utils import signals
from tftransfer.utils.archive_names import tar_names, zip_names
from tftransfer.utils.console import printable
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import atomic_folder, file_sha256, locked

MAX_BYTES = 4 << 30
MAX_MEMBERS = 1_000_000
# Images and weights hardly compress, text to a tenth, an archive bomb to a thousandth.
MAX_COMPRESSION_RATIO = 100
# Small archives may have a higher ratio up to this unpacked size.
_ALWAYS_ALLOWED_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
# Increased when archives are unpacked differently.
_FORMAT = 2
_DRIVE = re.compile(r"[A-Za-z]:($|/)")
_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))


@dataclass(frozen=True, kw_only=True)
class _Member:
    """An entry of an archive.

    Attributes:
      name: Path in the archive.
      file_type: `file`, `folder`, or a phrase for anything else.
      size: Unpacked size in bytes, according to the archive.
      open: Opens the content; returns None where there is none.
    """

    name: str
    file_type: str
    size: int
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Returns whether the name of a file is that of a zip or tar file."""
    return path.name.lower().endswith(_SUFFIXES)


def unpack_cached(archive: Path, folder: Path) -> Path:
    """Returns the folder with the content of an archive, which is unpacked once.

    Args:
      archive: Zip or tar file.
      folder: Folder of the cache; the archive is unpacked into a folder in it named by its sha256.

    Raises:
      UserError: The archive is refused; see `unpack`.
    """
    target = folder / f"{file_sha256(archive)[:32]}-{_FORMAT}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder / f".{target.name}.lock"):
        if not target.is_dir():
            with atomic_folder(target, durable=False) as temporary:
                remarks = unpack(archive, temporary)
            text = "".join(f"{printable(remark)}\n" for remark in remarks)
            _remarks_file(target).write_text(text, encoding="utf-8")
    return target


def unpacked_remarks(target: Path) -> tuple[str, ...]:
    """Returns how the names in an archive were read, in words.

    Args:
      target: Folder that `unpack_cached` returned.
    """
    path = _remarks_file(target)
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()


def _remarks_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.txt")


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES) -> tuple[str, ...]:
    """Unpacks a zip or tar file of plain files and folders.

    Args:
      archive: Zip or tar file.
      folder: Folder to unpack to; it is created if necessary.
      max_bytes: Largest unpacked size in bytes; the size is also limited to 100 times that of the
        archive.

    Returns:
      How the names of the members were read, in words, where the archive does not state it.

    Raises:
      UserError: The file is not an archive, or has links, devices, paths that lead out of it, too
        many members or too many bytes; the message names the member.
    """
    limit = _limit(archive, max_bytes)
    try:
        with _members(archive) as (members, remarks):
            _check_members(archive, members, limit)
            folder.mkdir(parents=True, exist_ok=True)
            total = 0
            for member in members:
                target = folder / PurePosixPath(member.name)
                if member.file_type == "folder":
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                total += _copy(member, target, limit - total, archive)
            return remarks
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, ValueError) as e:
        if isinstance(e, UserError):
            raise
        raise _unpacking_error(archive, e) from None


@contextlib.contextmanager
def _members(archive: Path) -> Iterator[tuple[list[_Member], tuple[str, ...]]]:
    """Yields the members, and remarks about their names."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            infos = file.infolist()
            decoded = zip_names(infos)
            yield (
                [_zip_member(file, *each) for each in zip(infos, decoded.names)],
                decoded.remarks,
            )
    elif tarfile.is_tarfile(archive):
        with _decompressed(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            members = list(_bounded(archive, tar))
            decoded = tar_names([member.name for member in members])
            yield [_tar_member(tar, *each) for each in zip(members, decoded.names)], decoded.remarks
    else:
        raise UserError(f"{archive} is not a zip or tar file.", "Give such a file, or a folder.")


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> _Member:
    return _Member(
        name=name,
        file_type=_zip_file_type(info, name),
        size=info.file_size,
        open=lambda: file.open(info),
    )


def _tar_member(file: tarfile.TarFile, info: tarfile.TarInfo, name: str) -> _Member:
    return _Member(
        name=name,
        file_type=_tar_file_type(info),
        size=info.size,
        open=lambda: file.extractfile(info),
    )


class _BoundedReader(io.BufferedReader):
    """Limits each read: `tarfile` reads a long name of any size in one piece."""

    def read(self, size: int | None = -1) -> bytes:
        """Reads at most 1 MiB.

        Raises:
          tarfile.ReadError: More is asked for.
        """
        if size is None or not 0 <= size <= _CHUNK_BYTES:
            raise tarfile.ReadError("the name or a header of a member is too long")
        return super().read(size)


def _decompressed(archive: Path) -> io.BufferedReader:
    with archive.open("rb") as file:
        start = file.read(6)
    for signature, open_compressed in _COMPRESSIONS:
        if start.startswith(signature):
            return _BoundedReader(open_compressed(archive))  # type: ignore[arg-type]
    return _BoundedReader(archive.open("rb", buffering=0))


def _bounded(archive: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yields members up to the limits: to reach the next one, this one must be decompressed."""
    total, limit = 0, _limit(archive, MAX_BYTES)
    for number, member in enumerate(tar, 1):
        total += member.size
        if number > MAX_MEMBERS or total > limit:
            _refuse(archive, member.name, f"up to it there are {number:,} members, {total:,} bytes")
        yield member


def _limit(archive: Path, max_bytes: int) -> int:
    by_ratio = MAX_COMPRESSION_RATIO * archive.stat().st_size
    return max(min(max_bytes, by_ratio), _ALWAYS_ALLOWED_BYTES)


def _check_members(archive: Path, members: list[_Member], limit: int) -> None:
    total, seen = 0, set()
    if len(members) > MAX_MEMBERS:
        _refuse(archive, members[-1].name, f"there are {len(members):,} members")
    for member in members:
        path = PurePosixPath(member.name)
        if member.file_type not in ("file", "folder"):
            _refuse(archive, member.name, f"it is {member.file_type}")
        if path.is_absolute() or ".." in path.parts or _DRIVE.match(member.name):
            _refuse(archive, member.name, "its path leads out of the archive")
        if "\0" in member.name:
            _refuse(archive, member.name, "its name holds a zero byte")
        if member.file_type == "file" and str(path) in seen:
            _refuse(archive, member.name, "the archive has two members of that name")
        seen.add(str(path))
        total += member.size
        if total > limit:
            _refuse(archive, member.name, f"the unpacked size is more than {limit:,} bytes")


def _refuse(archive: Path, name: str, reason: str) -> None:
    raise UserError(
        f"{archive} is refused because of its member {name[:100]!r}: {reason}.",
        "If you trust it, unpack it yourself and give the folder.",
    )


def _unpacking_error(archive: Path, error: Exception) -> UserError:
    """Returns an error that names the archive, and not the folder where it is unpacked."""
    reason = error.strerror if isinstance(error, OSError) else None
    remedies = {
        errno.ENOSPC: "Free disk space, or give a folder on another disk by --cache_dir.",
        errno.ENAMETOOLONG: "Shorten the names of its members, or unpack it and give the folder.",
    }
    number = error.errno if isinstance(error, OSError) else None
    return UserError(
        f"{archive} cannot be unpacked: {reason or error}",
        remedies.get(number or 0, "Download it again."),
    )


def _zip_file_type(info: zipfile.ZipInfo, name: str) -> str:
    if info.flag_bits & 1:
        return "encrypted"
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or a device"
    return "folder" if name.endswith("/") else "file"


def _tar_file_type(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return "folder"
    if member.isreg() and not member.issparse():
        return "file"
    return "a link, a device or a sparse file"


def _copy(member: _Member, target: Path, max_bytes: int, archive: Path) -> int:
    """Copies a member and returns its size; the size that the archive states may be wrong."""
    source = member.open()
    if source is None:
        raise UserError(f"{archive}, {member.name} has no content.", "Download it again.")
    total = 0
    with source, target.open("xb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            total += len(chunk)
            if total > max_bytes:
                raise UserError(
                    f"{archive}, {member.name} is larger than the archive states.",
                    "Do not trust this archive.",
                )
            file.write(chunk)
            signals.raise_if_stop_requested()
    return total
