"""Signatures of commits, made by git with real keys, judged by gpgv and ssh-keygen."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pygit2
import pytest

from agent.errors import ConfigInvalid, RevisionRejected
from agent.host import commands
from agent.source.signatures import RANGE, TIP, Trust, verify
from modules.api import Completed

ALICE, MALLORY = "alice@example.com", "mallory@example.com"


def run(argv: Sequence[str], data: bytes) -> Completed:
    return commands.ask(argv, data)


class Repository:
    """A repository whose commits are signed by whom a test says."""

    def __init__(self, home: Path) -> None:
        self.home, self.work, self.trusted = home, home / "work", home / "trusted"
        for directory in (self.work, self.trusted, home / "gnupg"):
            directory.mkdir(parents=True)
        (home / "gnupg").chmod(0o700)
        for name in ("alice", "mallory"):
            self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name))
        self.git("init", "-q", "-b", "main", ".")
        self.trust_alice()

    def trust_alice(self, options: str = 'namespaces="git"') -> None:
        key = " ".join((self.home / "alice.pub").read_text().split()[:2])
        (self.trusted / "people.signers").write_text(f"{ALICE} {options} {key}\n")

    def run(self, *command: str, **more: str) -> str:
        environment = {**os.environ, "GNUPGHOME": str(self.home / "gnupg"), "GIT_CONFIG_GLOBAL": "/dev/null", **more}
        ended = subprocess.run(command, cwd=self.work, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def git(self, *arguments: str, **more: str) -> str:
        named = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        return self.run("git", *named, *arguments, **more)

    def commit(self, by: str = "", message: str = "change", **more: str) -> str:
        """A commit, signed with an ssh key by name, by `gpg`, or by nobody."""
        signing: tuple[str, ...] = ()
        if by == "gpg":
            signing = ("-c", "gpg.format=openpgp", "-c", "user.signingkey=ops@example.com", "-c", "commit.gpgsign=true")
        elif by:
            signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={self.home / by}", "-c", "commit.gpgsign=true")
        self.git(*signing, "commit", "-q", "--allow-empty", "-m", message, **more)
        return self.git("rev-parse", "HEAD")

    def verify(self, tip: str, accepted: str = "", mode: str = TIP) -> str:
        return verify(pygit2.Repository(str(self.work)), tip, accepted, Trust(mode, str(self.trusted), run))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_who_signed_is_told(repository: Repository) -> None:
    assert repository.verify(repository.commit("alice")) == ALICE


@pytest.mark.parametrize("by", ["", "mallory"])
def test_a_commit_that_nobody_trusted_signed_is_refused(repository: Repository, by: str) -> None:
    commit = repository.commit(by, "take over")
    with pytest.raises(RevisionRejected, match='"take over" is not signed') as raised:
        repository.verify(commit)
    assert (raised.value.commit, raised.value.reason) == (commit, "VerifyFailed")


def test_a_commit_changed_after_it_was_signed_is_refused(repository: Repository) -> None:
    good = repository.git("cat-file", "commit", repository.commit("alice", "harmless"))
    forged = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"], input=good.replace("harmless", "harmful!") + "\n",
        cwd=repository.work, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    with pytest.raises(RevisionRejected, match="was changed since"):
        repository.verify(forged)


def test_a_signature_made_for_another_purpose_is_refused(repository: Repository) -> None:
    repository.trust_alice('namespaces="file"')
    with pytest.raises(RevisionRejected):
        repository.verify(repository.commit("alice"))


@pytest.mark.parametrize(("dates", "good"), [
    ('valid-before="20200101"', False), ('valid-after="20200101"', True), ('valid-after="20990101"', False),
])  # fmt: skip
def test_validity_dates_of_signers_hold(repository: Repository, dates: str, good: bool) -> None:
    commit = repository.commit("alice")
    repository.trust_alice(f'namespaces="git",{dates}')
    if good:
        assert repository.verify(commit) == ALICE
    else:
        with pytest.raises(RevisionRejected):
            repository.verify(commit)


def test_an_expired_key_signs_nothing_by_dating_back(repository: Repository) -> None:
    accepted = repository.commit("alice")
    repository.trust_alice('namespaces="git",valid-before="20200101"')
    back = repository.commit("alice", GIT_COMMITTER_DATE="2019-01-01T00:00:00Z", GIT_AUTHOR_DATE="2019-01-01T00:00:00Z")
    assert repository.verify(back) == ALICE  # as Git judges it: valid when it was made
    with pytest.raises(RevisionRejected):
        repository.verify(back, accepted)


def test_range_wants_every_commit_since_the_accepted_one_signed(repository: Repository) -> None:
    first = repository.commit()  # before anything was accepted
    accepted = repository.commit("alice")
    hidden = repository.commit("", "hidden")
    tip = repository.commit("alice")
    assert repository.verify(tip, accepted, TIP) == ALICE
    with pytest.raises(RevisionRejected, match="hidden") as raised:
        repository.verify(tip, accepted, RANGE)
    assert raised.value.commit == hidden
    assert repository.verify(accepted, first, RANGE) == ALICE


def test_range_looks_into_what_was_merged(repository: Repository) -> None:
    accepted = repository.commit("alice")
    repository.git("checkout", "-q", "-b", "side")
    repository.commit("", "smuggled")
    repository.git("checkout", "-q", "main")
    repository.commit("alice")
    signed = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={repository.home / 'alice'}", "-c", "commit.gpgsign=true")
    repository.git(*signed, "merge", "-q", "--no-ff", "-m", "merge", "side")
    with pytest.raises(RevisionRejected, match="smuggled"):
        repository.verify(repository.git("rev-parse", "HEAD"), accepted, RANGE)


def test_a_signed_seal_vouches_for_all_before_it(repository: Repository) -> None:
    accepted = repository.commit("alice")
    repository.commit("", "made before keys were asked for")
    sealed = repository.commit("alice", "adopt\n\nGitops-Seal: reviewed by hand")
    assert repository.verify(sealed, accepted, RANGE) == ALICE
    assert repository.verify(repository.commit("alice"), accepted, RANGE) == ALICE


def test_a_seal_that_is_not_signed_vouches_for_nothing(repository: Repository) -> None:
    accepted = repository.commit("alice")
    repository.commit("", "x\n\nGitops-Seal: trust me")
    with pytest.raises(RevisionRejected):
        repository.verify(repository.commit("alice"), accepted, RANGE)


@pytest.mark.parametrize("armoured", [True, False])
def test_gpg_keys_are_taken_as_files_and_as_text(repository: Repository, armoured: bool) -> None:
    made = (
        "gpg",
        "--batch",
        "--passphrase",
        "",
        "--quick-gen-key",
        "Operations <ops@example.com>",
        "ed25519",
        "sign",
        "never",
    )
    repository.run(*made)
    target = repository.trusted / ("ops.asc" if armoured else "ops.gpg")
    repository.run("gpg", "--batch", "--output", str(target), *(["--armor"] if armoured else []), "--export")
    assert repository.verify(repository.commit("gpg")).startswith("Operations <ops@example.com> (")
    target.unlink()
    with pytest.raises(RevisionRejected):
        repository.verify(repository.git("rev-parse", "HEAD"))
    repository.run("gpgconf", "--kill", "all")


def test_keys_that_others_can_change_are_not_trusted(repository: Repository) -> None:
    commit = repository.commit("alice")
    (repository.trusted / "people.signers").chmod(0o666)
    with pytest.raises(ConfigInvalid, match="can be changed by others"):
        repository.verify(commit)


def test_to_verify_without_keys_is_an_error_and_not_a_pass(repository: Repository) -> None:
    (repository.trusted / "people.signers").unlink()
    with pytest.raises(ConfigInvalid, match="has no key"):
        repository.verify(repository.commit("alice"))
