"""The way to a path, by directory descriptors: every parent is opened one by one, and no planted link is followed.

A descriptor, once open, cannot be swapped for something else, so what is read or written beside it stays where it
was meant to be, whatever others do to the names above it.
"""

from __future__ import annotations

import errno
import os
import stat

from agent.host.failures import failure, missing_parent
from modules.api import ResourceError

_OPEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_HOPS = 40  # as many links as the kernel follows, path_resolution(7)


class Directory:
    """An open directory, or a link met on the way to one; it closes itself when nobody holds it any more."""

    __slots__ = ("descriptor", "device", "gid", "inode", "mode", "path", "seen", "uid")

    def __init__(self, descriptor: int, path: str) -> None:
        """`path` is the canonical one in the root, empty for the root itself."""
        self.descriptor = descriptor
        self.path = path
        self.seen = 0  # the generation of the walk in which it was last known to be where its path leads
        shown = os.fstat(descriptor)
        self.device, self.inode = shown.st_dev, shown.st_ino
        self.uid, self.gid, self.mode = shown.st_uid, shown.st_gid, shown.st_mode

    def __del__(self) -> None:
        os.close(self.descriptor)

    @property
    def writable_by_others(self) -> bool:
        """Whether somebody other than root and the agent's own user may add entries to it."""
        group = self.mode & stat.S_IWGRP and self.gid not in (0, os.getegid())
        return not _trusted(self.uid) or bool(self.mode & stat.S_IWOTH or group)

    @property
    def rearrangeable(self) -> bool:
        """Whether such others may also move or replace what is not theirs, as no sticky bit keeps them from it."""
        return self.writable_by_others and not (_trusted(self.uid) and self.mode & stat.S_ISVTX)

    def reopen(self) -> int:
        """A descriptor that can be listed and flushed (this one only names a place); the caller closes it."""
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor)


class Walk:
    """Opens the directories of one root, keeping the last few open.

    A link in a path's parents is followed only when root or the agent's own user made it, in a directory that nobody
    else can rearrange. Links resolve inside the root: an absolute target starts there, and `..` cannot leave it.
    """

    def __init__(self, root: str, keep: int = 256) -> None:
        """`root` is absolute and has no trailing slash (empty: `/`); `keep` bounds the descriptors that stay open."""
        self.root = root
        self._keep = keep
        self._open: dict[str, Directory] = {}
        self._generation = 0

    def renew(self) -> None:
        """From here on, look again whether each path still leads to the directory that was opened for it."""
        self._generation += 1

    def locate(self, path: str) -> tuple[Directory, str]:
        """The directory `path` lies in, and its name there. Raises OSError, or ResourceError for a planted link."""
        head, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            return self.directory(path.rstrip("/")), "."
        directory = self._open.get(head)
        if directory is None or directory.seen != self._generation:
            directory = self.directory(head)
        return directory, name

    def locate_for_change(self, path: str) -> tuple[Directory, str]:
        """As `locate`, trusting nothing seen before; any error is one for the user, a missing parent among them."""
        self.renew()
        try:
            return self.locate(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing_parent(path, error) from error
        except OSError as error:
            raise failure("reach", path, error) from error

    def directory(self, path: str) -> Directory:
        """The directory at `path`, which has no trailing slash (empty: the root)."""
        known = self._open.get(path)
        if known is not None and self._still_there(path, known):
            return self._remember(path, known)
        return self._remember(path, self._follow(self._top(), path.split("/"), 0))

    def _still_there(self, path: str, known: Directory) -> bool:
        if known.seen == self._generation:
            return True
        try:
            shown = os.stat(f"{self.root}{path}")
        except OSError:
            return False  # opening it again says what is wrong
        return (shown.st_dev, shown.st_ino) == (known.device, known.inode)

    def _top(self) -> Directory:
        known = self._open.get("")
        if known is not None:
            return known
        descriptor = os.open(self.root or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._remember("", Directory(descriptor, ""))

    def _remember(self, path: str, directory: Directory) -> Directory:
        directory.seen = self._generation
        self._open[path] = directory
        if len(self._open) > self._keep:
            del self._open[next(iter(self._open))]
        return directory

    def _follow(self, start: Directory, names: list[str], hops: int) -> Directory:
        here = start
        for name in names:
            if name == "..":
                here = self._follow(self._top(), here.path.split("/")[:-1], hops)
            elif name not in ("", "."):
                here = self._enter(here, name, hops)
        return here

    def _enter(self, parent: Directory, name: str, hops: int) -> Directory:
        path = f"{parent.path}/{name}"
        known = self._open.get(path)
        if known is not None and known.seen == self._generation:
            return known
        child = Directory(os.open(name, _OPEN, dir_fd=parent.descriptor), path)
        if stat.S_ISDIR(child.mode):
            return self._remember(path, child)
        if not stat.S_ISLNK(child.mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
        if hops >= _HOPS:
            raise ResourceError(f"{path} is part of a loop of links; remove one of them")
        _refuse_planted(parent, child)
        target = os.readlink("", dir_fd=child.descriptor)
        start = self._top() if target.startswith("/") else parent
        return self._remember(path, self._follow(start, target.split("/"), hops + 1))


def _refuse_planted(parent: Directory, link: Directory) -> None:
    if not _trusted(link.uid):
        raise ResourceError(
            f"{link.path} is a link made by uid {link.uid}, who could point it anywhere, so it is not followed; "
            f"put a directory in its place, or make the link as root"
        )
    if parent.rearrangeable:
        raise ResourceError(
            f"{link.path} is a link in a directory that others may rearrange, so it is not followed; "
            f"let only root write to {parent.path or '/'}, or give the path without the link"
        )


def _trusted(uid: int) -> bool:
    return uid in (0, os.geteuid())
