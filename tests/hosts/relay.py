"""A TCP relay to a server, which counts bytes, and can stop in the middle of an answer and keep the connection open."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator


class Relay:
    """Passes bytes both ways on loopback; after `allowed` bytes of answers it passes no more, and says so by `stalled`."""

    def __init__(self, target: int, allowed: int = 1 << 40) -> None:
        self._target, self._left = target, allowed
        self.asked = self.answered = 0  # bytes to the server and from it
        self._server = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = int(self._server.getsockname()[1])
        self.stalled = threading.Event()
        self._ended = threading.Event()

    def _serve(self) -> None:
        self._server.settimeout(0.05)
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._server.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._target))
        with contextlib.suppress(OSError), client, server:  # either side may leave at any time
            while not self._ended.is_set():
                for side in select.select([client, server], [], [], 0.05)[0]:
                    data = side.recv(1 << 12)
                    if not data:
                        return
                    if side is server:
                        data = self._admit(data)
                        self.answered += len(data)
                    else:
                        self.asked += len(data)
                    (client if side is server else server).sendall(data)

    def _admit(self, data: bytes) -> bytes:
        passed = data[: max(self._left, 0)]
        self._left -= len(passed)
        if len(passed) < len(data):
            self.stalled.set()
            self._ended.wait(60)
        return passed

    @contextlib.contextmanager
    def running(self) -> Iterator[Relay]:
        """Serve while the block runs."""
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join(10)
            self._server.close()
