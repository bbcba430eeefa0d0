"""All that is below a directory, by descriptors: no link is followed, and no other file system is entered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from agent.host.status import as_stat
from modules.api import ResourceError, Stat

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 256  # levels, each of which holds a descriptor


def below(
    descriptor: int, skip: Callable[[str], bool], inside: str = "", levels: int = _DEEPEST
) -> Iterator[tuple[str, Stat]]:
    """The relative path and status of each thing below an open directory, which is closed; a directory comes before its own.

    What `skip` says of a path is left out with all that is below it. Raises OSError, or ResourceError.
    """
    try:
        device = os.fstat(descriptor).st_dev
        for name in sorted(os.listdir(descriptor)):
            path = f"{inside}{name}"
            if skip(path):
                continue
            try:
                found = as_stat(os.stat(name, dir_fd=descriptor, follow_symlinks=False))
                if found.device != device:
                    continue
                yield path, found
                if found.type == "directory":
                    yield from _deeper(descriptor, name, skip, path, levels - 1)
            except (FileNotFoundError, NotADirectoryError):
                continue  # it went, or became something else, while others were looked at
    finally:
        os.close(descriptor)


def _deeper(parent: int, name: str, skip: Callable[[str], bool], path: str, levels: int) -> Iterator[tuple[str, Stat]]:
    if not levels:
        raise ResourceError(f"{path} lies more than {_DEEPEST} directories deep; move it, or name a directory below")
    yield from below(os.open(name, _OPEN, dir_fd=parent), skip, f"{path}/", levels)
