"""Trees: the files of a revision or of a checkout, read by path; links are followed only while they stay inside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.errors import TreeError

READ_LIMIT = 4 << 20
MAX_HOPS = 20  # links in a row
MAX_DEPTH = 64  # directories in one another

FILE, DIRECTORY, LINK, SUBMODULE = "file", "directory", "link", "submodule"


@dataclass(frozen=True)
class Entry:
    """What is at a path: its kind and an id that changes when its content does."""

    kind: str
    id: str
    executable: bool = False


@dataclass(frozen=True)
class Below:
    """One thing below a directory: its path from there, what it is, and the text of a link."""

    path: str
    entry: Entry
    target: str = ""


class Tree(Protocol):
    """What a manifest is read from. Paths are relative, with slashes; `` is the root. All raise TreeError."""

    def entry(self, path: str) -> Entry | None:
        """What is at a path after following links; None when nothing is."""

    def read(self, path: str, limit: int = READ_LIMIT) -> bytes:
        """The bytes of a file of at most `limit` bytes."""

    def names(self, path: str) -> list[str]:
        """The sorted names in a directory; none when there is no directory."""

    def below(self, path: str, most: int) -> list[Below]:
        """All that is below a directory, sorted, links not followed; more than `most` is an error."""

    def blob(self, object_id: str) -> bytes:
        """The bytes of the file that had this id."""


class Linked:
    """A tree whose subclasses show single entries; following links, bounds and refusals are here."""

    label = ""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, Entry] | None] = {}

    def raw(self, path: str) -> Entry | None:
        """The entry at a path none of whose parents is a link; not followed."""
        raise TypeError(f"{type(self).__name__} does not say what is at {path}")

    def target(self, path: str, entry: Entry) -> str:
        """The text of a link."""
        raise TypeError(f"{type(self).__name__} has no link at {path} ({entry.id})")

    def content(self, path: str, entry: Entry, limit: int) -> bytes:
        """The bytes of a file. Raises TreeError when they are more than `limit`."""
        raise TypeError(f"{type(self).__name__} cannot read {path} ({entry.id}) up to {limit}")

    def listing(self, path: str) -> Sequence[str]:
        """The names in a directory."""
        raise TypeError(f"{type(self).__name__} cannot list {path}")

    def entry(self, path: str) -> Entry | None:
        """What is at a path after following links; None when nothing is."""
        found = self._resolve(path)
        return found[1] if found else None

    def read(self, path: str, limit: int = READ_LIMIT) -> bytes:
        """The bytes of a file of at most `limit` bytes."""
        found = self._resolve(path)
        if found is None:
            raise TreeError(f"{path} is not in {self.label}", "check the name, and that it is committed")
        if found[1].kind != FILE:
            raise TreeError(f"{path} is a {found[1].kind}, not a file")
        return self.content(found[0], found[1], limit)

    def names(self, path: str) -> list[str]:
        """The sorted names in a directory; none when there is no directory."""
        found = self._resolve(path)
        return sorted(self.listing(found[0])) if found and found[1].kind == DIRECTORY else []

    def below(self, path: str, most: int) -> list[Below]:
        """All that is below a directory, sorted, links not followed; more than `most` is an error."""
        found = self._resolve(path)
        if found is None or found[1].kind != DIRECTORY:
            raise TreeError(f"{path} is not a directory in {self.label}", "check the name, and that it is committed")
        listed: list[Below] = []
        self._list(found[0], "", listed, most)
        return listed

    def _list(self, top: str, inside: str, listed: list[Below], most: int) -> None:
        if inside.count("/") > MAX_DEPTH:
            raise TreeError(f"{top}/{inside} is more than {MAX_DEPTH} directories deep", "make the tree flatter")
        for name in sorted(self.listing(f"{top}/{inside}".rstrip("/"))):
            path = f"{inside}{name}"
            entry = self.raw(f"{top}/{path}")
            if entry is None:
                continue  # Git's own, in a working tree
            if len(listed) == most:
                raise TreeError(f"{top} holds more than {most:,} files and directories", "split it")
            target = self.target(f"{top}/{path}", entry) if entry.kind == LINK else ""
            listed.append(Below(path, entry, target))
            if entry.kind == DIRECTORY:
                self._list(top, f"{path}/", listed, most)

    def _resolve(self, path: str) -> tuple[str, Entry] | None:
        if path not in self._found:
            if path.startswith("/") or ".." in path.split("/"):
                raise TreeError(f"{path} must be a path inside the repository", "remove the leading / or the ..")
            self._found[path] = self._walk(path)
        return self._found[path]

    def _walk(self, path: str) -> tuple[str, Entry] | None:
        parts, at, hops = path.split("/"), "", 0
        while parts:
            name = parts.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                if not at:
                    raise TreeError(f"{path} goes through a link that leads out of the repository", "remove the link")
                at = os.path.dirname(at)
                continue
            candidate = f"{at}/{name}" if at else name
            entry = self.raw(candidate)
            if entry is None:
                return None
            if entry.kind != LINK:
                at = candidate
                continue
            hops += 1
            parts = self._follow(path, candidate, entry, hops).split("/") + parts
        found = self.raw(at)
        return (at, found) if found else None

    def _follow(self, path: str, link: str, entry: Entry, hops: int) -> str:
        target = self.target(link, entry)
        if target.startswith("/"):
            raise TreeError(
                f"{path} goes through the link {link} to {target}, out of the repository", "remove the link"
            )
        if hops > MAX_HOPS:
            raise TreeError(f"{path} goes through more than {MAX_HOPS} links", "does a link lead back to itself?")
        return target


def too_large(path: str, size: int, limit: int) -> TreeError:
    """The error for a file over its limit."""
    return TreeError(f"{path} has {size:,} bytes, more than the {limit:,} allowed here", "split it, or use `source`")
