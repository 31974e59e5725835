"""Downloads: over https only, once, bounded in size and rate, with a checked hash."""

import contextlib
import email.message
import hashlib
import http.server
import io
import itertools
import shutil
import stat
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import tftransfer
from tftransfer.backbones.load import load_backbone
from tftransfer.data import download
from tftransfer.utils.errors import UserError

URL = "https://example.org/weights/net.h5"
CONTENT = bytes(range(256)) * 20


class Response(io.BytesIO):
    """The response of a server."""

    def __init__(self, content, **headers):
        super().__init__(content)
        self.headers = {"Content-Length": str(len(content)), **headers}


@pytest.fixture
def server(monkeypatch):
    """An opener whose `responses` (or errors) are returned in order; `requested` lists the URLs."""

    class Opener:
        def __init__(self):
            self.responses, self.requested = [], []

        def open(self, url, timeout):
            self.requested.append(url)
            assert 0 < timeout <= 30
            response = self.responses.pop(0)
            if isinstance(response, Exception):
                raise response
            return response

    opener = Opener()
    monkeypatch.setattr(urllib.request, "build_opener", lambda *_: opener)
    return opener


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def test_fetch_downloads_a_file_once(server, tmp_path):
    server.responses.append(Response(CONTENT))
    first = download.fetch(URL, tmp_path)
    assert first.read_bytes() == CONTENT and first.name == "net.h5"
    assert download.fetch(URL, tmp_path) == first
    assert server.requested == [URL]
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
def test_fetch_refuses_other_schemes_than_https(server, tmp_path, url):
    with pytest.raises(UserError, match="is not downloaded"):
        download.fetch(url, tmp_path)
    assert not server.requested


def test_fetch_refuses_a_redirect_to_http():
    request = urllib.request.Request(URL)
    handler = download._OnlyHttps()
    headers = email.message.Message()
    with pytest.raises(UserError, match="is not downloaded"):
        handler.redirect_request(request, None, 302, "", headers, "http://example.org/x")
    followed = handler.redirect_request(request, None, 302, "", headers, "https://example.org/x")
    assert followed.full_url == "https://example.org/x"


@pytest.mark.parametrize(
    ("response", "options", "message"),
    [
        (urllib.error.URLError("no route to host"), {}, "no route to host"),
        (TimeoutError("timed out"), {}, "timed out"),
        (Response(CONTENT, **{"Content-Length": "9999"}), {}, "is incomplete"),
        (Response(CONTENT), {"max_bytes": 100}, "larger than 100 bytes"),
        (Response(CONTENT, **{"Content-Length": "5"}), {"max_bytes": 100}, "larger than 100 bytes"),
        (Response(CONTENT, **{"Content-Length": "many"}), {}, "could not be downloaded"),
        (Response(CONTENT), {"sha256": "0" * 64}, "not the expected file"),
    ],
)
def test_fetch_that_fails_leaves_no_file(server, tmp_path, response, options, message):
    server.responses.append(response)
    with pytest.raises(UserError, match=message):
        download.fetch(URL, tmp_path, **options)
    assert files_in(tmp_path) == []


def test_fetch_checks_the_hash_of_a_cached_file_too(server, tmp_path):
    server.responses.append(Response(CONTENT))
    path = download.fetch(URL, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest())
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="not the expected file"):
        download.fetch(URL, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest())


def test_fetch_from_several_threads_downloads_once(server, tmp_path):
    server.responses.append(Response(CONTENT))
    threads = [threading.Thread(target=download.fetch, args=(URL, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.requested == [URL]


class SlowHandler(http.server.BaseHTTPRequestHandler):
    """Sends as many bytes as the path of the URL states, one at a time."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", self.path[1:])
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(int(self.path[1:])):
                self.wfile.write(b"x")
                time.sleep(0.002)

    def log_message(self, *args):
        """Logs nothing."""


@pytest.fixture
def slow_server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with http.server.HTTPServer(("127.0.0.1", 0), SlowHandler) as local:
        thread = threading.Thread(target=local.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{local.server_port}"
        local.shutdown()
        thread.join()


def test_download_from_a_slow_server_is_given_up(slow_server, tmp_path):
    ticks = itertools.count()
    with pytest.raises(
        UserError, match=r"/999999 could not be downloaded: received \d+ bytes in 10 s, less"
    ):
        download._download(f"{slow_server}/999999", tmp_path / "x", 10**6, lambda: next(ticks))
    assert (tmp_path / "x").stat().st_size < 10 * 1024


def test_download_above_the_minimum_rate_is_completed(slow_server, tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(download, "_MIN_BYTES_PER_SECOND", 0.5)
    download._download(f"{slow_server}/100", tmp_path / "x", 1000, lambda: next(ticks))
    assert (tmp_path / "x").read_bytes() == b"x" * 100


def test_cache_dir_holds_downloads_and_unpacked_archives(server, image_folder, tmp_path):
    archive = shutil.make_archive(tmp_path / "photos", "zip", image_folder)
    weights = tmp_path / "x.weights.h5"
    load_backbone("small_cnn", weights="none").model.save_weights(weights)
    server.responses += [Response(Path(each).read_bytes()) for each in (archive, weights)]
    experiment = tftransfer.Experiment(
        data="https://example.org/photos.zip",
        backbone="small_cnn",
        weights="https://example.org/x.weights.h5",
    )
    plan = tftransfer.plan(experiment, cache_dir=str(tmp_path / "chosen"))
    assert len(server.requested) == 2
    assert Path(plan.examples.items[0]).is_relative_to(tmp_path / "chosen" / "unpacked")
    found = {path.name for path in (tmp_path / "chosen" / "downloads").rglob("*") if path.is_file()}
    assert {"photos.zip", "x.weights.h5"} <= found
