"""Owner, mode, extended attributes and flags of what stands at a path.

They are looked at and changed through a descriptor: never through a link, or by a planted name.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from agent.host.walk import Directory
from modules.api import ResourceError, Unsupported, Xattrs

_OPEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_INT = struct.Struct("i")
_GET_FLAGS = 2 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 1  # FS_IOC_GETFLAGS, ioctl_iflags(2)
_SET_FLAGS = 1 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 2
_NO_SUCH = (errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS)
LABEL = "security.selinux"
_ACCESS = "system.posix_acl_access"
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


def xattr(directory: Directory, path: str, name: str) -> bytes | None:
    """An extended attribute, or None. Raises OSError, Unsupported."""
    with _opened(directory, path, changing=False) as (itself, _), _supported(path, "extended attributes", name):
        try:
            return os.getxattr(itself, name)
        except OSError as error:
            if error.errno == errno.ENODATA:
                return None
            raise


def set_xattr(directory: Directory, path: str, name: str, value: bytes | None) -> None:
    """Set or remove an extended attribute. Raises OSError, ResourceError."""
    with _opened(directory, path) as (itself, _):
        put_xattr(itself, path, name, value)


def put_xattr(target: str | int, path: str, name: str, value: bytes | None) -> None:
    """As above, for what is open, or named by what is."""
    with _supported(path, "extended attributes", name):
        if value is not None:
            _set(target, path, name, value)
            return
        try:
            os.removexattr(target, name)
        except OSError as error:
            if error.errno not in (errno.ENODATA, *_NO_SUCH):
                raise


def _set(target: str | int, path: str, name: str, value: bytes) -> None:
    try:
        os.setxattr(target, name, value)
    except OSError as error:
        if error.errno == errno.EINVAL and name == LABEL:
            label = value.rstrip(b"\0").decode(errors="replace")
            raise ResourceError(
                f"cannot label {path}: the SELinux policy of this host does not know {label}; correct `selinux`, or load "
                f"the policy that has it first"
            ) from error
        raise


def carry(source: str | int, target: int, path: str, given: Xattrs) -> None:
    """Give a successor the access list, label and user attributes of what it replaces, but for those that are given.

    Capabilities are not carried: they were granted to another content.
    """
    names = _listed(source)
    for name in names:
        if name not in given and (name in (_ACCESS, LABEL) or name.startswith("user.")):
            with suppress(FileNotFoundError):
                put_xattr(target, path, name, os.getxattr(source, name))
    if _ACCESS not in names and _ACCESS not in given:
        put_xattr(target, path, _ACCESS, None)  # inherited from the directory, which its predecessor had not


def _listed(source: str | int) -> list[str]:
    try:
        return os.listxattr(source)
    except OSError as error:
        if error.errno in _NO_SUCH:
            return []
        raise


def flags(directory: Directory, path: str) -> int:
    """The inode flags. Raises OSError, Unsupported."""
    import fcntl

    with _readable(directory, path) as descriptor, _supported(path, "file flags", "lsattr"):
        found: int = _INT.unpack_from(fcntl.ioctl(descriptor, _GET_FLAGS, bytes(struct.calcsize("l"))))[0]
    return found


def set_flags(directory: Directory, path: str, new: int) -> None:
    """Set the inode flags. Raises OSError, Unsupported."""
    import fcntl

    with _readable(directory, path) as descriptor, _supported(path, "file flags", "chattr"):
        _refuse_foreign(directory, path, os.fstat(descriptor))
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", new))


@contextmanager
def _supported(path: str, what: str, which: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SUCH:
            raise Unsupported(
                f"the file system of {path} keeps no {what} ({which}); leave them out, or move it"
            ) from error
        raise


@contextmanager
def _readable(directory: Directory, path: str) -> Iterator[int]:
    """A descriptor of the file or directory itself; what is neither is not opened by more than a look."""
    descriptor = os.open(os.path.basename(path) or ".", _READ, dir_fd=directory.descriptor)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) and not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise ResourceError(f"{path} is neither a file nor a directory, so it has no flags")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _opened(directory: Directory, path: str, *, changing: bool = True) -> Iterator[tuple[str, os.stat_result]]:
    """A name of the entry that nothing can be swapped behind, and its status."""
    name = os.path.basename(path) or "."
    descriptor = os.open(name, _OPEN, dir_fd=directory.descriptor)
    try:
        shown = os.fstat(descriptor)
        if changing:
            _refuse_foreign(directory, path, shown)
        yield f"/proc/self/fd/{descriptor}", shown
    finally:
        os.close(descriptor)


def _refuse_foreign(directory: Directory, path: str, shown: os.stat_result) -> None:
    linked = stat.S_ISREG(shown.st_mode) and shown.st_nlink > 1
    if linked and directory.writable_by_others and not _guarded():
        raise ResourceError(
            f"{path} has {shown.st_nlink} hard links in a directory that others may write to, so it may be somebody "
            f"else's file; left as it is: remove it, or set the sysctl fs.protected_hardlinks to 1"
        )


def _guarded() -> bool:
    try:
        with open(_GUARD, encoding="ascii") as setting:
            return setting.read().strip() == "1"
    except OSError:
        return False  # what cannot be seen to be guarded is not
