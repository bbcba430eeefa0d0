"""The control socket: root asks for a pass and watches it. One JSON object a line, both ways."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from typing import Any

from agent.errors import ConfigInvalid

MAX_REQUEST = 4096
MAX_BACKLOG = 1 << 20  # bytes a client may lag behind before it is dropped
MAX_CLIENTS = 16
ASK_SECONDS = 10.0  # to send a request, and to take in what is left when its pass has ended


def listen(path: str) -> socket.socket:
    """Open the socket, for its owner alone from its first instant. Raises OSError, and ConfigInvalid if it is in use."""
    if os.path.lexists(path):
        _refuse_second(path)
        os.unlink(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        server.bind(path)
    finally:
        os.umask(before)
    server.listen(MAX_CLIENTS)
    server.setblocking(False)
    return server


def _refuse_second(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        if connection.connect_ex(path) == 0:  # it fails on what a daemon that was killed leaves
            raise ConfigInvalid(f"another daemon answers on {path}", "stop that one first: a host needs only one")


class Client:
    """One connection; what it cannot take at once is kept, up to a bound."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._received = b""
        self._unsent = b""
        self._since = time.monotonic()
        self.closed = False
        self.leaving = False  # the last event was sent
        self.waiting = False  # it asked for a pass
        self.watching = False  # the pass that runs is the one it asked for, or a later one

    def fileno(self) -> int:
        """For a selector."""
        return self._connection.fileno()

    @property
    def allowed(self) -> bool:
        """Tell whether the peer is root, or who we are."""
        credentials = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return struct.unpack("3i", credentials)[1] in (0, os.geteuid())

    def request(self) -> dict[str, Any] | None:
        """Take in a request: None while it is not complete. Raises ConnectionError when the client is gone or talks nonsense."""
        chunk = self._connection.recv(MAX_REQUEST)
        self._received += chunk
        if not chunk:
            raise ConnectionError("the client is gone")
        line, ended, _ = self._received.partition(b"\n")
        self._received = b"" if ended else line  # what comes after a request is nothing that we wait for
        if len(line) > MAX_REQUEST:
            raise ConnectionError("the request is too long")
        if not ended:
            return None
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConnectionError("the request is not JSON") from error
        return found if isinstance(found, dict) else {}

    def send(self, event: dict[str, Any], *, last: bool = False) -> None:
        """Send an event, or keep it until the client takes it. Raises OSError for a client that is gone or lags too far."""
        self._unsent += json.dumps(event).encode() + b"\n"
        if len(self._unsent) > MAX_BACKLOG:
            raise ConnectionError("the client does not read")
        self.leaving, self._since = last, time.monotonic()
        self.flush()

    def flush(self) -> None:
        """Send what is kept, as far as the client takes it. Raises OSError when it is gone."""
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self._connection.send(self._unsent) :]

    @property
    def lagging(self) -> bool:
        """Tell whether something is kept for it."""
        return bool(self._unsent)

    def seconds_left(self) -> float | None:
        """How long it may still do nothing: to ask, and to take its last event in. None while it waits for a pass."""
        idle = self.leaving or not self.waiting
        return max(0.0, self._since + ASK_SECONDS - time.monotonic()) if idle else None

    def close(self) -> None:
        """End the connection."""
        self.closed = True
        self._connection.close()
