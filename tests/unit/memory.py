"""A repository in memory: files by path, read as a revision or a checkout is."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.source.tree import DIRECTORY, FILE, LINK, Entry, Linked, too_large


@dataclass(frozen=True)
class Link:
    """A symbolic link in a repository."""

    target: str


class MemoryTree(Linked):
    """A tree (agent.source.Tree), with what a commit says of itself."""

    commit = "0123456789abcdef0123456789abcdef01234567"
    summary, author, committed_at, label = "what was done", "author@example.com", 0, "0123456"
    signed_by = ""

    def __init__(self, files: Mapping[str, str | bytes | Link]) -> None:
        super().__init__()
        self._files = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
        self._folders = {path[:at] for path in files for at, char in enumerate(path) if char == "/"} | {""}
        self.reads: list[str] = []
        self.tree = _digest(repr(sorted(self._files.items(), key=str)).encode())

    def last_touched(self, files: Collection[str], since: str) -> None:
        """There is no history."""
        return

    def raw(self, path: str) -> Entry | None:
        """The entry at a path none of whose parents is a link."""
        if path in self._folders:
            below = sorted((name, data) for name, data in self._files.items() if name.startswith(path))
            return Entry(DIRECTORY, _digest(repr(below).encode()))
        data = self._files.get(path)
        if data is None:
            return None
        return Entry(LINK, _digest(data.target.encode())) if isinstance(data, Link) else Entry(FILE, _digest(data))

    def target(self, path: str, entry: Entry) -> str:
        """The text of a link."""
        link = self._files[path]
        assert isinstance(link, Link)
        return link.target

    def content(self, path: str, entry: Entry, limit: int) -> bytes:
        """The bytes of a file."""
        self.reads.append(path)
        data = self._files[path]
        assert isinstance(data, bytes)
        if len(data) > limit:
            raise too_large(path, len(data), limit)
        return data

    def listing(self, path: str) -> Sequence[str]:
        """The names in a directory."""
        prefix = f"{path}/" if path else ""
        return sorted({name[len(prefix) :].partition("/")[0] for name in self._files if name.startswith(prefix)})

    def blob(self, object_id: str) -> bytes:
        """The bytes of an object."""
        return next(data for data in self._files.values() if isinstance(data, bytes) and _digest(data) == object_id)


def _digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
