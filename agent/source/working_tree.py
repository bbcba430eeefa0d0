"""WorkingTree: files as they lie in a directory, committed or not, for authoring and validating."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Sequence

from agent.errors import TreeError
from agent.source.tree import DIRECTORY, FILE, LINK, Entry, Linked, too_large

MAX_BYTES = 256 << 20  # of a file; a larger one is never asked for


class WorkingTree(Linked):
    """A tree (agent.source.Tree) over a directory; there is no commit, so `commit` is empty."""

    commit = ""
    tree = ""
    author = ""
    committed_at = 0

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.directory = os.path.realpath(directory.removeprefix("file://"))
        if not os.path.isdir(self.directory):
            raise TreeError(f"{directory} is not a directory", "give the directory of a checkout")
        self.label = f"the working tree {self.directory}"
        self.summary = self.label
        self._entries: dict[str, Entry | None] = {}
        self._paths: dict[str, str] = {}

    def last_touched(self, files: Collection[str], since: str) -> None:  # noqa: ARG002
        """No commit touched anything."""
        return

    def raw(self, path: str) -> Entry | None:
        """The entry at a path none of whose parents is a link."""
        if path not in self._entries:
            self._entries[path] = None if path.split("/", maxsplit=1)[0] == ".git" else self._look(path)
        return self._entries[path]

    def _look(self, path: str) -> Entry | None:
        try:
            found = os.lstat(self._at(path))
            if stat.S_ISLNK(found.st_mode):
                return Entry(LINK, os.readlink(self._at(path)))
            if stat.S_ISDIR(found.st_mode):
                return Entry(DIRECTORY, self._digest_of_directory(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            raise TreeError(f"{path} is neither a file, a directory nor a link", "Git cannot hold it; remove it")
        if found.st_size > MAX_BYTES:
            return Entry(FILE, f"{found.st_size} bytes, not read")
        identity = _sha256(self._bytes(path))
        self._paths[identity] = path
        return Entry(FILE, identity, bool(found.st_mode & 0o100))

    def _digest_of_directory(self, path: str) -> str:
        entries = ((name, self.raw(f"{path}/{name}" if path else name)) for name in self.listing(path))
        return _sha256("".join(f"{name}\0{entry}\0" for name, entry in entries).encode(errors="surrogateescape"))

    def target(self, path: str, entry: Entry) -> str:  # noqa: ARG002
        """The text of a link."""
        return entry.id

    def content(self, path: str, entry: Entry, limit: int) -> bytes:  # noqa: ARG002
        """The bytes of a file."""
        size = os.stat(self._at(path)).st_size
        if size > limit:
            raise too_large(path, size, limit)
        return self._bytes(path)

    def listing(self, path: str) -> Sequence[str]:
        """The names in a directory, without Git's own."""
        return sorted(name for name in os.listdir(self._at(path)) if path or name != ".git")

    def blob(self, object_id: str) -> bytes:
        """The bytes of the file that had this id when it was looked at."""
        return self._bytes(self._paths[object_id])

    def _at(self, path: str) -> str:
        return os.path.join(self.directory, path)

    def _bytes(self, path: str) -> bytes:
        try:
            with open(self._at(path), "rb") as file:
                return file.read()
        except OSError as error:
            raise TreeError(f"{path} cannot be read: {error.strerror}") from error


def _sha256(data: bytes) -> str:
    import hashlib  # it loads OpenSSL, 4 MB, and the daemon imports this file without ever reading a working tree

    return hashlib.sha256(data).hexdigest()
