"""Git for tests: a repository to commit to, and real servers for it over HTTP(S) and SSH, and one that never answers."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.hosts.network import Server, local_path

_BLANK = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Operations", "GIT_AUTHOR_EMAIL": "ops@example.com",
    "GIT_COMMITTER_NAME": "Operations", "GIT_COMMITTER_EMAIL": "ops@example.com",
}  # fmt: skip


class GitRepository:
    """A bare repository `NAME.git` in a directory, and commits to its branch main."""

    def __init__(self, directory: Path, name: str = "fleet") -> None:
        self.bare = directory / f"{name}.git"
        self._work = directory / f"{name}.work"
        self._work.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.bare)], check=True, env=_environment())
        self._git("init", "-q", "-b", "main", ".")
        self._git("remote", "add", "origin", str(self.bare))

    def commit(self, files: Mapping[str, str | bytes | None], message: str = "change") -> str:
        """Write files (None removes one), commit and push them; the commit's id."""
        for path, content in files.items():
            target = self._work / path
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return self._push(message)

    def copy(self, source: Path, message: str = "first") -> str:
        """Commit and push a copy of a directory."""
        subprocess.run(["cp", "-a", f"{source}/.", str(self._work)], check=True)
        return self._push(message)

    def rewrite(self, message: str = "another history") -> str:
        """Replace the branch by a history that does not contain it."""
        self._git("checkout", "-q", "--orphan", "other")
        self._git("commit", "-q", "--allow-empty", "-m", message)
        self._git("branch", "-M", "main")
        self._git("push", "-q", "--force", "origin", "main")
        return self.head()

    def head(self) -> str:
        """The id of the newest commit."""
        return self._git("rev-parse", "HEAD")

    def _push(self, message: str) -> str:
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", message)
        self._git("push", "-q", "origin", "main")
        return self.head()

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self._work), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=_environment()).stdout.strip()


def _environment() -> dict[str, str]:
    return {**os.environ, **_BLANK}


@dataclass
class Log:
    """What a server was asked."""

    requests: list[str] = field(default_factory=list)
    sent: int = 0  # bytes of bodies

    @property
    def downloads(self) -> int:
        """How many packs were asked for."""
        return sum(request.startswith("POST") and "git-upload-pack" in request for request in self.requests)


@dataclass(frozen=True)
class HttpServer:
    """A running server."""

    port: int
    log: Log
    scheme: str

    def url(self, name: str = "fleet") -> str:
        """The URL of a repository."""
        return f"{self.scheme}://127.0.0.1:{self.port}/{name}.git"


class GitHandler(BaseHTTPRequestHandler):
    """Answers with what git-http-backend says; a server of it sets what it serves and to whom."""

    protocol_version = "HTTP/1.1"
    directory: Path
    wanted: str  # the Authorization header, empty for everybody
    log: Log

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.log.requests.append(f"{self.command} {self.path}")
        if self.wanted and self.headers.get("Authorization") != self.wanted:
            self._answer(401, [("WWW-Authenticate", 'Basic realm="tests"')], b"")
            return
        head, _, data = self._backend(body).partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self._answer(status, [(name, value) for name, value in headers if name != "Status"], data)

    do_POST = do_GET

    def _backend(self, body: bytes) -> bytes:
        environment = {
            **_environment(),
            "GIT_PROJECT_ROOT": str(self.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": local_path(self.path),
            "QUERY_STRING": self.path.partition("?")[2],
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        command = ["git", "http-backend"]
        return subprocess.run(command, input=body, env=environment, capture_output=True, check=False).stdout

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.log.sent += len(data)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def http_server(
    directory: Path, *, pid: int | None = None, port: int = 0, login: str = "", tls: ssl.SSLContext | None = None
) -> Iterator[HttpServer]:
    """Serve the bare repositories of a directory; `login` is `user:password`, `pid` a process of a test host."""
    log = Log()
    wanted = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
    handler = type("Bound", (GitHandler,), {"directory": directory, "wanted": wanted, "log": log})
    with Server(handler, pid=pid, port=port, tls=tls) as server:
        yield HttpServer(server.port, log, "https" if tls else "http")


def private_ca(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 and localhost that nobody trusts by itself: its file, and a server's context for it."""
    certificate, key = directory / "ca.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


@dataclass(frozen=True)
class SshServer:
    """A running sshd and what a client needs for it."""

    port: int
    key: Path
    stranger: Path  # a key that it does not know
    known_hosts: Path

    def url(self, path: Path) -> str:
        """The URL of a repository."""
        return f"ssh://root@127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def ssh_server(directory: Path) -> Iterator[SshServer]:
    """Run an sshd of our own on loopback, with keys of its own."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("host", "client", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (directory / "authorized").write_text((directory / "client.pub").read_text())
    config = f"""Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host
AuthorizedKeysFile {directory}/authorized
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
"""
    (directory / "sshd_config").write_text(config)
    Path("/run/sshd").mkdir(exist_ok=True)
    command = ["/usr/sbin/sshd", "-D", "-f", str(directory / "sshd_config"), "-E", str(directory / "log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _await_port(port)
        kind, key = (directory / "host.pub").read_text().split()[:2]
        (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
        yield SshServer(port, directory / "client", directory / "stranger", directory / "known_hosts")
    finally:
        process.terminate()
        process.wait(10)


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


@contextlib.contextmanager
def dead_server() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server.getsockname()[1]
