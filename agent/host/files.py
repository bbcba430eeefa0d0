"""Files of the host: every method looks the path up by `walk`, and says in the user's words what went wrong.

Nothing here follows a link at the path itself, nor one in its parents that others could have planted.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property

from agent.host import attributes, publishing, removal, staging
from agent.host.backups import Backups
from agent.host.below import below
from agent.host.failures import failure, write_failure
from agent.host.ledger import Ledger
from agent.host.reading import contents
from agent.host.selinux import CONFIG, Policy
from agent.host.status import as_stat
from agent.host.walk import Directory, Walk
from modules.api import NO_XATTRS, ResourceError, Staged, Stat, Unsupported, Xattrs

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a FIFO must not block us
_CHUNK = 1 << 20  # bytes
_ABSENT = (FileNotFoundError, NotADirectoryError)
_DEVICES = {"block": "a block device", "char": "a character device", "directory": "a directory"}


class LocalFileView:
    """Files of one root, read only."""

    def __init__(self, walk: Walk, ledger: Ledger | None = None) -> None:
        """`ledger` knows what need not be read again; without one everything is read."""
        self._walk = walk
        self._ledger = ledger or Ledger()

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

    def digest(self, path: str, found: Stat | None = None) -> str:
        """The sha256 of the regular file at `path`; not read again when it is as it was found and read before."""
        known = None if found is None else self._ledger.known(path, found)
        if known is not None:
            return known
        began = time.time_ns()
        digest = hashlib.sha256()
        with self._reading(path) as descriptor:
            for chunk in contents(path, descriptor, _CHUNK):
                digest.update(chunk)
        if found is not None:
            self._ledger.note(path, found, digest.hexdigest(), began)
        return digest.hexdigest()

    def xattr(self, path: str, name: str) -> bytes | None:
        """An extended attribute of what is at `path`, or None; Unsupported when its file system keeps none."""
        with self._looking(path) as directory:
            return attributes.xattr(directory, path, name)

    def default_label(self, path: str, form: str) -> str | None:
        """The SELinux context that the policy has for a `form` at `path`; None where none is in use, or none is kept."""
        context = self._policy.context(path, form)
        if context is None:
            return None
        try:
            directory, _ = self._walk.locate(path)
            if not self._policy.keeps_labels(directory.device):
                return None
            self.xattr(os.path.dirname(path), attributes.LABEL)
        except Unsupported:
            return None
        except _ABSENT:
            return context  # its directory comes before it
        except OSError as error:
            raise failure("look at", path, error) from error
        return context

    @cached_property
    def _policy(self) -> Policy:
        known = bool(self._walk.root) and self.lstat(CONFIG) is not None
        return Policy(self._walk.root, self.read(CONFIG).decode(errors="replace") if known else "")

    def flags(self, path: str) -> int:
        """The inode flags of what is at `path`; Unsupported when its file system keeps none."""
        with self._looking(path) as directory:
            return attributes.flags(directory, path)

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

    def below(self, path: str, skip: Callable[[str], bool]) -> Iterator[tuple[str, Stat]]:
        """All that is below the directory at `path`, by its relative path, following nothing; nothing when there is none."""
        try:
            yield from below(self._open_directory(path), skip)
        except _ABSENT:
            return
        except OSError as error:
            raise failure("look below", path, error) from error

    def _open_directory(self, path: str) -> int:
        directory, name = self._walk.locate(path)
        return os.open(name, _READ | os.O_DIRECTORY, dir_fd=directory.descriptor)

    def _chunks(self, path: str, most: int) -> Iterator[bytes]:
        with self._reading(path) as descriptor:
            yield from contents(path, descriptor, min(most, _CHUNK))

    @contextmanager
    def _reading(self, path: str) -> Iterator[int]:
        try:
            directory, name = self._walk.locate(path)
            descriptor = os.open(name, _READ, dir_fd=directory.descriptor)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise failure("read", path, error) from error

    @contextmanager
    def _looking(self, path: str) -> Iterator[Directory]:
        try:
            yield self._walk.locate(path)[0]
        except OSError as error:
            raise failure("look at", path, error) from error


class LocalFiles(LocalFileView):
    """Files of one root, writable. Every change is made beside an open directory that was just looked up."""

    def __init__(self, walk: Walk, ledger: Ledger, backups: Backups, note: Callable[[str], None]) -> None:
        """`note` is told what a person should know of a change that went well."""
        super().__init__(walk, ledger)
        self._backups = backups
        self._note = note

    def stage(
        self,
        path: str,
        data: bytes | Iterable[bytes],
        *,
        mode: int,
        owner: tuple[int, int],
        xattrs: Xattrs = NO_XATTRS,
        size: int = -1,
    ) -> Staged:
        """Write a complete temporary file beside `path`; -1 in `owner` leaves what a new file gets by itself."""
        directory, _ = self._walk.locate_for_change(path)
        parts: Iterable[bytes] = (data,) if isinstance(data, bytes) else data
        try:
            return staging.stage(
                directory, path, staging.Wanted(parts, mode, owner, self._labelled(path, "file", xattrs))
            )
        except OSError as error:
            needed = len(data) if isinstance(data, bytes) else size
            raise write_failure(path, needed, directory.descriptor, error) from error

    def discard(self, staged: Staged) -> None:
        """Remove a staged file that will not be published."""
        self.unlink(staged.temporary)

    def publish(self, staged: Sequence[Staged]) -> list[ResourceError | None]:
        """Flush all once, then rename each over its target; one result for each, its temporary file gone."""
        return publishing.publish(self._walk, staged, self._note)

    def set_owner(self, path: str, uid: int, gid: int) -> None:
        """Own what is at `path`, never through a link (-1 leaves one of them)."""
        with self._changing(path, "change the owner of") as directory:
            attributes.set_owner(directory, path, uid, gid)

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits of the file or directory at `path`, never through a link."""
        with self._changing(path, "change the mode of") as directory:
            attributes.set_mode(directory, path, mode)

    def set_xattr(self, path: str, name: str, value: bytes | None) -> None:
        """Set or (None) remove an extended attribute of what is at `path`, never through a link."""
        with self._changing(path, f"change the attribute {name} of") as directory:
            attributes.set_xattr(directory, path, name, value)

    def set_flags(self, path: str, flags: int) -> None:
        """Set the inode flags of the file or directory at `path`."""
        with self._changing(path, "change the flags of") as directory:
            attributes.set_flags(directory, path, flags)

    def keep(self, path: str) -> None:
        """Keep a copy of the file at `path`, or of each below a directory; of links and the like there is none."""
        found = list(self._files_at(path))
        self._backups.refuse_too_many(path, [shown.size for _, shown in found])
        for at, shown in found:
            self._backups.keep(at, shown, self.chunks(at))

    def _files_at(self, path: str) -> Iterator[tuple[str, Stat]]:
        found = self.lstat(path)
        if found is not None and found.type == "file":
            yield path, found
        elif found is not None and found.type == "directory":
            for name in self.listdir(path):
                yield from self._files_at(f"{path}/{name}")

    def make_directory(self, path: str, *, mode: int, owner: tuple[int, int], xattrs: Xattrs = NO_XATTRS) -> None:
        """Make one directory whose parent exists; it appears with its owner and mode already right."""
        with self._changing(path, "make the directory") as directory:
            labelled = self._labelled(path, "directory", xattrs)
            staging.make_directory(directory, path, staging.Wanted((), mode, owner, labelled))

    def make_symlink(self, path: str, target: str) -> None:
        """Put a link at `path`, replacing a link or file there in one step."""
        with self._changing(path, "make the link") as directory:
            staging.make_symlink(directory, path, target, self._labelled(path, "symlink", NO_XATTRS))

    def _labelled(self, path: str, form: str, given: Xattrs) -> Xattrs:
        """The extended attributes of something new: a label among them, unless it takes over that of a file."""
        context = None if attributes.LABEL in given else self.default_label(path, form)
        found = self.lstat(path) if context and form == "file" else None
        if not context or (found is not None and found.type == "file"):
            return given
        return {**given, attributes.LABEL: f"{context}\0".encode()}

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
