"""Files from strangers: fetched over https only, bounded, checked, and unpacked with care."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import http.client
import io
import lzma
import os
import shutil
import stat
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tftransfer.utils import signals
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import file_sha256, locked

MAX_BYTES = 4 << 30
MAX_MEMBERS = 1_000_000
# Pictures and weights hardly shrink; text shrinks to a tenth, and a bomb to a thousandth.
MAX_RATIO = 100
_RATIO_FROM = 1 << 20
_SECONDS = 15.0
# A server that sends less than this is as good as silent.
_LEAST_RATE, _WINDOW = 1024, 10.0
_PIECE = 1 << 20


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str):
        """Follows no link to a place that others can read or change on the way."""
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, folder: Path, *, sha256: str = "", max_bytes: int = MAX_BYTES) -> Path:
    """The local copy of a file, downloaded once.

    Args:
      url: https, and so is wherever it redirects to.
      folder: of the cache; made for this user alone.
      sha256: what the file must hash to; "" accepts any.
      max_bytes: that are taken at most.

    Returns:
      A file whose name is the URL's last part, in a folder named by the URL's hash.

    Raises:
      UserError: another scheme, no network, too large, cut short, or another hash.
    """
    _check_scheme(url)
    place = folder / hashlib.sha256(url.encode()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = PurePosixPath(urllib.parse.urlsplit(url).path).name or "file"
    path = place / name
    with locked(place / ".lock"):
        if not path.is_file():
            part = place / f".{name}.part"
            try:
                _download(url, part, max_bytes)
                _check_hash(part, url, sha256)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    _check_hash(path, url, sha256)
    return path


def is_archive(path: Path) -> bool:
    """Whether the file's name is that of a zip or tar file."""
    return path.name.lower().endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))


def unpack_cached(archive: Path, folder: Path) -> Path:
    """The content of an archive, unpacked once into a folder of the cache; see `unpack`."""
    target = folder / file_sha256(archive)[:32]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder / f".{target.name}.lock"):
        if not target.is_dir():
            part = folder / f".{target.name}.part"
            shutil.rmtree(part, ignore_errors=True)
            try:
                unpack(archive, part)
                part.rename(target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return target


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Unpacks a zip or tar file of plain files and folders into a new folder.

    Nothing is written before every member has been looked at.

    Raises:
      UserError: no archive, or one with links, devices, paths that lead out, too many members,
        or more bytes than `max_bytes` or than a hundred times its own; the member is named.
    """
    limit = _limit(archive, max_bytes)
    try:
        with _members(archive) as (members, opened):
            _check_members(archive, members, limit)
            folder.mkdir(parents=True)
            total = 0
            for name, kind, _, handle in members:
                target = folder / PurePosixPath(name)
                if kind == "folder":
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                total += _copy(opened(handle), target, limit - total, f"{archive}, {name}")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, ValueError) as e:
        if isinstance(e, UserError):
            raise
        raise UserError(f"{archive} cannot be unpacked: {e}", "Fetch it again.") from None


@contextlib.contextmanager
def _members(archive: Path) -> Iterator[tuple[list[tuple[str, str, int, Any]], Any]]:
    """Name, kind (`file`, `folder` or another word), size and handle of each; and how to open."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield [(i.filename, _zip_kind(i), i.file_size, i) for i in file.infolist()], file.open
    elif tarfile.is_tarfile(archive):
        with _decompressed(archive) as opened, tarfile.open(fileobj=opened, mode="r:") as file:
            found = [(m.name, _tar_kind(m), m.size, m) for m in _bounded(archive, file)]
            yield found, file.extractfile
    else:
        raise UserError(f"{archive} is no zip or tar file.", "Give a folder, or such a file.")


class _Careful(io.BufferedReader):
    """Gives no more at once than a member's name and notes can need."""

    def read(self, size: int | None = -1) -> bytes:
        """As of any file; a tar file's long names are read in one piece."""
        if size is None or not 0 <= size <= _PIECE:
            raise tarfile.ReadError("a name or note in it is too long")
        return super().read(size)


def _decompressed(archive: Path) -> Any:
    with archive.open("rb") as file:
        start = file.read(6)
    for signature, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ\0", lzma)):
        if start.startswith(signature):
            return _Careful(module.open(archive))
    return _Careful(archive.open("rb", buffering=0))


def _bounded(archive: Path, members: Any) -> Iterator[Any]:
    """The members, until they promise too much: to go on to the next is to decompress this one."""
    total, limit = 0, _limit(archive, MAX_BYTES)
    for number, member in enumerate(members):
        total += member.size
        if number >= MAX_MEMBERS or total > limit:
            _refuse(archive, member.name, f"with it there are {number + 1:,}, of {total:,} bytes")
        yield member


def _limit(archive: Path, max_bytes: int) -> int:
    return max(min(max_bytes, MAX_RATIO * archive.stat().st_size), _RATIO_FROM)


def _check_members(archive: Path, members: list[tuple[str, str, int, Any]], limit: int) -> None:
    total, seen = 0, set()
    if len(members) > MAX_MEMBERS:
        _refuse(archive, members[-1][0], f"there are {len(members):,} members")
    for name, kind, size, _ in members:
        path = PurePosixPath(name)
        if kind not in ("file", "folder"):
            _refuse(archive, name, f"it is {kind}")
        if path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
            _refuse(archive, name, "its path leads out of the archive")
        if kind == "file" and str(path) in seen:
            _refuse(archive, name, "it is there twice")
        seen.add(str(path))
        total += size
        if total > limit:
            _refuse(archive, name, f"unpacked it is more than {limit:,} bytes")


def _refuse(archive: Path, name: str, reason: str) -> None:
    raise UserError(
        f"{archive} is refused for its member {name[:100]!r}: {reason}.",
        "If you trust it, unpack it yourself and give the folder.",
    )


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 1:
        return "encrypted"
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or a device"
    return "folder" if info.is_dir() else "file"


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return "folder"
    if member.isreg() and not member.issparse():
        return "file"
    return "a link, a device or a sparse file"


def _copy(source: IO[bytes] | None, target: Path, most: int, what: str) -> int:
    """Copies at most so many bytes, whatever the archive says of its size."""
    if source is None:
        raise UserError(f"{what} has no content.", "Fetch it again.")
    total = 0
    with source, target.open("xb") as file:
        while piece := source.read(_PIECE):
            total += len(piece)
            if total > most:
                raise UserError(f"{what} is larger than it says.", "Do not trust this archive.")
            file.write(piece)
            signals.raise_if_stop_requested()
    return total


def _check_scheme(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
        raise UserError(
            f"{url} is not fetched: only https://HOST/... is.",
            "Download it by other means, and give the path of the file.",
        )


class _Pace:
    """Of a server, looked at over one stretch of time after another."""

    def __init__(self, clock: Callable[[], float]):
        self._clock, self._since, self._count = clock, clock(), 0

    def add(self, count: int) -> None:
        """Takes note of so many bytes.

        Raises:
          TimeoutError: they come too slowly.
        """
        self._count += count
        seconds = self._clock() - self._since
        if seconds < _WINDOW:
            return
        if self._count < _LEAST_RATE * seconds:
            raise TimeoutError(
                f"{self._count:,} bytes came in {seconds:.0f} s, less than {_LEAST_RATE:,} a second"
            )
        self._since, self._count = self._since + seconds, 0


def _download(
    url: str, part: Path, max_bytes: int, clock: Callable[[], float] = time.monotonic
) -> None:
    opener = urllib.request.build_opener(_OnlyHttps)
    try:
        with opener.open(url, timeout=_SECONDS) as answer, part.open("wb") as file:
            promised = int(answer.headers.get("Content-Length") or 0)
            total, pace = 0, _Pace(clock)
            while total <= max_bytes >= promised and (piece := answer.read1(_PIECE)):
                total += len(piece)
                pace.add(len(piece))
                file.write(piece)
                signals.raise_if_stop_requested()
            os.fsync(file.fileno())
    except UserError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{url} could not be fetched: {' '.join(str(reason).split())[:200]}.",
            "Check the network and the address, or download it elsewhere and give the path.",
        ) from None
    if max(total, promised) > max_bytes:
        raise UserError(
            f"{url} is larger than {max_bytes:,} bytes.",
            "Download it by other means, and give the path of the file.",
        )
    if promised and total != promised:
        raise UserError(f"{url} was cut short: {total:,} of {promised:,} bytes.", "Try again.")


def _check_hash(path: Path, url: str, sha256: str) -> None:
    if not sha256:
        return
    digest = file_sha256(path)
    if digest != sha256:
        raise UserError(
            f"{url} is not the expected file: sha256 {digest}, not {sha256}.",
            "Do not use it; ask where it comes from.",
        )
