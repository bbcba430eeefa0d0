"""Source: a bare repository of our own, and the remote it follows.

Nothing of ours refers to a commit before it is accepted: what is fetched goes to a ref that nothing relies on, is checked,
and only then becomes the accepted one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from typing import Any

from agent.errors import FetchFailed, RevisionRejected, nearest_of
from agent.source.library import library
from agent.source.network import REFS, download, download_branches, remote_refs
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
        pygit2 = library(self.directory)

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
        branch = self.remote.branch
        refs = remote_refs(self.remote, self.directory)
        if f"refs/heads/{branch}" not in refs:
            raise self._no_such(branch, refs)
        return refs[f"refs/heads/{branch}"]

    def fetch(self, in_force: str | None) -> Revision:
        """Get the newest commit of the branch, downloading only what is not here.

        Raises FetchFailed, and RevisionRejected when the branch no longer contains the revision in force.
        """
        tip = self.remote_tip()
        if not self._has(tip):
            tip = self._download(f"refs/heads/{self.remote.branch}")
        self._refuse_rewritten(tip, in_force)
        revision = self.revision(tip)
        self._accept(tip)
        return revision

    def at(self, name: str) -> Revision:
        """Get a branch, a tag or a commit that a person asks for, downloading what is not here; nothing is accepted by it.

        Raises FetchFailed.
        """
        self._repository()
        refs = remote_refs(self.remote, self.directory)
        for ref in (f"{prefix}{name}" for prefix in REFS):
            if ref in refs:
                commit = refs.get(f"{ref}^{{}}", refs[ref])
                return self.revision(commit if self._has(commit) else self._download(ref))
        if not re.fullmatch("[0-9a-f]{7,40}", name):
            raise self._no_such(name, refs)
        if not self._has(name):
            download_branches(self.remote, self.directory)
        return self.revision(name)

    def revision(self, name: str) -> Revision:
        """Read a commit that is here, by id or name. Raises FetchFailed when there is none."""
        pygit2 = library(self.directory)
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

    def _download(self, ref: str) -> str:
        try:
            return download(self.remote, self.directory, ref)
        except FetchFailed as error:
            if "cannot be read" not in str(error) or not self._damaged():
                raise
            self._set_aside("it is damaged")
            return download(self.remote, self.directory, ref)

    def _has(self, commit: str) -> bool:
        pygit2 = library(self.directory)
        try:
            return self._repository()[commit].peel(pygit2.Tree) is not None
        except (KeyError, pygit2.GitError):
            return False

    def _damaged(self) -> bool:
        """Tell whether our own clone cannot give the objects of the commit it accepted."""
        pygit2 = library(self.directory)
        try:
            repository = pygit2.Repository(self.directory)
            if ACCEPTED in repository.references:
                _ = repository.references[ACCEPTED].peel(pygit2.Tree)
        except (pygit2.GitError, KeyError):
            return True
        return False

    def _refuse_rewritten(self, tip: str, in_force: str | None) -> None:
        if not in_force or in_force == tip or self.remote.allow_rewritten_history or self._contains(tip, in_force):
            return
        shown = f"{self.remote.branch}@{tip[:7]}"
        raise RevisionRejected(
            f"{shown} does not contain {in_force[:7]}, the revision in force: the history was rewritten",
            "push a commit on top of it, or set allow_rewritten_history: true in the settings",
        )

    def _contains(self, tip: str, commit: str) -> bool:
        pygit2 = library(self.directory)
        try:
            return self._has(commit) and bool(self._repository().descendant_of(tip, commit))
        except pygit2.GitError as error:
            hint = f"remove {self.directory}, and it is fetched again"
            raise FetchFailed(f"the history of the clone cannot be read: {error}", hint) from error

    def _accept(self, commit: str) -> None:
        repository = self._repository()
        known = repository.references.get(ACCEPTED)
        if known is None or str(known.target) != commit:
            repository.references.create(ACCEPTED, commit, force=True)

    def _no_such(self, wanted: str, refs: Iterable[str]) -> FetchFailed:
        branches = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")]
        if not branches:
            return FetchFailed(f"{self.remote.shown} is empty: it has no branch", "push a first commit")
        close = nearest_of(wanted, branches)
        known = ", ".join(sorted(branches)[:8])
        hint = f"did you mean {close}?" if close else "set `branch` in the settings"
        return FetchFailed(f"{self.remote.shown} has no branch {wanted}; it has {known}", hint)

    def _repository(self) -> Any:  # noqa: ANN401  (pygit2 is imported late)
        if self._opened is None:
            pygit2 = library(self.directory)
            if not os.path.lexists(self.directory):
                pygit2.init_repository(self.directory, bare=True)
            try:
                self._opened = pygit2.Repository(self.directory)
            except pygit2.GitError as error:
                self._set_aside(str(error))
                self._opened = pygit2.Repository(self.directory)
        return self._opened

    def _set_aside(self, why: str) -> None:
        pygit2 = library(self.directory)
        aside = f"{self.directory}.unusable"
        shutil.rmtree(aside, ignore_errors=True)  # one is kept: a disk that fails again and again must not fill up
        os.rename(self.directory, aside)
        pygit2.init_repository(self.directory, bare=True)
        self._opened = pygit2.Repository(self.directory)
        self.notices.append(f"the clone could not be used ({why}); it is now {aside}, and was fetched again")
