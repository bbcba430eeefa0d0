"""Lineage: which of the commits since another one last touched a file, so that a change is put down to who made it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

_NEWEST_FIRST = 1 << 0 | 1 << 1  # git_sort_t of libgit2, named differently in versions of pygit2: TOPOLOGICAL, TIME
MAX_COMMITS = 200  # that are looked through; what is older is put down to the newest


class Lineage:
    """The newest commits that lead to one, each looked at once and only when somebody asks. Nothing is fetched."""

    def __init__(self, repository: Any, commit: str) -> None:  # noqa: ANN401  (pygit2 is imported late)
        self._repository, self._commit = repository, commit
        self._touched: dict[str, frozenset[str]] = {}

    def last(self, paths: Collection[str], since: str) -> Any:  # noqa: ANN401
        """The newest commit after `since` that touched one of these files; None when there is none, or too far back.

        So it is when the clone is damaged: to whom a change is put down must not keep it from being made.
        """
        import pygit2

        with suppress(KeyError, ValueError, pygit2.GitError):
            for commit in self._commits(since):
                if not self._paths(commit).isdisjoint(paths):
                    return commit
        return None

    def _commits(self, since: str) -> Iterator[Any]:
        """Commits that `since` does not contain, the newest first, less merges: what they bring is in what they merge."""
        if not since or since == self._commit or since not in self._repository:
            return
        walker = self._repository.walk(self._commit, _NEWEST_FIRST)
        walker.hide(since)
        for _, commit in zip(range(MAX_COMMITS), walker, strict=False):
            if len(commit.parents) < 2:
                yield commit

    def _paths(self, commit: Any) -> frozenset[str]:  # noqa: ANN401
        name = str(commit.id)
        if name not in self._touched:
            tree = commit.tree
            compared = tree.diff_to_tree(commit.parents[0].tree, swap=True) if commit.parents else tree.diff_to_tree()
            files = (side.path for delta in compared.deltas for side in (delta.old_file, delta.new_file))
            self._touched[name] = frozenset(files)
        return self._touched[name]
