"""A container engine's HTTP server on a Unix socket, that answers as a test says and remembers what it was asked."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from agent.host.engine import open_engine
from agent.host.engine_choice import EngineChoice
from modules.api import Engine

Answer = tuple[int, object]  # status; JSON, or bytes as they are


@dataclass
class Daemon:
    """What the server answers and what it was asked; `HANG` as an answer says nothing for a while."""

    address: str
    api: str = "1.41"
    is_podman: bool = False
    answers: dict[str, Answer | Callable[[], Answer]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)


HANG = (0, "hang")


def opened(address: str, **choice: str) -> Engine:
    """The engine at an address."""
    return open_engine(EngineChoice(address, **choice))


class Handler(BaseHTTPRequestHandler):
    daemon: Daemon
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.daemon.bodies.append(json.loads(body) if body else None)
        self.daemon.asked.append((f"{self.command} {url.path}", parse_qs(url.query)))
        default: Answer = (200, "OK") if url.path == "/_ping" else (404, {"message": "no such thing"})
        found = self.daemon.answers.get(f"{self.command} {url.path}", default)
        status, content = found() if callable(found) else found
        if (status, content) == HANG:
            time.sleep(1)
            return
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Api-Version", self.daemon.api)
        if self.daemon.is_podman:
            self.send_header("Libpod-Api-Version", "5.4.2")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer  # the names that the library asks for

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serving() -> Iterator[Daemon]:
    """A server for as long as it is wanted; the socket's path is short, as it must be."""
    folder = tempfile.mkdtemp(dir="/tmp")
    path = os.path.join(folder, "docker.sock")
    known = Daemon(f"unix://{path}")
    server = Server(path, type("Bound", (Handler,), {"daemon": known}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        shutil.rmtree(folder)
