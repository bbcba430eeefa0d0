"""Sources of repositories on this machine, and what is known of a remote from its URL alone."""

from __future__ import annotations

import os
from pathlib import Path

import pygit2
import pytest

from agent.errors import FetchFailed, RevisionRejected
from agent.isolated import Died, Overdue, run_isolated
from agent.source import Remote, Source
from agent.source.network import explain
from agent.source.remote import private_file
from tests.unit.fleets import commit

ONE, TWO = {"fleet.yaml": "format: 1\n"}, {"fleet.yaml": "format: 1\nvars: {}\n"}


@pytest.fixture(params=["", "file://"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    return Source(Remote(f"{request.param}{tmp_path}/fleet.git"), str(tmp_path / "repo.git"))


def again(source: Source, **settings: object) -> Source:
    return Source(Remote(source.remote.url, **settings), source.directory)  # type: ignore[arg-type]


def test_the_newest_commit_is_fetched(source: Source, tmp_path: Path) -> None:
    first = commit(tmp_path / "fleet.git", ONE, "  first \n\nbody")
    revision = source.fetch(None)
    assert (revision.commit, revision.summary, revision.author) == (first, "first", "ops@example.com")
    assert revision.committed_at == 1_700_000_000
    second = commit(tmp_path / "fleet.git", TWO)
    assert source.fetch(first).commit == second
    assert again(source).fetch(second).commit == second
    assert source.revision(first).read("fleet.yaml") == b"format: 1\n"


def test_nothing_is_downloaded_to_know_where_the_branch_is(source: Source, tmp_path: Path) -> None:
    first = commit(tmp_path / "fleet.git", ONE)
    assert source.remote_tip() == first
    assert first not in pygit2.Repository(source.directory)


def test_a_rewritten_branch_is_refused_and_what_was_accepted_stays(source: Source, tmp_path: Path) -> None:
    first = commit(tmp_path / "fleet.git", ONE)
    source.fetch(None)
    other = commit(tmp_path / "fleet.git", TWO, parents=0)
    with pytest.raises(RevisionRejected, match=f"main@{other[:7]} does not contain {first[:7]}, the accepted revision"):
        source.fetch(first)
    assert str(pygit2.Repository(source.directory).references["refs/gitops-agent/accepted"].target) == first
    assert again(source, allow_rewritten_history=True).fetch(first).commit == other
    third = commit(tmp_path / "fleet.git", ONE)
    assert source.fetch(other).commit == third


def test_an_accepted_revision_that_is_not_here_is_no_part_of_the_branch(source: Source, tmp_path: Path) -> None:
    commit(tmp_path / "fleet.git", ONE)
    with pytest.raises(RevisionRejected):
        source.fetch("0" * 40)


def test_a_branch_that_is_not_there(source: Source, tmp_path: Path) -> None:
    commit(tmp_path / "fleet.git", ONE)
    with pytest.raises(FetchFailed, match=r"has no branch mian; it has main; did you mean main\?"):
        again(source, branch="mian").fetch(None)


def test_a_commit_that_is_not_there(source: Source, tmp_path: Path) -> None:
    commit(tmp_path / "fleet.git", ONE)
    with pytest.raises(FetchFailed, match="there is no commit 1234567"):
        source.revision("1234567")


def test_a_clone_that_is_none_is_set_aside(source: Source, tmp_path: Path) -> None:
    first = commit(tmp_path / "fleet.git", ONE)
    os.mkdir(source.directory)
    assert source.fetch(None).commit == first
    assert source.notices[0].endswith(f"it is now {source.directory}.unusable, and was fetched again")


# What a URL says


@pytest.mark.parametrize(
    ("url", "scheme", "host", "shown", "user"),
    [
        ("/srv/fleet.git", "file", "", "/srv/fleet.git", "git"),
        ("file:///srv/fleet.git", "file", "", "file:///srv/fleet.git", "git"),
        ("https://example.com/a.git", "https", "example.com", "https://example.com/a.git", "git"),
        ("HTTPS://example.com/a.git", "https", "example.com", "HTTPS://example.com/a.git", "git"),
        ("https://me:pw@example.com:8443/a", "https", "[example.com]:8443", "https://example.com:8443/a", "me"),
        ("https://me:p@w:x@example.com/a", "https", "example.com", "https://example.com/a", "me"),
        ("ssh://deploy@example.com/a", "ssh", "example.com", "ssh://example.com/a", "deploy"),
        ("ssh://deploy@example.com:22/a", "ssh", "example.com", "ssh://example.com:22/a", "deploy"),
        ("ssh://example.com:2222/a", "ssh", "[example.com]:2222", "ssh://example.com:2222/a", "git"),
        ("ssh://git@[::1]:2222/a", "ssh", "[::1]:2222", "ssh://[::1]:2222/a", "git"),
        ("ssh://git@[::1]/a", "ssh", "::1", "ssh://[::1]/a", "git"),
        ("git@example.com:fleet.git", "ssh", "example.com", "git@example.com:fleet.git", "git"),
        ("example.com:fleet.git", "ssh", "example.com", "example.com:fleet.git", "git"),
    ],
)
def test_what_a_url_says(url: str, scheme: str, host: str, shown: str, user: str) -> None:
    remote = Remote(url)
    assert (remote.scheme, remote.shown, remote.user()) == (scheme, shown, user)
    assert scheme == "file" or remote.host == host


def test_a_user_of_the_settings_wins() -> None:
    assert Remote("https://me@example.com/a", username="you").user() == "you"


@pytest.mark.parametrize(
    "message", ["failed to parse https://me:pw@example.com/a", "malformed URL 'https://me:pw@example.com/a'"]
)
def test_words_of_the_library_never_tell_a_password(message: str) -> None:
    said = str(explain(Remote("https://me:pw@example.com/a"), message))
    assert "pw" not in said
    assert "example.com/a" in said


def test_how_to_trust_names_the_port_and_the_file() -> None:
    assert Remote("ssh://git@example.com:2222/a").how_to_trust() == (
        "compare what `ssh-keyscan -p 2222 example.com` prints with what the server's owner tells you, then append it "
        "to /etc/gitops-agent/known_hosts"
    )


# Secrets in files


def test_a_secret_loses_only_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(" a b \n")
    path.chmod(0o600)
    assert Remote("x", token_file=str(path)).password() == " a b "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o677])
def test_a_secret_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(mode)
    with pytest.raises(FetchFailed, match=f"the token file {path} is open to other users; chmod 0600 {path}"):
        private_file(str(path), "token")


def test_a_secret_that_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(FetchFailed, match="is not a regular file"):
            private_file(str(path), "token")


# Isolation


@pytest.mark.processes(reason="isolation is a process of its own")
def test_a_result_comes_back() -> None:
    assert run_isolated(lambda alive: {"a": [1, "ü", None]}, 5) == {"a": [1, "ü", None]}


@pytest.mark.processes(reason="isolation is a process of its own")
def test_what_is_alive_may_take_longer() -> None:
    import time

    def slow(alive: object) -> str:
        for _ in range(6):
            time.sleep(0.1)
            alive()  # type: ignore[operator]
        return "done"

    assert run_isolated(slow, 0.4) == "done"


@pytest.mark.processes(reason="isolation is a process of its own")
def test_what_gives_no_sign_of_life_is_ended() -> None:
    import time

    with pytest.raises(Overdue, match=r"no sign of life for 0\.2 s"):
        run_isolated(lambda alive: time.sleep(60), 0.2)


@pytest.mark.processes(reason="isolation is a process of its own")
@pytest.mark.parametrize(
    "ending", [lambda alive: os.kill(os.getpid(), 9), lambda alive: os._exit(0), lambda alive: 1 / 0]
)
def test_what_dies_is_told(ending: object) -> None:
    with pytest.raises(Died):
        run_isolated(ending, 5)  # type: ignore[arg-type]
