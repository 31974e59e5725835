"""What strangers send: fetched over https alone, bounded, checked; archives unpacked with care."""

import contextlib
import email.message
import hashlib
import http.server
import io
import itertools
import os
import shutil
import stat
import struct
import tarfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

import tftransfer
from tftransfer.backbones.load import load_backbone
from tftransfer.data import download
from tftransfer.utils.errors import UserError

URL = "https://example.org/weights/net.h5"
CONTENT = bytes(range(256)) * 20


class Answer(io.BytesIO):
    """Of a server."""

    def __init__(self, content, **headers):
        super().__init__(content)
        self.headers = {"Content-Length": str(len(content)), **headers}


@pytest.fixture
def server(monkeypatch):
    """A list of answers, or errors, to be given one after another; and of addresses asked for."""

    class Opener:
        def __init__(self):
            self.answers, self.asked = [], []

        def open(self, url, timeout):
            self.asked.append(url)
            assert 0 < timeout <= 30
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    opener = Opener()
    monkeypatch.setattr(urllib.request, "build_opener", lambda *_: opener)
    return opener


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def test_a_file_is_fetched_once(server, tmp_path):
    server.answers.append(Answer(CONTENT))
    first = download.fetch(URL, tmp_path)
    assert first.read_bytes() == CONTENT and first.name == "net.h5"
    assert download.fetch(URL, tmp_path) == first
    assert server.asked == [URL]
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "https:///x",
        "https://user:secret@example.org/x",
        "data:text/plain,x",
    ],
)
def test_only_https_is_fetched(server, tmp_path, url):
    with pytest.raises(UserError, match="is not fetched"):
        download.fetch(url, tmp_path)
    assert not server.asked


def test_a_redirect_to_http_is_refused():
    request = urllib.request.Request(URL)
    handler = download._OnlyHttps()
    headers = email.message.Message()
    with pytest.raises(UserError, match="is not fetched"):
        handler.redirect_request(request, None, 302, "", headers, "http://example.org/x")
    followed = handler.redirect_request(request, None, 302, "", headers, "https://example.org/x")
    assert followed.full_url == "https://example.org/x"


@pytest.mark.parametrize(
    ("answer", "options", "said"),
    [
        (urllib.error.URLError("no route to host"), {}, "no route to host"),
        (TimeoutError("timed out"), {}, "timed out"),
        (Answer(CONTENT, **{"Content-Length": "9999"}), {}, "cut short"),
        (Answer(CONTENT), {"max_bytes": 100}, "larger than 100 bytes"),
        (Answer(CONTENT, **{"Content-Length": "5"}), {"max_bytes": 100}, "larger than 100 bytes"),
        (Answer(CONTENT, **{"Content-Length": "many"}), {}, "could not be fetched"),
        (Answer(CONTENT), {"sha256": "0" * 64}, "not the expected file"),
    ],
)
def test_what_fails_leaves_nothing(server, tmp_path, answer, options, said):
    server.answers.append(answer)
    with pytest.raises(UserError, match=said):
        download.fetch(URL, tmp_path, **options)
    assert left(tmp_path) == []


def test_a_pinned_hash_is_checked_in_the_cache_too(server, tmp_path):
    server.answers.append(Answer(CONTENT))
    path = download.fetch(URL, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest())
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="not the expected file"):
        download.fetch(URL, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest())


def test_two_at_once_fetch_once(server, tmp_path):
    server.answers.append(Answer(CONTENT))
    threads = [threading.Thread(target=download.fetch, args=(URL, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.asked == [URL]


class Trickle(http.server.BaseHTTPRequestHandler):
    """As many bytes as the address says, one at a time."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", self.path[1:])
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(int(self.path[1:])):
                self.wfile.write(b"x")
                time.sleep(0.002)

    def log_message(self, *words):
        """Says nothing."""


@pytest.fixture
def trickling(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with http.server.HTTPServer(("127.0.0.1", 0), Trickle) as local:
        thread = threading.Thread(target=local.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{local.server_port}"
        local.shutdown()
        thread.join()


def test_a_server_that_trickles_is_given_up(trickling, tmp_path):
    ticks = itertools.count()
    with pytest.raises(
        UserError, match=r"/999999 could not be fetched: \d+ bytes came in 10 s, less"
    ):
        download._download(f"{trickling}/999999", tmp_path / "x", 10**6, lambda: next(ticks))
    assert (tmp_path / "x").stat().st_size < 10 * 1024


def test_a_server_that_is_slow_enough_for_its_rate_is_waited_for(trickling, tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(download, "_LEAST_RATE", 0.5)
    download._download(f"{trickling}/100", tmp_path / "x", 1000, lambda: next(ticks))
    assert (tmp_path / "x").read_bytes() == b"x" * 100


def test_the_cache_that_was_chosen_holds_downloads_and_what_was_unpacked(
    server, picture_folder, tmp_path
):
    archive = shutil.make_archive(tmp_path / "photos", "zip", picture_folder)
    weights = tmp_path / "x.weights.h5"
    load_backbone("small_cnn", weights="none").model.save_weights(weights)
    server.answers += [Answer(Path(each).read_bytes()) for each in (archive, weights)]
    experiment = tftransfer.Experiment(
        data="https://example.org/photos.zip",
        backbone="small_cnn",
        weights="https://example.org/x.weights.h5",
    )
    plan = tftransfer.plan(experiment, cache_dir=str(tmp_path / "chosen"))
    assert len(server.asked) == 2
    assert Path(plan.examples.items[0]).is_relative_to(tmp_path / "chosen" / "unpacked")
    found = {path.name for path in (tmp_path / "chosen" / "downloads").rglob("*") if path.is_file()}
    assert {"photos.zip", "x.weights.h5"} <= found


def zipped(path, *members, **changes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = changes.get("mode", 0) << 16
            file.writestr(info, content)
    return path


def tarred(path, *members, mode="w"):
    with tarfile.open(path, mode) as file:
        for info, content in members:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def entry(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def lying_zip(path):
    """A zip whose directory says that its member is small."""
    zipped(path, ("a.txt", b"\0" * (5 << 20)))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    path.write_bytes(data)
    return path


def encrypted(path):
    zipped(path, ("a.txt", b"secret"))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return path


HOSTILE = {
    "zip, up": lambda p: zipped(p, ("../a.txt", b"x")),
    "zip, up inside": lambda p: zipped(p, ("a/../../b.txt", b"x")),
    "zip, absolute": lambda p: zipped(p, ("/etc/a.txt", b"x")),
    "zip, backslash": lambda p: zipped(p, ("..\\a.txt", b"x")),
    "zip, link": lambda p: zipped(p, ("a", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777),
    "zip, device": lambda p: zipped(p, ("a", b""), mode=stat.S_IFCHR | 0o666),
    "zip, bomb": lambda p: zipped(p, ("a.txt", b"\0" * (200 << 20))),
    "zip, many bombs": lambda p: zipped(p, *((f"{k}", b"\0" * (2 << 20)) for k in range(100))),
    "zip, twice": lambda p: zipped(p, ("a.txt", b"x"), ("a.txt", b"y")),
    "zip, lies": lying_zip,
    "zip, encrypted": encrypted,
    "zip, cut": lambda p: p.write_bytes(zipped(p, ("a", b"x" * 999)).read_bytes()[:-30]) and p,
    "tar, up": lambda p: tarred(p, ("../a.txt", b"x")),
    "tar, absolute": lambda p: tarred(p, ("/a.txt", b"x")),
    "tar, link out": lambda p: tarred(p, (entry("a", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "tar, link in": lambda p: tarred(p, (entry("a", tarfile.SYMTYPE, "b"), b"")),
    "tar, hard link": lambda p: tarred(p, (entry("a", tarfile.LNKTYPE, "/etc/passwd"), b"")),
    "tar, device": lambda p: tarred(p, (entry("a", tarfile.CHRTYPE), b"")),
    "tar, pipe": lambda p: tarred(p, (entry("a", tarfile.FIFOTYPE), b"")),
    "tar.gz, bomb": lambda p: tarred(p, ("a.txt", b"\0" * (200 << 20)), mode="w:gz"),
    "no archive": lambda p: p.write_bytes(b"<html>") and p,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path, case):
    archive = HOSTILE[case](tmp_path / "x.zip")
    with pytest.raises(UserError, match=r"x\.zip") as error:
        download.unpack_cached(archive, tmp_path / "cache")
    assert "\n" in str(error.value)
    assert left(tmp_path) == ["x.zip"]


@pytest.mark.parametrize("make", [zipped, tarred])
def test_an_archive_is_unpacked_once(tmp_path, make):
    archive = make(tmp_path / "x.zip", ("data/a/1.txt", b"one"), ("data/b/2.txt", b"two"))
    folder = download.unpack_cached(archive, tmp_path / "cache")
    assert (folder / "data" / "a" / "1.txt").read_bytes() == b"one"
    (folder / "data" / "a" / "1.txt").write_bytes(b"mine")
    assert download.unpack_cached(archive, tmp_path / "cache") == folder
    assert (folder / "data" / "a" / "1.txt").read_bytes() == b"mine"


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_MEMBERS", 3)
    for make in (zipped, tarred):
        archive = make(tmp_path / "x.zip", *((f"{k}.txt", b"x") for k in range(4)))
        with pytest.raises(UserError, match="member"):
            download.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_killed_unpacking_is_done_again(tmp_path):
    archive = zipped(tmp_path / "x.zip", ("a.txt", b"whole"))
    folder = download.unpack_cached(archive, tmp_path / "cache")
    os.rename(folder, folder.with_name(f".{folder.name}.part"))
    (folder.with_name(f".{folder.name}.part") / "a.txt").write_bytes(b"wh")
    assert (download.unpack_cached(archive, tmp_path / "cache") / "a.txt").read_bytes() == b"whole"


def test_a_name_of_millions_of_letters_is_not_read(tmp_path):
    info = tarfile.TarInfo("a" * (30 << 20))
    archive = tarred(tmp_path / "x.zip", (info, b"x"), mode="w:gz")
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(UserError, match=r"x\.zip cannot be unpacked"):
        download.unpack(archive, tmp_path / "out")
