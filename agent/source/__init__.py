"""Source: a bare repository of our own, and the remote it follows.

Nothing of ours refers to a commit before it is accepted: what is fetched goes to a ref that nothing relies on, is checked,
and only then becomes the accepted one.
"""

from __future__ import annotations

import difflib
import os
import time
from typing import Any

from agent.errors import FetchFailed, RevisionRejected
from agent.source.network import download, remote_heads
from agent.source.remote import Remote
from agent.source.revision import Revision
from agent.source.tree import Below, Entry, Tree
from agent.source.working_tree import WorkingTree

__all__ = ["Below", "Entry", "Remote", "Revision", "Source", "Tree", "WorkingTree"]

ACCEPTED = "refs/gitops-agent/accepted"


class Source:
    """The clone in a directory (made when it is missing) and its remote."""

    def __init__(self, remote: Remote, directory: str) -> None:
        self.remote, self.directory = remote, directory
        self.notices: list[str] = []
        self._opened: Any = None

    def recover(self) -> None:
        """Remove what a killed pass left in the clone: a lock would fail every later one. For the one pass that runs."""
        for folder in ("", "refs", ACCEPTED.rpartition("/")[0], "objects/pack"):
            path = os.path.join(self.directory, folder)
            for name in os.listdir(path) if os.path.isdir(path) else ():
                if name.endswith(".lock") or name.startswith("pack_git2_"):
                    os.unlink(os.path.join(path, name))

    def borrow(self, other: str) -> None:
        """Start as a clone that has all of another (a directory), by reference, and never writes there."""
        import pygit2

        if not os.path.isdir(os.path.join(other, "objects")):
            return
        pygit2.init_repository(self.directory, bare=True)
        with open(os.path.join(self.directory, "objects/info/alternates"), "w", encoding="utf-8") as file:
            file.write(f"{other}/objects\n")
        known = pygit2.Repository(other).references.get(ACCEPTED)
        if known is not None:  # so that only what is newer is downloaded
            self._accept(str(known.target))

    def remote_tip(self) -> str:
        """Ask which commit the branch is at; downloads nothing. Raises FetchFailed."""
        self._repository()
        heads = remote_heads(self.remote, self.directory)
        if f"refs/heads/{self.remote.branch}" not in heads:
            raise self._no_branch([name.removeprefix("refs/heads/") for name in heads])
        return heads[f"refs/heads/{self.remote.branch}"]

    def fetch(self, in_force: str | None) -> Revision:
        """Get the newest commit of the branch, downloading only what is not here.

        Raises FetchFailed, and RevisionRejected when the branch no longer contains the revision in force.
        """
        tip = self.remote_tip()
        if tip not in self._repository():
            tip = self._download()
        self._refuse_rewritten(tip, in_force)
        revision = self.revision(tip)
        self._accept(tip)
        return revision

    def revision(self, name: str) -> Revision:
        """Read a commit that is here, by id or name. Raises FetchFailed when there is none."""
        import pygit2

        repository = self._repository()
        for candidate in (name, f"{name}^{{commit}}"):
            try:
                found = repository.revparse_single(candidate)
                return Revision(repository, found.peel(pygit2.Commit))
            except (KeyError, ValueError, pygit2.GitError):
                continue
        raise FetchFailed(
            f"there is no commit {name} in {self.remote.shown}", "check the name; only what the branch contains is here"
        )

    def _download(self) -> str:
        try:
            return download(self.remote, self.directory)
        except FetchFailed as error:
            if "cannot be read" not in str(error) or not self._damaged():
                raise
            self._set_aside("it is damaged")
            return download(self.remote, self.directory)

    def _damaged(self) -> bool:
        """Tell whether our own clone cannot give the objects of the commit it accepted."""
        import pygit2

        try:
            repository = pygit2.Repository(self.directory)
            if ACCEPTED in repository.references:
                _ = repository.references[ACCEPTED].peel(pygit2.Tree)
        except (pygit2.GitError, KeyError):
            return True
        return False

    def _refuse_rewritten(self, tip: str, in_force: str | None) -> None:
        repository = self._repository()
        if not in_force or in_force == tip or self.remote.allow_rewritten_history:
            return
        if in_force in repository and repository.descendant_of(tip, in_force):
            return
        shown = f"{self.remote.branch}@{tip[:7]}"
        raise RevisionRejected(
            f"{shown} does not contain {in_force[:7]}, the revision in force: the history was rewritten",
            "push a commit on top of it, or set allow_rewritten_history: true in the settings",
        )

    def _accept(self, commit: str) -> None:
        repository = self._repository()
        known = repository.references.get(ACCEPTED)
        if known is None or str(known.target) != commit:
            repository.references.create(ACCEPTED, commit, force=True)

    def _no_branch(self, branches: list[str]) -> FetchFailed:
        wanted = self.remote.branch
        if not branches:
            return FetchFailed(f"{self.remote.shown} is empty: it has no branch", "push a first commit")
        close = difflib.get_close_matches(wanted, branches, n=1)
        known = ", ".join(sorted(branches)[:8])
        hint = f"did you mean {close[0]}?" if close else "set `branch` in the settings"
        return FetchFailed(f"{self.remote.shown} has no branch {wanted}; it has {known}", hint)

    def _repository(self) -> Any:  # noqa: ANN401  (pygit2 is imported late)
        if self._opened is None:
            import pygit2

            if not os.path.isdir(self.directory):
                pygit2.init_repository(self.directory, bare=True)
            try:
                self._opened = pygit2.Repository(self.directory)
            except pygit2.GitError as error:
                self._set_aside(str(error))
                self._opened = pygit2.Repository(self.directory)
        return self._opened

    def _set_aside(self, why: str) -> None:
        import pygit2

        aside = f"{self.directory}.unusable-{int(time.time())}"
        os.rename(self.directory, aside)
        pygit2.init_repository(self.directory, bare=True)
        self._opened = pygit2.Repository(self.directory)
        self.notices.append(f"the clone could not be used ({why}); it is now {aside}, and was fetched again")
