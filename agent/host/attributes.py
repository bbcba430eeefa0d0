"""Owner and mode of what stands at a path, changed through a descriptor: never through a link, or by a planted name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from agent.host.walk import Directory
from modules.api import ResourceError

_OPEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_GUARD = "/proc/sys/fs/protected_hardlinks"  # proc(5): 1 keeps users from linking to files they may not write


def set_owner(directory: Directory, path: str, uid: int, gid: int) -> None:
    """Own the entry at `path`, which lies in `directory`; -1 leaves one of them. Raises OSError, ResourceError."""
    with _opened(directory, path) as (itself, _):
        os.chown(itself, uid, gid)


def set_mode(directory: Directory, path: str, mode: int) -> None:
    """Set the permission bits of the file or directory at `path`, which lies in `directory`. Raises as above."""
    with _opened(directory, path) as (itself, shown):
        if stat.S_ISLNK(shown.st_mode):
            raise ResourceError(f"cannot change the mode of {path}: it is a link, and a link has none of its own")
        os.chmod(itself, mode)


@contextmanager
def _opened(directory: Directory, path: str) -> Iterator[tuple[str, os.stat_result]]:
    """A name of the entry that nothing can be swapped behind, and its status."""
    name = os.path.basename(path) or "."
    descriptor = os.open(name, _OPEN, dir_fd=directory.descriptor)
    try:
        shown = os.fstat(descriptor)
        if stat.S_ISREG(shown.st_mode) and shown.st_nlink > 1 and directory.writable_by_others and not _guarded():
            raise ResourceError(
                f"{path} has {shown.st_nlink} hard links in a directory that others may write to, so it may be somebody "
                f"else's file; left as it is: remove it, or set the sysctl fs.protected_hardlinks to 1"
            )
        yield f"/proc/self/fd/{descriptor}", shown
    finally:
        os.close(descriptor)


def _guarded() -> bool:
    try:
        with open(_GUARD, encoding="ascii") as setting:
            return setting.read().strip() == "1"
    except OSError:
        return False  # what cannot be seen to be guarded is not
