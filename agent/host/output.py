"""What a command prints: kept within a limit, and read without waiting for its grandchildren."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable
from typing import Self

_CHUNK = 1 << 16  # bytes
_LOOK_SECONDS = 0.1  # how often a command whose output stays open is looked at
_LINGER_SECONDS = 0.5  # how long output is read once the command ended: a grandchild may hold it open for ever


class Output:
    """One stream: all of it up to about `keep` bytes, else its head and its tail."""

    def __init__(self, keep: int) -> None:
        self.lost = 0  # bytes left out between the two
        self._half = keep // 2
        self._head = bytearray()
        self._tail = bytearray()

    @classmethod
    def of_file(cls, descriptor: int, keep: int) -> Self:
        """What a file holds, from its start."""
        output = cls(keep)
        offset = 0
        while chunk := os.pread(descriptor, _CHUNK, offset):
            output.add(chunk)
            offset += len(chunk)
        return output

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * self._half:
            self.lost += len(self._tail) - self._half
            del self._tail[: -self._half]

    def data(self) -> bytes:
        """The bytes that were kept."""
        return bytes(self._head + self._tail)

    def text(self) -> str:
        """All that was kept, decoded; what was left out is said between head and tail."""
        gap = f"\n[... {self.lost} bytes left out ...]\n".encode() if self.lost else b""
        return (self._head + gap + self._tail).decode("utf-8", "replace")


def drain(
    process: subprocess.Popen[bytes], streams: tuple[Output, Output], deadline: float, impatient: Callable[[], bool]
) -> bool:
    """Read both streams of a process until it has ended; False when the deadline (monotonic clock) or impatience came first."""
    ended = False
    with selectors.DefaultSelector() as selector:
        for stream, output in zip((process.stdout, process.stderr), streams, strict=True):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, output)
        while selector.get_map():
            if not ended and process.poll() is not None:
                ended, deadline = True, min(deadline, time.monotonic() + _LINGER_SECONDS)
            if time.monotonic() >= deadline or (not ended and impatient()):
                return ended
            for key, _ in selector.select(_LOOK_SECONDS):
                if chunk := os.read(key.fd, _CHUNK):
                    key.data.add(chunk)
                else:
                    selector.unregister(key.fileobj)
    try:
        process.wait(max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        return False
    return True
