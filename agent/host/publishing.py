"""Staged files into place: flushed together, looked at again, renamed, and their directories flushed.

A power cut after this has returned finds the new files whole; one during it finds each old or new.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from agent.host import attributes
from agent.host.failures import failure
from agent.host.flush import flush
from agent.host.staging import Wanted, Written, finish, write_all
from agent.host.status import as_stat, status_or_none
from agent.host.walk import Directory, Walk
from modules.api import NO_XATTRS, ResourceError, Staged

_CHUNK = 1 << 20  # bytes
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REWRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


Note = Callable[[str], None]


def publish(walk: Walk, staged: Sequence[Staged], note: Note) -> list[ResourceError | None]:
    """One result for each, in order; no temporary file stays, whatever the result. `note` is told what is unusual."""
    results = flush(walk, [one.temporary for one in staged])
    for index, one in enumerate(staged):
        if results[index] is None:
            results[index] = _put_in_place(walk, one, note)
        if results[index] is not None:
            _drop(walk, one.temporary)
    parents = dict.fromkeys(os.path.dirname(one.target) for one in staged)
    lost = dict(zip(parents, flush(walk, [f"{parent}/." for parent in parents]), strict=True))
    return [result or lost[os.path.dirname(one.target)] for one, result in zip(staged, results, strict=True)]


def _put_in_place(walk: Walk, staged: Staged, note: Note) -> ResourceError | None:
    try:
        directory, _ = walk.locate_for_change(staged.target)
        _check(directory, staged)
        _rename(directory, staged, note)
    except OSError as error:
        return failure("replace", staged.target, error)
    except ResourceError as error:
        return error
    return None


def _check(directory: Directory, staged: Staged) -> None:
    temporary = status_or_none(directory, os.path.basename(staged.temporary))
    if not isinstance(staged, Written) or temporary != staged.written:
        raise ResourceError(
            f"{staged.temporary} was changed by another program before it could replace {staged.target}"
        )
    if status_or_none(directory, os.path.basename(staged.target)) != staged.found:
        raise ResourceError(
            f"{staged.target} was changed by another program while it was being replaced; the next pass looks again"
        )


def _rename(directory: Directory, staged: Staged, note: Note) -> None:
    temporary, name = os.path.basename(staged.temporary), os.path.basename(staged.target)
    try:
        os.rename(temporary, name, src_dir_fd=directory.descriptor, dst_dir_fd=directory.descriptor)
    except OSError as error:
        if error.errno != errno.EBUSY or staged.found is None or staged.found.type != "file":
            raise
        _rewrite(directory, staged)
        os.unlink(temporary, dir_fd=directory.descriptor)
        note(f"{staged.target} is a mount point, so it was rewritten in place, not replaced in one step")


def _rewrite(directory: Directory, staged: Staged) -> None:
    """A file that is a mount point (/etc/hosts in a container) cannot be replaced, only its bytes can."""
    source = os.open(os.path.basename(staged.temporary), _READ, dir_fd=directory.descriptor)
    try:
        target = os.open(os.path.basename(staged.target), _REWRITE, dir_fd=directory.descriptor)
        try:
            if as_stat(os.fstat(target)) != staged.found:
                raise ResourceError(f"{staged.target} was changed by another program; the next pass looks again")
            _copy(source, target, staged.target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy(source: int, target: int, path: str) -> None:
    wanted, found = os.fstat(source), os.fstat(target)
    if (wanted.st_mode, wanted.st_uid, wanted.st_gid) != (found.st_mode, found.st_uid, found.st_gid):
        os.fchmod(target, 0)  # neither content is for the other's readers
    if wanted.st_size > found.st_size:
        os.posix_fallocate(target, 0, wanted.st_size)  # a full disk shows before anything is overwritten
    while chunk := os.read(source, _CHUNK):
        write_all(target, chunk)
    os.ftruncate(target, wanted.st_size)
    attributes.carry(source, target, path, NO_XATTRS)
    finish(target, path, Wanted((), wanted.st_mode & 0o7777, (wanted.st_uid, wanted.st_gid)))
    os.fsync(target)


def _drop(walk: Walk, temporary: str) -> None:
    with suppress(OSError, ResourceError):  # the error that led here is the one to report; a leftover is swept
        directory, name = walk.locate_for_change(temporary)
        os.unlink(name, dir_fd=directory.descriptor)
