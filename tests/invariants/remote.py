"""The repository of the random tests: commits made in memory, on any parent, signed by anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pygit2

Sign = Callable[[str, bytes], str]
"""Signs the bytes of a commit in somebody's name."""


class Remote:
    """A bare repository with the branch main."""

    def __init__(self, directory: Path, sign: Sign) -> None:
        self.path, self._sign, self._made = directory, sign, 0
        self._repository = pygit2.init_repository(str(directory), bare=True, initial_head="main")

    def commit(self, files: Mapping[str, bytes], parent: str, by: str) -> str:
        """Make a commit of exactly these files, on a parent (empty: on nothing), signed (empty: by nobody); its id."""
        index, opened = pygit2.Index(), self._repository
        for name, content in files.items():
            index.add(pygit2.IndexEntry(name, opened.create_blob(content), pygit2.enums.FileMode.BLOB))
        self._made += 1
        person = pygit2.Signature("Operations", "ops@example.com", 1_700_000_000 + self._made, 0)
        tree, parents = index.write_tree(opened), [parent] if parent else []
        made = opened.create_commit(None, person, person, f"change {self._made}", tree, parents)
        if by:
            content = opened[made].read_raw()
            made = opened.create_commit_with_signature(content.decode(), self._sign(by, content))
        return str(made)

    def publish(self, commit: str) -> None:
        """Have the branch be at a commit, whatever it was at."""
        self._repository.references.create("refs/heads/main", commit, force=True)
