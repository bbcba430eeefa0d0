"""Revision: one commit, readable straight from the object database, so that no half-made checkout can exist."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agent.errors import TreeError
from agent.source.tree import DIRECTORY, FILE, LINK, SUBMODULE, Entry, Linked, too_large

if TYPE_CHECKING:
    from agent.source.lineage import Lineage

_KINDS = {0o040000: DIRECTORY, 0o120000: LINK, 0o160000: SUBMODULE}


class Revision(Linked):
    """A tree (agent.source.Tree) with what its commit says of itself."""

    def __init__(self, repository: Any, commit: Any) -> None:  # noqa: ANN401  (pygit2 is imported late)
        super().__init__()
        self.commit = str(commit.id)
        self.tree = str(commit.tree.id)
        self.label = self.commit[:7]
        self.summary: str = commit.message.strip().partition("\n")[0].strip()
        self.author: str = commit.author.email or commit.author.name
        self.committed_at: int = commit.commit_time
        self.signed_by = ""  # where it was verified
        self._repository = repository
        self._trees: dict[str, Any] = {"": commit.tree}
        self._entries: dict[str, Entry | None] = {"": Entry(DIRECTORY, self.tree)}

    def last_touched(self, files: Collection[str], since: str) -> Revision | None:
        """The newest commit after `since` up to this one that touched one of these files; None when that cannot be told."""
        found = self._lineage.last(files, since)
        return Revision(self._repository, found) if found is not None else None

    @cached_property
    def _lineage(self) -> Lineage:
        from agent.source.lineage import Lineage  # needed only when something changed

        return Lineage(self._repository, self.commit)

    def raw(self, path: str) -> Entry | None:
        """The entry at a path none of whose parents is a link."""
        if path not in self._entries:
            above, _, name = path.rpartition("/")
            tree = self._directory(above)
            found = tree[name] if tree is not None and name in tree else None
            self._entries[path] = None if found is None else _entry(found)
        return self._entries[path]

    def _directory(self, path: str) -> Any:  # noqa: ANN401
        if path not in self._trees:
            entry = self.raw(path)
            directory = entry is not None and entry.kind == DIRECTORY
            self._trees[path] = self._repository[entry.id] if entry and directory else None
        return self._trees[path]

    def target(self, path: str, entry: Entry) -> str:
        """The text of a link."""
        return self.content(path, entry, 4096).decode(errors="surrogateescape")

    def content(self, path: str, entry: Entry, limit: int) -> bytes:
        """The bytes of a file."""
        found = self._object(entry.id, path)
        if found.size > limit:
            raise too_large(path, found.size, limit)
        return bytes(found.data)

    def listing(self, path: str) -> Sequence[str]:
        """The names in a directory."""
        return [found.name for found in self._directory(path)]

    def blob(self, object_id: str) -> bytes:
        """The bytes of an object."""
        return bytes(self._object(object_id, object_id).data)

    def _object(self, object_id: str, path: str) -> Any:  # noqa: ANN401
        import pygit2

        try:
            return self._repository[object_id]
        except (KeyError, pygit2.GitError) as error:
            hint = "the clone is damaged: remove repo.git in the state directory, and it is fetched again"
            raise TreeError(f"the object {object_id[:12]} of {path} cannot be read", hint) from error


def _entry(found: Any) -> Entry:  # noqa: ANN401
    return Entry(_KINDS.get(found.filemode, FILE), str(found.id), found.filemode == 0o100755)
