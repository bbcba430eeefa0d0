"""What lstat says of an entry of an open directory, in the words of the module interface."""

from __future__ import annotations

import os
import stat

from agent.host.walk import Directory
from modules.api import Stat

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "char",
}


def status_of(directory: Directory, name: str) -> Stat:
    """The status of the entry itself, a link not followed. Raises OSError."""
    return as_stat(os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False))


def status_or_none(directory: Directory, name: str) -> Stat | None:
    """As `status_of`; None when nothing is there."""
    try:
        return status_of(directory, name)
    except FileNotFoundError:
        return None


def as_stat(shown: os.stat_result) -> Stat:
    """The operating system's answer, as modules see it."""
    return Stat(
        _TYPES[stat.S_IFMT(shown.st_mode)],
        stat.S_IMODE(shown.st_mode),
        shown.st_uid,
        shown.st_gid,
        shown.st_size,
        shown.st_dev,
        shown.st_ino,
        shown.st_nlink,
        shown.st_mtime_ns,
        shown.st_ctime_ns,
    )
