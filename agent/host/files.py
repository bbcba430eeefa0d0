"""Files of the host: every method looks the path up by `walk`, and says in the user's words what went wrong.

Nothing here follows a link at the path itself, nor one in its parents that others could have planted.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from agent.host import attributes, publishing, removal, staging
from agent.host.failures import failure, write_failure
from agent.host.status import as_stat
from agent.host.walk import Directory, Walk
from modules.api import ResourceError, Staged, Stat

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a FIFO must not block us
_CHUNK = 1 << 20  # bytes
_ABSENT = (FileNotFoundError, NotADirectoryError)
_DEVICES = {"block": "a block device", "char": "a character device", "directory": "a directory"}


class LocalFileView:
    """Files of one root, read only."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    def lstat(self, path: str) -> Stat | None:
        """What is at `path`, not following a link there; None when nothing is, or a parent is missing."""
        try:
            directory, name = self._walk.locate(path)
            return as_stat(os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False))
        except _ABSENT:
            return None
        except OSError as error:
            raise failure("look at", path, error) from error

    def read(self, path: str, limit: int = 64 << 20) -> bytes:
        """The bytes of the regular file at `path`; over `limit` bytes is an error."""
        parts = []
        size = 0
        for chunk in self._chunks(path, limit):
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                raise ResourceError(f"cannot read {path}: it is larger than {limit} bytes, the most that is read here")
        return b"".join(parts)

    def digest(self, path: str) -> str:
        """The sha256 of the regular file at `path`, in hexadecimal, streamed."""
        digest = hashlib.sha256()
        for chunk in self._chunks(path, _CHUNK):
            digest.update(chunk)
        return digest.hexdigest()

    def chunks(self, path: str) -> Iterator[bytes]:
        """The bytes of the regular file at `path`, part by part."""
        return self._chunks(path, _CHUNK)

    def readlink(self, path: str) -> str:
        """The target text of the link at `path`."""
        try:
            directory, name = self._walk.locate(path)
            return os.readlink(name, dir_fd=directory.descriptor)
        except OSError as error:
            raise failure("read the link", path, error) from error

    def listdir(self, path: str) -> Sequence[str]:
        """The names in the directory at `path`, sorted; empty when there is no directory."""
        try:
            descriptor = self._open_directory(path)
            try:
                return sorted(os.listdir(descriptor))
            finally:
                os.close(descriptor)
        except _ABSENT:
            return ()
        except OSError as error:
            raise failure("list", path, error) from error

    def _open_directory(self, path: str) -> int:
        directory, name = self._walk.locate(path)
        return os.open(name, _READ | os.O_DIRECTORY, dir_fd=directory.descriptor)

    def _chunks(self, path: str, most: int) -> Iterator[bytes]:
        try:
            directory, name = self._walk.locate(path)
            descriptor = os.open(name, _READ, dir_fd=directory.descriptor)
            try:
                yield from _contents(path, descriptor, min(most, _CHUNK))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise failure("read", path, error) from error


def _contents(path: str, descriptor: int, most: int) -> Iterator[bytes]:
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


class LocalFiles(LocalFileView):
    """Files of one root, writable. Every change is made beside an open directory that was just looked up."""

    def stage(self, path: str, data: bytes | Iterable[bytes], *, mode: int, owner: tuple[int, int]) -> Staged:
        """Write a complete temporary file beside `path`; -1 in `owner` leaves what a new file gets by itself."""
        directory, _ = self._walk.locate_for_change(path)
        parts: Iterable[bytes] = (data,) if isinstance(data, bytes) else data
        try:
            return staging.stage(directory, path, staging.Wanted(parts, mode, owner))
        except OSError as error:
            needed = len(data) if isinstance(data, bytes) else None
            raise write_failure(path, needed, directory.descriptor, error) from error

    def discard(self, staged: Staged) -> None:
        """Remove a staged file that will not be published."""
        self.unlink(staged.temporary)

    def publish(self, staged: Sequence[Staged]) -> list[ResourceError | None]:
        """Flush all once, then rename each over its target; one result for each, its temporary file gone."""
        return publishing.publish(self._walk, staged)

    def set_owner(self, path: str, uid: int, gid: int) -> None:
        """Own what is at `path`, never through a link (-1 leaves one of them)."""
        with self._changing(path, "change the owner of") as directory:
            attributes.set_owner(directory, path, uid, gid)

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits of the file or directory at `path`, never through a link."""
        with self._changing(path, "change the mode of") as directory:
            attributes.set_mode(directory, path, mode)

    def make_directory(self, path: str, *, mode: int, owner: tuple[int, int]) -> None:
        """Make one directory whose parent exists; it appears with its owner and mode already right."""
        with self._changing(path, "make the directory") as directory:
            staging.make_directory(directory, path, mode, owner)

    def make_symlink(self, path: str, target: str) -> None:
        """Put a link at `path`, replacing a link or file there in one step."""
        with self._changing(path, "make the link") as directory:
            staging.make_symlink(directory, path, target)

    def unlink(self, path: str) -> None:
        """Remove the file, link, fifo or socket at `path`; nothing there is fine, a device or directory is not."""
        found = self.lstat(path)
        if found is None:
            return
        if found.type in _DEVICES:
            raise ResourceError(f"cannot remove {path}: it is {_DEVICES[found.type]}, not a file; remove it by hand")
        with self._changing(path, "remove") as directory, suppress(FileNotFoundError):
            os.unlink(os.path.basename(path), dir_fd=directory.descriptor)

    def remove_directory(self, path: str, *, recursive: bool = False) -> None:
        """Remove the directory at `path`; with `recursive` all in it, refused while anything is mounted there."""
        if self.lstat(path) is None:
            return
        with self._changing(path, "remove") as directory:
            (removal.remove_tree if recursive else removal.remove_empty)(directory, path)

    def sweep(self, path: str) -> None:
        """Remove what an interrupted change of `path` left beside it."""
        try:
            directory, name = self._walk.locate(path)
            removal.remove_leftover(directory, staging.temporary_name(name))
        except _ABSENT:
            return  # no parent, no leftover
        except OSError as error:
            raise failure("clear up beside", path, error) from error

    @contextmanager
    def _changing(self, path: str, action: str) -> Iterator[Directory]:
        directory, _ = self._walk.locate_for_change(path)
        try:
            yield directory
        except OSError as error:
            raise failure(action, path, error) from error
