"""Whole new things beside their targets, then in their place: the only way that content reaches a path.

What is staged is complete (bytes, owner, mode) before its name is; until then it is never more readable than the
result. A crash leaves the old or the new, and at most one leftover, whose name `temporary_name` knows.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from agent.host import attributes
from agent.host.removal import remove_leftover
from agent.host.status import as_stat, status_or_none
from agent.host.walk import Directory
from modules.api import ResourceError, Staged, Stat, Xattrs

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SUFFIX = ".gitops-agent"  # last, so that no daemon that reads `*.conf` of a directory takes a leftover for its own
_LONGEST = 255  # bytes in a name, NAME_MAX of every file system of Linux
_TRIES = 10

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """What a new file is to be; -1 in `owner` leaves what a new file gets by itself."""

    parts: Iterable[bytes]
    mode: int
    owner: tuple[int, int]
    xattrs: Xattrs = field(default_factory=dict)


@dataclass(frozen=True)
class Written(Staged):
    """A staged file as it was left, so that one that was tampered with is not put in place."""

    written: Stat


def temporary_name(name: str) -> str:
    """The one name that `name` is staged under: hidden, and fixed, so that what a crash left is found again."""
    plain = f".{name}{_SUFFIX}"
    if len(os.fsencode(plain)) <= _LONGEST:
        return plain
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}{_SUFFIX}"


def stage(directory: Directory, path: str, wanted: Wanted) -> Written:
    """Write all of `wanted` beside `path`, which lies in `directory`. Raises OSError, or ResourceError."""
    name = os.path.basename(path)
    temporary = temporary_name(name)
    beside = directory.descriptor
    found = status_or_none(directory, name)
    mode = wanted.mode & 0o600
    descriptor = _anew(directory, temporary, lambda: os.open(temporary, _CREATE, mode, dir_fd=beside))
    with _removed_on_error(directory, temporary):
        try:
            for part in wanted.parts:
                write_all(descriptor, part)
            finish(descriptor, path, wanted, _beside(directory, name, found))
            written = as_stat(os.fstat(descriptor))
        finally:
            os.close(descriptor)
    return Written(path, os.path.join(os.path.dirname(path), temporary), found, written)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, however few the system takes at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def finish(descriptor: int, path: str, wanted: Wanted, predecessor: int = -1) -> None:
    """Owner, labels and lists, then mode: a change of owner clears set-user-ID bits, one of mode the mask of a list.

    `predecessor` is open, and closed here; -1 when there is none to take after.
    """
    shown = os.fstat(descriptor)
    uid, gid = (
        found if new == -1 else new for new, found in zip(wanted.owner, (shown.st_uid, shown.st_gid), strict=True)
    )
    if (uid, gid) != (shown.st_uid, shown.st_gid):
        try:
            os.fchown(descriptor, uid, gid)
        except PermissionError as error:
            raise ResourceError(
                f"cannot give {path} to uid {uid}, gid {gid}: only root may; run as root, or leave owner and group out"
            ) from error
    if predecessor != -1:
        try:
            attributes.carry(f"/proc/self/fd/{predecessor}", descriptor, path, wanted.xattrs)
        finally:
            os.close(predecessor)
    for name in (name for name, value in wanted.xattrs.items() if value is None):
        attributes.put_xattr(descriptor, path, name, None)
    os.fchmod(descriptor, wanted.mode)
    for name, value in wanted.xattrs.items():
        if value is not None:
            attributes.put_xattr(descriptor, path, name, value)


def _beside(directory: Directory, name: str, found: Stat | None) -> int:
    """The file that is to be replaced, open only to be looked at; -1 when it is none."""
    if found is None or found.type != "file":
        return -1
    return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.descriptor)


def make_directory(directory: Directory, path: str, wanted: Wanted) -> None:
    """Make a complete directory beside `path` and give it its name. Raises OSError, or ResourceError."""
    name = os.path.basename(path)
    temporary = temporary_name(name)
    beside = directory.descriptor
    _anew(directory, temporary, lambda: os.mkdir(temporary, 0o700, dir_fd=beside))
    with _removed_on_error(directory, temporary):
        descriptor = os.open(temporary, _OPEN_DIRECTORY, dir_fd=beside)
        try:
            os.fchmod(descriptor, wanted.mode & 0o700)
            finish(descriptor, path, wanted)
        finally:
            os.close(descriptor)
        _refuse_occupied(directory, path)
        os.rename(temporary, name, src_dir_fd=beside, dst_dir_fd=beside)


def make_symlink(directory: Directory, path: str, target: str, xattrs: Xattrs) -> None:
    """Make a link beside `path` and give it its name. Raises OSError, or ResourceError."""
    temporary = temporary_name(os.path.basename(path))
    beside = directory.descriptor
    _anew(directory, temporary, lambda: os.symlink(target, temporary, dir_fd=beside))
    with _removed_on_error(directory, temporary):
        for name, value in xattrs.items():
            attributes.set_xattr(directory, temporary, name, value)
        os.rename(temporary, os.path.basename(path), src_dir_fd=beside, dst_dir_fd=beside)


@contextmanager
def _removed_on_error(directory: Directory, temporary: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError, ResourceError):  # the first error is the one to report; what stays is swept later
            remove_leftover(directory, temporary)
        raise


def _refuse_occupied(directory: Directory, path: str) -> None:
    """An empty directory there would be replaced without a word by the rename to come."""
    if status_or_none(directory, os.path.basename(path)) is not None:
        raise ResourceError(f"cannot make the directory {path}: something is there now; the next pass looks again")


def _anew(directory: Directory, temporary: str, make: Callable[[], T]) -> T:
    """Make something under a name where a crash may have left another; never reuse what is there."""
    for _ in range(_TRIES):
        try:
            return make()
        except FileExistsError:
            remove_leftover(directory, temporary)
    raise ResourceError(f"another process keeps making {directory.path}/{temporary}; find and stop it")
