"""Sockets inside another network namespace: servers run here, and only the test host can reach them."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import socketserver
import threading
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_CLONE_NEWNET = 0x40000000


def socket_inside(pid: int) -> socket.socket:
    """A TCP socket that belongs to the network namespace of a process: made by a child that enters it, and handed over."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) == 0:
                    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                    socket.send_fds(theirs, [b"x"], [made.fileno()])
                    status = 0
        finally:
            os._exit(status)
    os.waitpid(child, 0)
    theirs.close()
    with ours:
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    if not descriptors:
        raise RuntimeError(f"the network namespace of process {pid} cannot be entered")
    return socket.socket(fileno=descriptors[0])


class Server:
    """An HTTP server in a thread, on loopback of this machine or of a test host; ends with its `with` block."""

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], *, pid: int | None = None, port: int = 0, tls: Any = None
    ) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler, bind_and_activate=False)
        self._server.daemon_threads = True
        if pid is not None:
            self._server.socket.close()
            self._server.socket = socket_inside(pid)
            self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.server_address = ("127.0.0.1", port)
        self._server.server_bind = lambda: socketserver.TCPServer.server_bind(self._server)  # type: ignore[method-assign]
        self._server.server_bind()
        self._server.server_activate()
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class Proxy(BaseHTTPRequestHandler):
    """A forward proxy through which a test host without a network of its own reaches the package archive."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() in ("range", "if-modified-since", "if-range")
        }
        try:
            with urllib.request.urlopen(urllib.request.Request(self.path, headers=headers), timeout=60) as answer:
                self._answer(answer.status, answer.headers, answer)
        except urllib.error.HTTPError as error:
            with error:
                self._answer(error.code, error.headers, error)
        except OSError as error:
            self.send_error(502, str(error)[:100])

    def _answer(self, status: int, headers: Any, body: Any) -> None:
        data = body.read()
        self.send_response(status)
        for name in ("Content-Type", "Last-Modified", "Content-Range"):
            if headers.get(name):
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if status != 304:
            self.wfile.write(data)

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as there:
            self.send_response(200)
            self.end_headers()
            pair = {self.connection: there, there: self.connection}
            while ready := select.select(list(pair), [], [], 60)[0]:
                for side in ready:
                    data = side.recv(1 << 16)
                    if not data:
                        return
                    pair[side].sendall(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def local_path(path: str) -> str:
    """The path part of a request target, decoded."""
    return urllib.parse.unquote(urllib.parse.urlsplit(path).path)
