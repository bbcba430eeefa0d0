"""Waiting for another package manager: who holds its lock is known from the kernel, and how long it took is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from modules.api import Host, HostView, ResourceError
from modules.package_backend import LOCK_TIMEOUT_SECONDS

_LOCKS = "/proc/locks"


@dataclass(frozen=True)
class Holder:
    """A process, and what it holds."""

    process: str
    name: str
    lock: str

    def __str__(self) -> str:
        """As an admin looks for it."""
        return f"{self.name} (pid {self.process})"


def writer_of(host: HostView, paths: Collection[str]) -> Holder | None:
    """A process that has one of these files locked for writing; None when there is none, or in another root."""
    files = host.files
    inodes = {found.inode: path for path in paths if (found := files.lstat(path))}
    if not inodes or files.lstat(_LOCKS) is None:
        return None
    for line in files.read(_LOCKS).decode().splitlines():
        _, _, _, access, process, place, *_ = line.split()  # proc_locks(5); one that waits has a word more before
        lock = inodes.get(int(place.rpartition(":")[2])) if access == "WRITE" else None
        if lock:
            return Holder(process, _name(host, process), lock)
    return None


class Waiting:
    """The patience of one command: what is left of it, and whom it was spent on."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._left = float(LOCK_TIMEOUT_SECONDS)
        self._holder: Holder | None = None

    def until_free(self, paths: Collection[str]) -> None:
        """Wait while somebody holds one of the locks. Raises ResourceError, who it is, when it takes too long."""
        while (holder := writer_of(self._host, paths)) is not None:
            self.until(lambda: writer_of(self._host, paths) != holder, holder)

    def until_ended(self, process: str, name: str, lock: str) -> None:
        """Wait while a process runs. Raises ResourceError when that takes too long."""
        self.until(lambda: self._host.files.lstat(f"/proc/{process}") is None, Holder(process, name, lock))

    def until(self, over: Callable[[], bool], holder: Holder) -> None:
        """Wait until somebody no longer stands in the way. Raises ResourceError when that takes too long."""
        self._holder = holder
        started = time.monotonic()
        ended = self._host.wait_until(over, max(self._left, 0))
        self._left -= time.monotonic() - started
        if not ended or self._left < 0:
            raise held_for_long(holder)

    def tell(self) -> None:
        """Say how long it was, if it was."""
        if self._holder is not None:
            seconds = max(round(LOCK_TIMEOUT_SECONDS - self._left), 1)
            self._host.note(f"waited {seconds} s for {self._holder}, which held {self._holder.lock}")
            self._holder = None


def held_for_long(holder: Holder) -> ResourceError:
    """The error that names who holds a lock that was waited for in vain."""
    return ResourceError(
        f"another package manager is at work: {holder} holds {holder.lock}; this pass waited, "
        f"the next one tries again (look at `ps -fp {holder.process}` if it never ends)"
    )


def _name(host: HostView, process: str) -> str:
    path = f"/proc/{process}/comm"
    return host.files.read(path).decode().strip() if host.files.lstat(path) else "somebody"
