"""Source: a bare repository of our own, and the remotes it follows.

Nothing of ours refers to a commit before it is accepted: what is fetched gets no ref (only git's own note of it, `FETCH_HEAD`), is
checked, and only then becomes the accepted one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from typing import Any

from agent.errors import FetchFailed, Unreachable, nearest_of
from agent.source.contacts import Contacts
from agent.source.library import library
from agent.source.network import REFS, download, remote_refs
from agent.source.remote import Remote
from agent.source.revision import Revision
from agent.source.signatures import Trust
from agent.source.tree import Below, Entry, Tree
from agent.source.working_tree import WorkingTree

__all__ = ["Below", "Contacts", "Entry", "Remote", "Revision", "Source", "Tree", "Trust", "WorkingTree"]

ACCEPTED = "refs/gitops-agent/accepted"


class Source:
    """The clone in a directory (made when it is missing), the remotes in order, and whose signatures count."""

    def __init__(self, remotes: Remote | Contacts, directory: str, trust: Trust = Trust()) -> None:  # noqa: B008
        self.contacts = Contacts([remotes]) if isinstance(remotes, Remote) else remotes
        self.remote, self.directory, self.trust = self.contacts.remotes[0], directory, trust
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
            self.accept(str(known.target))

    def holds(self, commit: str) -> bool:
        """Tell whether a commit is here and can be read."""
        return self._has(commit)

    def remote_tip(self) -> str:
        """Ask which commit the branch is at; downloads nothing. Raises FetchFailed."""
        self._repository()
        return self.contacts.first_answer(self._tip_at)

    def fetch(self, accepted: str | None) -> Revision:
        """Get the newest commit of the branch, downloading only what is not here, and accept it if it passes the gate.

        Raises FetchFailed, and RevisionRejected when the branch no longer contains the accepted commit, or when it is
        not signed as it should be; no ref has moved then.
        """
        from agent.source.gate import judge_history, judge_signatures  # the daemon does without

        self._repository()
        tip = self.contacts.first_answer(self._bring_tip)
        revision = self.revision(tip)
        if accepted and accepted != tip and not self.remote.allow_rewritten_history:
            judge_history(self._repository(), tip, accepted, f"{self.remote.branch}@{tip[:7]}")
        if accepted != tip:
            revision.signed_by = judge_signatures(self._repository(), tip, accepted or "", self.trust)
        self.accept(tip)
        return revision

    def at(self, name: str) -> Revision:
        """Get a branch, a tag or a commit that a person asks for, downloading what is not here; nothing is accepted by it.

        Raises FetchFailed.
        """
        self._repository()
        return self.contacts.first_answer(lambda remote: self._named(remote, name))

    def judge(self, revision: Revision, accepted: str) -> None:
        """Hold a revision that a person asked for by name to the signatures that all need. Raises RevisionRejected."""
        from agent.source.gate import contains, judge_signatures

        if not accepted or not contains(self._repository(), accepted, revision.commit):
            revision.signed_by = judge_signatures(self._repository(), revision.commit, accepted, self.trust)

    def _named(self, remote: Remote, name: str) -> Revision:
        refs = remote_refs(remote, self.directory)
        for ref in (f"{prefix}{name}" for prefix in REFS):
            if ref in refs:
                commit = refs.get(f"{ref}^{{}}", refs[ref])
                return self.revision(commit if self._has(commit) else self._download(remote, ref))
        if not re.fullmatch("[0-9a-f]{7,40}", name):
            raise _no_such(remote, name, refs)
        if not self._has(name):
            self._download(remote, *(ref for ref in refs if ref.startswith("refs/heads/")))
        return self.revision(name)

    def _tip_at(self, remote: Remote) -> str:
        refs = remote_refs(remote, self.directory)
        ref = f"refs/heads/{remote.branch}"
        if ref not in refs:
            raise _no_such(remote, remote.branch, refs)
        if remote is not self.remote:
            self._pass_over_laggard(remote, refs[ref])
        return refs[ref]

    def _pass_over_laggard(self, remote: Remote, tip: str) -> None:
        """A mirror that has not got yet what was accepted knows nothing new, which is no rewritten history. Raises Unreachable.

        The first remote is where people push: an older branch there was set back, and the gate says so.
        """
        from agent.source.gate import contains

        accepted = self.accepted
        if accepted and tip != accepted and contains(self._repository(), accepted, tip):
            what = f"{remote.shown} lags behind: {remote.branch} is at {tip[:7]} there, and {accepted[:7]} was accepted here"
            raise Unreachable(what, "see whether it is still brought up to date")

    def _bring_tip(self, remote: Remote) -> str:
        tip = self._tip_at(remote)
        return tip if self._has(tip) else self._download(remote, f"refs/heads/{remote.branch}")

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

    def _download(self, remote: Remote, *refs: str) -> str:
        try:
            return download(remote, self.directory, refs)
        except FetchFailed as error:
            if "cannot be read" not in str(error) or not self._damaged():
                raise
            self._set_aside("it is damaged")
            return download(remote, self.directory, refs)

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

    @property
    def accepted(self) -> str:
        """The commit that the clone has as the accepted one; empty when there is no clone, or none that can be read."""
        if not os.path.isdir(self.directory):
            return ""
        pygit2 = library(self.directory)
        try:
            found = pygit2.Repository(self.directory).references.get(ACCEPTED)
        except pygit2.GitError:
            return ""
        return str(found.target) if found is not None else ""

    def accept(self, commit: str) -> None:
        """Have the clone refer to a commit as the accepted one."""
        if self.accepted != commit:
            self._repository().references.create(ACCEPTED, commit, force=True)

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


def _no_such(remote: Remote, wanted: str, refs: Iterable[str]) -> FetchFailed:
    if f"refs/tags/{wanted}" in refs:
        step = "set `branch` in the settings; agentctl apply --ref takes a tag once"
        return FetchFailed(f"{wanted} is a tag of {remote.shown}, and the agent follows a branch", step)
    branches = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")]
    if not branches:
        return FetchFailed(f"{remote.shown} is empty: it has no branch", "push a first commit")
    close = nearest_of(wanted, branches)
    known = ", ".join(sorted(branches)[:8])
    hint = f"did you mean {close}?" if close else "set `branch` in the settings"
    return FetchFailed(f"{remote.shown} has no branch {wanted}; it has {known}", hint)
