"""Taking directories and leftovers away, by descriptors: nothing outside is reached, through a link or a mount."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress

from agent.host.walk import Directory
from modules.api import ResourceError

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 256  # levels, each of which holds a descriptor
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


def remove_empty(directory: Directory, path: str) -> None:
    """Remove the empty directory at `path`, which lies in `directory`. Raises OSError, or ResourceError."""
    name = os.path.basename(path)
    try:
        os.rmdir(name, dir_fd=directory.descriptor)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
        inside = _some_names(directory.descriptor, name)
        raise ResourceError(
            f"{path} is not empty ({inside}); left as it is; remove what is in it, or set force: true"
        ) from error


def remove_tree(directory: Directory, path: str) -> None:
    """Remove the directory at `path` with all in it; refused while anything is mounted there. Raises as above."""
    name = os.path.basename(path)
    real = os.path.join(os.readlink(f"/proc/self/fd/{directory.descriptor}"), name)
    for mount in mount_points():
        if mount == real or mount.startswith(f"{real}/"):
            raise ResourceError(f"cannot remove {path}: {mount} is a mount point; unmount it first")
    _empty(directory.descriptor, name, directory.device, _DEEPEST)
    os.rmdir(name, dir_fd=directory.descriptor)


def remove_leftover(directory: Directory, temporary: str) -> None:
    """Remove what an interrupted change left under its temporary name; nothing there is fine."""
    with suppress(FileNotFoundError):
        shown = os.stat(temporary, dir_fd=directory.descriptor, follow_symlinks=False)
        if not stat.S_ISDIR(shown.st_mode):
            os.unlink(temporary, dir_fd=directory.descriptor)
            return
        try:
            os.rmdir(temporary, dir_fd=directory.descriptor)
        except OSError as error:
            raise ResourceError(
                f"{directory.path}/{temporary} is a directory the agent did not make; remove or rename it"
            ) from error


def mount_points() -> list[str]:
    """Where anything is mounted, as paths of this process (proc(5), mountinfo, fifth field)."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return [re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split(" ")[4]) for line in lines]


def _empty(parent: int, name: str, device: int, levels: int) -> None:
    if not levels:
        raise ResourceError(f"cannot remove {name}: it lies more than {_DEEPEST} directories deep; remove it by hand")
    descriptor = os.open(name, _OPEN, dir_fd=parent)
    try:
        if os.fstat(descriptor).st_dev != device:
            raise ResourceError(f"cannot remove {name}: it is on another file system; unmount it first")
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _empty(descriptor, entry.name, device, levels - 1)
                    os.rmdir(entry.name, dir_fd=descriptor)
                else:
                    os.unlink(entry.name, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _some_names(parent: int, name: str) -> str:
    descriptor = os.open(name, _OPEN, dir_fd=parent)
    try:
        names = sorted(os.listdir(descriptor))
    finally:
        os.close(descriptor)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
