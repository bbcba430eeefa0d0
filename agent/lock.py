"""One pass at a time: a lock that the kernel drops when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from agent.errors import StateUnusable

WAIT_SECONDS = 60.0


@contextlib.contextmanager
def held(path: str, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock while the body runs. Raises StateUnusable, naming the holder, when it is not free in time."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _take(descriptor, path, time.monotonic() + wait_seconds)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace") or "unknown"
                raise StateUnusable(f"another pass holds {path} (process {holder})", "wait for it to end") from None
            time.sleep(0.1)
        else:
            return
