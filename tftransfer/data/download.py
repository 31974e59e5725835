"""Downloads over https only, bounded in size and rate, and checked by sha256."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from tftransfer.core.typing import PathLike
from tftransfer.utils import signals
from tftransfer.utils.errors import UserError
from tftransfer.utils.files import atomic_file, file_sha256, locked

MAX_BYTES = 4 << 30
# A server that connects but never sends is abandoned after this time.
_TIMEOUT_SECONDS = 15.0
# A server that sends a byte now and then never times out, so its rate is bounded from below.
_MIN_BYTES_PER_SECOND = 1024
_RATE_WINDOW_SECONDS = 10.0
_CHUNK_BYTES = 1 << 20


def local_path(place: PathLike, cache: Path, *, sha256: str = "") -> Path:
    """Returns the local path of a file or folder that is given by a path or a URL.

    Args:
      place: Path, with `~` for the home folder, or https URL of a file.
      cache: Folder of the cache; a URL is downloaded once, to `downloads/` in it.
      sha256: Expected hash of a downloaded file; "" accepts any.

    Raises:
      UserError: The download fails.
    """
    text = os.fspath(place)
    if "://" in text:
        return fetch(text, cache / "downloads", sha256=sha256)
    return Path(text).expanduser()


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuses redirects to other schemes, where others can read and change the content."""
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, folder: Path, *, sha256: str = "", max_bytes: int = MAX_BYTES) -> Path:
    """Returns the local copy of a file, which is downloaded once.

    Args:
      url: Address of the file; it and all its redirects must be https.
      folder: Folder of the downloads; it is created for this user only.
      sha256: Expected hash of the file; "" accepts any.
      max_bytes: Largest size in bytes.

    Returns:
      The path of the file: the name is the last part of the URL, the folder's name a hash of it.

    Raises:
      UserError: Another scheme, no network, a file that is too large or incomplete, or another
        hash.
    """
    _check_scheme(url)
    place = folder / hashlib.sha256(url.encode()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = PurePosixPath(urllib.parse.urlsplit(url).path).name or "file"
    path = place / name
    with locked(place / ".lock"):
        if not path.is_file():
            with atomic_file(path, exclusive=True) as temporary:
                _download(url, temporary, max_bytes)
                _check_hash(temporary, url, sha256)
    _check_hash(path, url, sha256)
    return path


def _check_scheme(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
        raise UserError(
            f"{url} is not downloaded: only https://HOST/... without a password is allowed.",
            "Download it by other means, and give the path of the file.",
        )


class _RateLimit:
    """Lower bound on the rate of a server, checked over consecutive windows of time."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._start = clock()
        self._bytes = 0

    def add(self, count: int) -> None:
        """Adds `count` received bytes.

        Raises:
          TimeoutError: The rate of the last window was too low.
        """
        self._bytes += count
        seconds = self._clock() - self._start
        if seconds < _RATE_WINDOW_SECONDS:
            return
        if self._bytes < _MIN_BYTES_PER_SECOND * seconds:
            raise TimeoutError(
                f"received {self._bytes:,} bytes in {seconds:.0f} s, less than "
                f"{_MIN_BYTES_PER_SECOND:,} bytes/s"
            )
        self._start += seconds
        self._bytes = 0


def _download(
    url: str, path: Path, max_bytes: int, clock: Callable[[], float] = time.monotonic
) -> None:
    opener = urllib.request.build_opener(_OnlyHttps)
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as response, path.open("wb") as file:
            expected = int(response.headers.get("Content-Length") or 0)
            total, rate = 0, _RateLimit(clock)
            while total <= max_bytes >= expected and (chunk := response.read1(_CHUNK_BYTES)):
                total += len(chunk)
                rate.add(len(chunk))
                file.write(chunk)
                signals.raise_if_stop_requested()
    except UserError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{url} could not be downloaded: {' '.join(str(reason).split())[:200]}.",
            "Check the network and the address, or download it elsewhere and give the path.",
        ) from None
    if max(total, expected) > max_bytes:
        raise UserError(
            f"{url} is larger than {max_bytes:,} bytes.",
            "Download it by other means, and give the path of the file.",
        )
    if expected and total != expected:
        raise UserError(
            f"The download of {url} is incomplete: {total:,} of {expected:,} bytes.",
            "Rerun the same command.",
        )


def _check_hash(path: Path, url: str, sha256: str) -> None:
    if not sha256:
        return
    digest = file_sha256(path)
    if digest != sha256:
        raise UserError(
            f"{url} is not the expected file: its sha256 is {digest}, not {sha256}.",
            "Do not use the file; check its origin.",
        )
