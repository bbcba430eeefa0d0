"""The gate, on repositories of this machine: what passes, what is refused by name, and that a refusal moves no ref."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pygit2
import pytest

from agent.errors import RevisionRejected, Unreachable
from agent.source import Contacts, Remote, Source, Trust
from modules.api import Completed, Unsupported
from tests.unit.fleets import commit

ONE, TWO, THREE = ({"fleet.yaml": f"format: 1\nvars: {{a: {number}}}\n"} for number in (1, 2, 3))
SIGNATURE = "-----BEGIN SSH SIGNATURE-----\nby {}\n-----END SSH SIGNATURE-----\n"


def judge(argv: Sequence[str], _data: bytes) -> Completed:
    """Stands in for ssh-keygen, which tests/system asks: alice's signatures are good."""
    good = "by alice" in Path(argv[-1]).read_text()
    return Completed(0 if good else 255, "alice@example.com\n" if good else "", "")


def sign(repository: Path, name: str) -> str:
    """Replace the newest commit by the same one, signed by somebody; its id."""
    opened = pygit2.Repository(str(repository))
    tip = opened[opened.references["refs/heads/main"].target]
    made = opened.create_commit_with_signature(tip.read_raw().decode(), SIGNATURE.format(name))
    opened.references.create("refs/heads/main", made, force=True)
    return str(made)


class Host:
    """A clone that follows the repository and a mirror of it, and knows whose signatures count."""

    def __init__(self, directory: Path) -> None:
        self.first, self.mirror, self.clone = directory / "a.git", directory / "b.git", directory / "repo.git"
        self.keys = directory / "trusted.d"
        self.keys.mkdir(mode=0o755)
        self.mode = ""
        self.run = judge

    def trust(self) -> None:
        (self.keys / "people.signers").write_text("alice@example.com ssh-ed25519 AAAA\n")
        (self.keys / "people.signers").chmod(0o644)

    def source(self) -> Source:
        remotes = Contacts([Remote(str(self.first)), Remote(str(self.mirror))])
        return Source(remotes, str(self.clone), Trust(self.mode, str(self.keys), self.run))

    def refs(self) -> dict[str, str]:
        """Every ref of the clone."""
        if not self.clone.exists():
            return {}
        return {name: str(ref.target) for ref in pygit2.Repository(str(self.clone)).references.iterator() for name in [ref.name]}  # fmt: skip

    def refused(self, accepted: str) -> RevisionRejected:
        """The refusal of what is there; no ref moves."""
        before = self.refs()
        with pytest.raises(RevisionRejected) as caught:
            self.source().fetch(accepted)
        assert self.refs() == before
        return caught.value


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_only_what_is_accepted_gets_a_ref(host: Host) -> None:
    first = commit(host.first, ONE)
    opened = pygit2.Repository(str(host.first))
    opened.references.create("refs/tags/v1", first)
    host.source().fetch("")
    assert host.refs() == {"refs/gitops-agent/accepted": first}


def test_an_older_tip_is_refused_and_the_old_line_goes_on(host: Host) -> None:
    older = commit(host.first, ONE)
    accepted = commit(host.first, TWO)
    host.source().fetch("")
    main = pygit2.Repository(str(host.first)).references["refs/heads/main"]
    main.set_target(older)
    refusal = host.refused(accepted)
    assert str(refusal).startswith(
        f"main@{older[:7]} does not contain {accepted[:7]}, the accepted revision: it is older"
    )
    assert (refusal.commit, refusal.tip, refusal.reason) == (older, older, "HistoryRefused")
    main.set_target(accepted)
    third = commit(host.first, THREE)
    assert host.source().fetch(accepted).commit == third


def test_another_history_is_refused(host: Host) -> None:
    accepted = commit(host.first, ONE)
    host.source().fetch("")
    other = commit(host.first, TWO, parents=0)
    refusal = host.refused(accepted)
    assert "the history was rewritten" in str(refusal)
    assert f"agentctl source accept {other[:12]} --reason" in refusal.hint


def test_a_mirror_passes_the_same_gate(host: Host) -> None:
    accepted = commit(host.first, ONE)
    host.source().fetch("")
    host.first.rename(host.first.with_suffix(".away"))
    behind = commit(host.mirror, TWO)
    source = host.source()
    with pytest.raises(RevisionRejected, match=f"main@{behind[:7]} does not contain"):
        source.fetch(accepted)
    assert [bool(contact["failures"]) for contact in source.contacts.to_json()] == [True, False]


def test_a_mirror_that_lags_behind_is_passed_over_and_refuses_nothing(host: Host) -> None:
    first = commit(host.first, ONE)
    shutil.copytree(host.first, host.mirror)
    accepted = commit(host.first, TWO)
    host.source().fetch("")
    host.first.rename(host.first.with_suffix(".away"))
    source = host.source()
    for ask in (source.remote_tip, lambda: source.fetch(accepted)):
        with pytest.raises(
            Unreachable, match=f"{host.mirror} lags behind: main is at {first[:7]} there, and {accepted[:7]}"
        ):
            ask()
    assert host.refs() == {"refs/gitops-agent/accepted": accepted}
    shutil.rmtree(host.mirror)
    shutil.copytree(host.first.with_suffix(".away"), host.mirror)
    assert host.source().remote_tip() == accepted, "it has caught up"
    newer = commit(host.mirror, THREE)
    assert host.source().fetch(accepted).commit == newer


def test_the_first_of_several_that_has_caught_up_serves(host: Host) -> None:
    commit(host.first, ONE)
    shutil.copytree(host.first, host.mirror)
    accepted = commit(host.first, TWO)
    host.source().fetch("")
    third = host.first.with_suffix(".third")
    host.first.rename(third)
    remotes = Contacts([Remote(str(path)) for path in (host.first, host.mirror, third)])
    assert Source(remotes, str(host.clone)).fetch(accepted).commit == accepted
    assert [contact["failures"] for contact in remotes.to_json()] == [1, 1, 0]


def test_without_a_key_nothing_is_verified_and_with_one_everything_since(host: Host) -> None:
    accepted = commit(host.first, ONE)
    assert host.source().fetch("").signed_by == ""
    host.trust()
    assert host.source().fetch(accepted).commit == accepted, "what is accepted is not asked again"
    hidden = commit(host.first, TWO, "hidden")
    commit(host.first, THREE)
    tip = sign(host.first, "alice")
    refusal = host.refused(accepted)
    assert (refusal.commit, refusal.tip, refusal.reason) == (hidden, tip, "VerifyFailed")
    assert f'{hidden[:7]} "hidden" is not signed' in str(refusal)
    host.mode = "tip"
    assert host.source().fetch(accepted).signed_by == "alice@example.com"


@pytest.mark.parametrize("mode", ["tip", "range", ""])
@pytest.mark.parametrize("by", ["", "mallory"])
def test_a_tip_that_nobody_trusted_signed_moves_no_ref(host: Host, mode: str, by: str) -> None:
    host.trust()
    host.mode = mode
    commit(host.first, ONE)
    accepted = sign(host.first, "alice")
    assert host.source().fetch("").signed_by == "alice@example.com"
    commit(host.first, TWO)
    if by:
        sign(host.first, by)
    assert host.refused(accepted).reason == "VerifyFailed"


def test_the_very_first_tip_is_held_to_it_too(host: Host) -> None:
    host.trust()
    commit(host.first, ONE)
    assert host.refused("").reason == "VerifyFailed"
    assert host.refs() == {}


def test_off_verifies_nothing_though_there_is_a_key(host: Host) -> None:
    host.trust()
    host.mode = "off"
    assert host.source().fetch(commit(host.first, ONE) and "").signed_by == ""


@pytest.mark.parametrize("trouble", ["no key", "open to others", "no program"])
def test_what_cannot_be_verified_is_refused_and_not_an_error_of_the_pass(host: Host, trouble: str) -> None:
    def missing(argv: Sequence[str], _data: bytes) -> Completed:
        raise Unsupported(f"{argv[0]} is not installed on this host; install the package openssh-client")

    host.mode = "range"
    if trouble != "no key":
        host.trust()
    if trouble == "open to others":
        (host.keys / "people.signers").chmod(0o666)
    if trouble == "no program":
        host.run = missing
    commit(host.first, ONE)
    tip = sign(host.first, "alice")
    refusal = host.refused("")
    assert (refusal.tip, refusal.reason) == (tip, "VerifyFailed")
    assert f"{tip[:7]} cannot be verified: " in str(refusal)


def test_a_mark_tells_keys_that_changed(host: Host) -> None:
    assert host.source().trust.mark() == ""
    host.trust()
    first = host.source().trust.mark()
    (host.keys / "more.asc").write_text("key")
    assert len({first, host.source().trust.mark(), ""}) == 3


def test_what_a_person_asks_for_by_name_is_held_to_signatures_and_not_to_the_floor(host: Host) -> None:
    older = commit(host.first, ONE)
    commit(host.first, TWO)
    accepted = sign(host.first, "alice")
    host.trust()
    source = host.source()
    source.fetch("")
    source.judge(source.at(older), accepted)
    other = commit(host.first, THREE, parents=0)
    with pytest.raises(RevisionRejected, match="is not signed"):
        source.judge(source.at(other), accepted)
