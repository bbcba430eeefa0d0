"""What was written, safe from a power cut: a few entries one by one, many by their whole file system."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from agent.host.failures import failure
from agent.host.walk import Directory, Walk
from modules.api import ResourceError

_FEW = 8  # up to here, flushing each alone is cheaper than flushing all that the file system holds back
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_Sync = Callable[[int], None]


def flush(walk: Walk, paths: Sequence[str]) -> list[ResourceError | None]:
    """Flush the file or directory at each path; one result for each, in order."""
    sync = None if len(paths) <= _FEW else _syncfs()
    if sync is None:
        return [_attempt(walk, path, _flush_one) for path in paths]
    done: dict[int, ResourceError | None] = {}
    return [_once(walk, path, sync, done) for path in paths]


def _once(walk: Walk, path: str, sync: _Sync, done: dict[int, ResourceError | None]) -> ResourceError | None:
    """Flush the file system that `path` is on, unless `done` says that it was."""
    try:
        directory, _ = walk.locate(path)
    except OSError as error:
        return failure("flush", path, error)
    except ResourceError as error:
        return error
    if directory.device not in done:
        done[directory.device] = _attempt(walk, path, lambda here, _: _flush_system(here, sync))
    return done[directory.device]


def _attempt(walk: Walk, path: str, act: Callable[[Directory, str], None]) -> ResourceError | None:
    try:
        act(*walk.locate(path))
    except OSError as error:
        return failure("flush", path, error)
    except ResourceError as error:
        return error
    return None


def _flush_one(directory: Directory, name: str) -> None:
    descriptor = _open(directory, name)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(directory: Directory, name: str) -> int:
    with suppress(PermissionError):
        return os.open(name, os.O_RDONLY | _OPEN, dir_fd=directory.descriptor)
    return os.open(name, os.O_WRONLY | _OPEN, dir_fd=directory.descriptor)  # one's own file need not be readable


def _flush_system(directory: Directory, sync: _Sync) -> None:
    descriptor = directory.reopen()
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def _syncfs() -> _Sync | None:
    """The system call syncfs(2), which Python has no name for; None when the C library has not either."""
    try:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (ImportError, OSError, AttributeError):
        return None

    def sync(descriptor: int) -> None:
        if call(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return sync
