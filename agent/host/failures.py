"""What the operating system refused, in words that say what to do next."""

from __future__ import annotations

import errno
import os

from modules.api import ResourceError

_HINTS = {
    errno.EACCES: "run as root, or choose a path that this user may write",
    errno.EROFS: "its file system is mounted read-only; remount it, or declare a path elsewhere",
    errno.EBUSY: "it is a mount point or in use; unmount it first",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EIO: "the disk or its driver failed; see the kernel's log (journalctl -k)",
    errno.EMFILE: "the limit of open files is reached; raise LimitNOFILE",
    errno.ELOOP: "it is a link, and links are not followed here",
}


def failure(action: str, path: str, error: OSError) -> ResourceError:
    """`action` completes "cannot ...", such as "read"; the path is the one in the host's root."""
    hint = _HINTS.get(error.errno or 0, "")
    if error.errno == errno.EPERM:
        hint = (
            "only root may; run as root" if os.geteuid() else "it may be immutable (lsattr shows it), or be held back"
        )
    reason = (error.strerror or str(error)).lower()
    return ResourceError(f"cannot {action} {path}: {reason}" + (f"; {hint}" if hint else ""))


def missing_parent(path: str, error: OSError) -> ResourceError:
    """The directory that `path` should lie in is not there, or something else stands in its way."""
    parent = os.path.dirname(path)
    if isinstance(error, NotADirectoryError):
        return ResourceError(
            f"{error.filename or parent} is not a directory, so {path} cannot be in it; remove it first"
        )
    return ResourceError(f"parent directory {parent} does not exist; declare directory:{parent}")


def write_failure(path: str, size: int, directory: int, error: OSError) -> ResourceError:
    """A write of `size` bytes (-1: nobody knows how many) beside `path` failed; `directory` is open and beside it too."""
    needed = "more bytes" if size < 0 else f"{size} bytes"
    if error.errno == errno.EDQUOT:
        return ResourceError(f"cannot write {path}: the disk quota is used up; {needed} are needed; free some")
    if error.errno != errno.ENOSPC:
        return failure("write", path, error)
    space = os.fstatvfs(directory)
    where = _mount_point(os.readlink(f"/proc/self/fd/{directory}"))
    if space.f_files and not space.f_favail:
        return ResourceError(f"cannot write {path}: the file system at {where} has no free inodes; remove files there")
    free = space.f_bavail * space.f_frsize
    return ResourceError(
        f"cannot write {path}: the file system at {where} is full; {needed} are needed, {free} are free; "
        f"remove something there"
    )


def _mount_point(directory: str) -> str:
    while directory != "/" and not os.path.ismount(directory):
        directory = os.path.dirname(directory)
    return directory
