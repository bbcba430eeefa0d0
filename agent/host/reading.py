"""The bytes of an open file, in parts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from modules.api import ResourceError


def contents(path: str, descriptor: int, most: int) -> Iterator[bytes]:
    """The bytes of an open regular file; a small one in one read, its end known from its size."""
    shown = os.fstat(descriptor)
    if not stat.S_ISREG(shown.st_mode):
        raise ResourceError(f"cannot read {path}: it is not a regular file")
    ask = max(min(shown.st_size, most) + 1, 4096)
    chunk = os.read(descriptor, ask)
    yield chunk
    if len(chunk) == shown.st_size:
        return
    while chunk := os.read(descriptor, ask):
        yield chunk
