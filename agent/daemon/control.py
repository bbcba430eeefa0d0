"""The control socket: root asks for a pass and watches it. One JSON object a line, both ways."""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

MAX_REQUEST = 4096
MAX_BACKLOG = 1 << 20  # bytes a client may lag behind before it is dropped
MAX_CLIENTS = 16


def listen(path: str) -> socket.socket:
    """Open the socket, for its owner alone from its first instant. Raises OSError."""
    if os.path.lexists(path):
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


class Client:
    """One connection; what it cannot take at once is kept, up to a bound."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._received = b""
        self._unsent = b""
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
        if not chunk or len(self._received) > MAX_REQUEST:
            raise ConnectionError("the client is gone, or its request is too long")
        if b"\n" not in self._received:
            return None
        try:
            found = json.loads(self._received.partition(b"\n")[0])
        except ValueError as error:
            raise ConnectionError("the request is not JSON") from error
        self._received = b""
        return found if isinstance(found, dict) else {}

    def send(self, event: dict[str, Any]) -> None:
        """Send an event, or keep it until the client takes it. Raises ConnectionError for a client that lags too far."""
        self._unsent += json.dumps(event).encode() + b"\n"
        if len(self._unsent) > MAX_BACKLOG:
            raise ConnectionError("the client does not read")
        self.flush()

    def flush(self) -> None:
        """Send what is kept, as far as the client takes it. Raises OSError when it is gone."""
        try:
            sent = self._connection.send(self._unsent)
            self._unsent = self._unsent[sent:]
        except BlockingIOError:
            return

    @property
    def lagging(self) -> bool:
        """Tell whether something is kept for it."""
        return bool(self._unsent)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
