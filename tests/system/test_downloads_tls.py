"""Downloads over TLS: the system's certificates are trusted, and nobody else's."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.host import LocalHost, downloads
from modules.api import Content, ResourceError

BODY = b"over TLS"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        down = self.path == "/down"
        self.send_response(302 if down else 200)
        if down:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of its own authority for 127.0.0.1, with its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    wanted = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", *wanted.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as serving:
        serving.socket = context.wrap_socket(serving.socket, server_side=True)
        threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"https://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    downloads._opener.cache_clear()
    yield
    downloads._opener.cache_clear()


def fetched(url: str) -> bytes:
    return b"".join(LocalHost().stream(Content(hashlib.sha256(BODY).hexdigest(), -1, url=url)))


def test_a_stranger_is_not_trusted(server: str) -> None:
    with pytest.raises(ResourceError, match="certificate verify failed"):
        fetched(f"{server}/")


def test_what_the_system_trusts_is(server: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    assert fetched(f"{server}/") == BODY
    with pytest.raises(ResourceError, match=r"verify failed.*mismatch"):
        fetched(server.replace("127.0.0.1", "localhost") + "/")
    with pytest.raises(ResourceError, match=r"it redirects to http://.*, which is not as safe"):
        fetched(f"{server}/down")
