"""Real mounts for tests, made and taken away by system calls; they need root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BIND = 4096
_DETACH = 2

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="missing: root")


@contextmanager
def small_disk(at: Path, size: str = "1m") -> Iterator[Path]:
    """A file system of its own, of a limited size, mounted on a directory that is made if need be."""
    at.mkdir(exist_ok=True)
    with _mounted("tmpfs", at, "tmpfs", 0, f"size={size}"):
        yield at


@contextmanager
def bound(source: Path, at: Path) -> Iterator[Path]:
    """A file or directory shown at another path, as container engines do with /etc/hosts."""
    with _mounted(str(source), at, "none", _BIND, ""):
        yield at


@contextmanager
def _mounted(source: str, at: Path, kind: str, flags: int, options: str) -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), os.fsencode(at), kind.encode(), flags, options.encode()):
        pytest.skip(f"missing: the right to mount ({os.strerror(ctypes.get_errno())})")
    try:
        yield
    finally:
        assert libc.umount2(os.fsencode(at), _DETACH) == 0, os.strerror(ctypes.get_errno())
