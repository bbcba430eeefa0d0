"""Contents by URL: bounded, verified before anything uses them, and never a whole in memory."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.host import LocalHost, downloads
from agent.host.downloads import local_path
from modules.api import Content, ResourceError
from modules.file import File
from tests.unit.convergence import converge, drift_of

BODY = b"from elsewhere\n" * 1000


class Answers(BaseHTTPRequestHandler):
    """A server with every bad habit, by path."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        with suppress(OSError):  # the agent hangs up
            getattr(self, f"answer_{name}", self.answer_nothing)()

    def answer_good(self) -> None:
        self._begin(200, {"Content-Length": str(len(BODY))})
        self.wfile.write(BODY)

    def answer_nolength(self) -> None:
        self._begin(200, {})
        self.wfile.write(BODY)

    def answer_short(self) -> None:
        self._begin(200, {"Content-Length": str(len(BODY) + 1)})
        self.wfile.write(BODY)

    def answer_moved(self) -> None:
        self._begin(302, {"Location": "/good"})

    def answer_around(self) -> None:
        self._begin(302, {"Location": "/around"})

    def answer_away(self) -> None:
        self._begin(302, {"Location": "file:///etc/shadow"})

    def answer_plainer(self) -> None:
        self._begin(302, {"Location": "ftp://127.0.0.1/x"})

    def answer_slow(self) -> None:
        self._begin(200, {"Content-Length": "100"})
        for _ in range(100):
            self.wfile.write(b".")
            time.sleep(0.05)

    def answer_silent(self) -> None:
        time.sleep(1)

    def answer_endless(self) -> None:
        self._begin(200, {})
        for _ in range(1000):
            self.wfile.write(b"0" * 100_000)

    def answer_huge(self) -> None:
        self._begin(200, {"Content-Length": str(1 << 50)})

    def answer_large(self) -> None:
        self._begin(200, {})
        for _ in range(64):
            self.wfile.write(b"0" * (1 << 20))

    def answer_nothing(self) -> None:
        self._begin(404, {})

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as url:
        yield url


@contextmanager
def serving() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def named(url: str, data: bytes = BODY, size: int = -1) -> Content:
    return Content(hashlib.sha256(data).hexdigest(), size, url=url)


@pytest.mark.parametrize("name", ["good", "nolength", "moved"])
def test_what_is_fetched_is_private_complete_and_gone_afterwards(server: str, tmp_path: Path, name: str) -> None:
    with LocalHost(state_dir=str(tmp_path)).fetch(named(f"{server}/{name}"), "x.deb") as path:
        assert Path(path).name == "x.deb"
        assert Path(path).read_bytes() == BODY
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert not os.path.exists(os.path.dirname(path))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "the server says 404"),
        ("short", "the server sent 15000 of 15001 bytes"),
        ("around", "redirect"),
        ("away", "'file:///etc/shadow' is not allowed"),
        ("plainer", "it redirects to ftp://127.0.0.1/x, which is not as safe"),
        ("slow", r"it took longer than 0\.3 s"),
        ("silent", "timed out"),
        ("endless", "more than the 2000000 bytes allowed"),
        ("huge", "more than the 2000000 allowed"),
    ],
)
def test_a_bad_server_is_named_and_leaves_nothing(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr(downloads, "LARGEST", 2_000_000)
    monkeypatch.setattr(downloads, "LONGEST_SECONDS", 0.3)
    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 0.3)
    host = LocalHost(state_dir=str(tmp_path))
    resource = File(path=f"{tmp_path}/file", source=named(f"{server}/{name}"), checksum=named("").digest)
    with pytest.raises(ResourceError, match=said) as caught:
        converge(resource, host)
    assert f"{server}/{name}" in str(caught.value)
    with pytest.raises(ResourceError, match=said), host.fetch(named(f"{server}/{name}"), "x"):
        pass
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == []


def test_another_content_than_git_names_is_never_seen(server: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    wrong = hashlib.sha256(b"wrong").hexdigest()
    resource = File(path=str(path), source=Content("", -1, url=f"{server}/good"), checksum=wrong)
    with pytest.raises(ResourceError, match=f"its sha256 is {named('').digest}, not {wrong}"):
        converge(resource, LocalHost())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(ResourceError, match="not what Git names"):
        list(LocalHost().stream(named(f"{server}/good", size=5)))


def test_a_file_from_a_url_converges_and_is_not_fetched_again(tmp_path: Path) -> None:
    resource = File(path=f"{tmp_path}/file", checksum=named("").digest)
    with serving() as url:
        converge(
            File(path=resource.path, source=Content("", -1, url=f"{url}/good"), checksum=resource.checksum), LocalHost()
        )
    assert Path(resource.path).read_bytes() == BODY
    gone = File(path=resource.path, source=Content("", -1, url=f"{url}/good"), checksum=resource.checksum)
    assert drift_of(gone, LocalHost()) == {}, "what is in sync needs no server"


def test_no_proxy_of_the_environment_is_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    downloads._opener.cache_clear()
    assert b"".join(LocalHost().stream(named(f"{server}/good"))) == BODY


def test_a_large_content_is_never_held_in_memory(server: str, tmp_path: Path) -> None:
    zeros = hashlib.sha256(b"0" * (64 << 20)).hexdigest()
    tracemalloc.start()
    try:
        converge(File(path=f"{tmp_path}/f", source=Content("", -1, url=f"{server}/large"), checksum=zeros), LocalHost())
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert os.path.getsize(f"{tmp_path}/f") == 64 << 20


def test_a_file_url_is_read_in_the_root_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "a b").write_bytes(BODY)
    host = LocalHost(root=str(tmp_path))
    converge(File(path="/copy", source=Content("", -1, url="file:///srv/a%20b"), checksum=named("").digest), host)
    assert (tmp_path / "copy").read_bytes() == BODY
    assert local_path("https://example.com/x") == ""
    for url in ("file://elsewhere/x", "file:x"):
        with pytest.raises(ResourceError, match="file:///PATH"):
            local_path(url)
    with pytest.raises(ResourceError, match="scheme"):
        list(host.stream(named("ftp://127.0.0.1/x")))


def test_what_a_killed_pass_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / "fetched" / "fetched-old"
    left.mkdir(parents=True)
    (left / "x").touch()
    (tmp_path / "x").touch()
    empty = Content(hashlib.sha256(b"").hexdigest(), 0, url=f"file://{tmp_path}/x")
    with LocalHost(state_dir=str(tmp_path)).fetch(empty, "x"):
        assert not left.exists()
