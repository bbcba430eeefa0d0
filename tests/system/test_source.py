"""agent.source against real Git servers: every transport, every way to be refused, and nothing hangs or tells a secret."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.errors import FetchFailed, RevisionRejected
from agent.source import Remote, Source
from tests.hosts.git import (
    GitRepository,
    HttpServer,
    SshServer,
    dead_server,
    http_server,
    private_ca,
    ssh_server,
)
from tests.hosts.relay import Relay

CODE = Path(__file__).parents[2]
SECRET = "correct-horse-battery"
MakeSource = Callable[..., Source]


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "served")
    made.commit({"fleet.yaml": "format: 1\n"}, "first")
    return made


@pytest.fixture
def http(repository: GitRepository) -> Iterator[HttpServer]:
    with http_server(repository.bare.parent) as server:
        yield server


@pytest.fixture
def locked(repository: GitRepository) -> Iterator[HttpServer]:
    with http_server(repository.bare.parent, login=f"deploy:{SECRET}") as server:
        yield server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def source(tmp_path: Path) -> MakeSource:
    def make(url: object, **settings: object) -> Source:
        limits = {"connect_timeout_seconds": 5, "transfer_timeout_seconds": 5}
        return Source(Remote(str(url), **{**limits, **settings}), str(tmp_path / "state" / "repo.git"))  # type: ignore[arg-type]

    (tmp_path / "state").mkdir()
    return make


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return str(path)


def refused(source: Source, seconds: float = 4) -> str:
    """What a fetch that must fail says, and that it says it soon and tells no secret."""
    started = time.monotonic()
    with pytest.raises(FetchFailed) as caught:
        source.fetch(None)
    assert time.monotonic() - started < seconds
    assert SECRET not in str(caught.value)
    return str(caught.value)


def noise(size: int = 3 << 20) -> bytes:
    """Bytes that do not compress."""
    return random.Random(1).randbytes(size)


# Transports


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_path(repository: GitRepository, source: MakeSource, prefix: str) -> None:
    revision = source(f"{prefix}{repository.bare}").fetch(None)
    assert revision.commit == repository.head()
    assert (revision.summary, revision.author) == ("first", "ops@example.com")
    assert revision.read("fleet.yaml") == b"format: 1\n"


def test_http(http: HttpServer, repository: GitRepository, source: MakeSource) -> None:
    assert source(http.url()).fetch(None).commit == repository.head()


def test_https_with_a_private_ca_and_refused_without(
    repository: GitRepository, source: MakeSource, tmp_path: Path
) -> None:
    certificate, context = private_ca(tmp_path)
    with http_server(repository.bare.parent, tls=context) as server:
        said = refused(source(server.url()))
        assert said == (
            f"the certificate of {server.url()} is not trusted; "
            "set ca_file to the CA that signed it, and check the name and date"
        )
        assert server.log.requests == []
        assert source(server.url(), ca_file=str(certificate)).fetch(None).commit == repository.head()


def test_https_with_a_ca_file_that_is_not_there(repository: GitRepository, source: MakeSource, tmp_path: Path) -> None:
    _, context = private_ca(tmp_path)
    with http_server(repository.bare.parent, tls=context) as server:
        assert "ca_file /nowhere.pem" in refused(source(server.url(), ca_file="/nowhere.pem"))


def test_ssh_with_a_key(sshd: SshServer, repository: GitRepository, source: MakeSource) -> None:
    made = source(sshd.url(repository.bare), ssh_key=str(sshd.key), known_hosts=str(sshd.known_hosts))
    assert made.fetch(None).commit == repository.head()
    second = repository.commit({"fleet.yaml": "format: 1\nvars: {}\n"})
    assert made.fetch(None).commit == second


def test_ssh_as_scp_writes_it_names_the_host(source: MakeSource) -> None:
    assert source("git@git.example.com:fleet.git").remote.scheme == "ssh"
    assert source("git@git.example.com:fleet.git").remote.host == "git.example.com"


# Who we are


def test_a_password_file(locked: HttpServer, repository: GitRepository, source: MakeSource, secret: str) -> None:
    made = source(locked.url(), username="deploy", password_file=secret)
    assert made.fetch(None).commit == repository.head()


def test_a_token_file_needs_no_user(repository: GitRepository, source: MakeSource, secret: str) -> None:
    with http_server(repository.bare.parent, login=f"git:{SECRET}") as server:
        assert source(server.url(), token_file=secret).fetch(None).commit == repository.head()


def test_wrong_credentials_end_at_once(locked: HttpServer, source: MakeSource, secret: str) -> None:
    said = refused(source(locked.url(), username="somebody", password_file=secret))
    assert said == (
        f"{locked.url()} refuses the credentials; check username, token_file, password_file or ssh_key in the settings"
    )
    assert len(locked.log.requests) <= 4


def test_no_credentials(locked: HttpServer, source: MakeSource) -> None:
    assert refused(source(locked.url())) == (
        f"{locked.url()} asks for credentials and there are none; "
        "set token_file, password_file or ssh_key in the settings"
    )


def test_a_password_in_the_url_is_used_and_never_shown(
    locked: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    url = locked.url().replace("http://", f"http://deploy:{SECRET}@")
    assert source(url).fetch(None).commit == repository.head()
    assert refused(source(url.replace("deploy", "somebody"))).startswith(f"{locked.url()} refuses the credentials")
    assert SECRET not in refused(source(url.replace("fleet.git", "other.git")))
    config = Path(source(url).directory, "config").read_text()
    assert SECRET not in config


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_secret_that_others_may_read_is_not_used(
    locked: HttpServer, source: MakeSource, secret: str, mode: int
) -> None:
    os.chmod(secret, mode)
    said = refused(source(locked.url(), username="deploy", password_file=secret))
    assert said == f"the password file {secret} is open to other users; chmod 0600 {secret}"
    assert locked.log.requests == []


def test_a_secret_that_is_not_there(locked: HttpServer, source: MakeSource) -> None:
    said = refused(source(locked.url(), token_file="/nowhere/token"))
    assert said == (
        "the token file /nowhere/token cannot be read: No such file or directory; check the path in the settings"
    )


def test_a_key_that_the_server_does_not_know(sshd: SshServer, repository: GitRepository, source: MakeSource) -> None:
    made = source(sshd.url(repository.bare), ssh_key=str(sshd.stranger), known_hosts=str(sshd.known_hosts))
    assert refused(made) == (
        f"{made.remote.shown} refuses the credentials; "
        "check username, token_file, password_file or ssh_key in the settings"
    )


def test_ssh_without_a_key(sshd: SshServer, repository: GitRepository, source: MakeSource) -> None:
    made = source(sshd.url(repository.bare), known_hosts=str(sshd.known_hosts))
    assert "asks for credentials and there are none" in refused(made)


def test_a_file_that_is_no_key(sshd: SshServer, repository: GitRepository, source: MakeSource, secret: str) -> None:
    made = source(sshd.url(repository.bare), ssh_key=secret, known_hosts=str(sshd.known_hosts))
    assert "ssh_key" in refused(made)


# Who the server is


def test_known_hosts_that_are_not_there(sshd: SshServer, repository: GitRepository, source: MakeSource) -> None:
    said = refused(source(sshd.url(repository.bare), ssh_key=str(sshd.key), known_hosts="/nowhere/known_hosts"))
    assert said.startswith(
        f"no known host keys for ssh://127.0.0.1:{sshd.port}{repository.bare}: /nowhere/known_hosts not found"
    )
    assert f"`ssh-keyscan -p {sshd.port} 127.0.0.1`" in said


@pytest.mark.parametrize("case", ["no key of it", "another key"])
def test_a_host_key_that_is_not_known_is_never_accepted(
    sshd: SshServer, repository: GitRepository, source: MakeSource, tmp_path: Path, case: str
) -> None:
    known = tmp_path / "known_hosts"
    stranger = sshd.stranger.with_suffix(".pub").read_text().split()[:2]
    known.write_text("" if case == "no key of it" else f"[127.0.0.1]:{sshd.port} {' '.join(stranger)}\n")
    said = refused(source(sshd.url(repository.bare), ssh_key=str(sshd.key), known_hosts=str(known)))
    assert said.startswith(
        f"the host key of ssh://127.0.0.1:{sshd.port}{repository.bare} is not known, or has changed; compare"
    )
    assert f"append it to {known}" in said


def test_a_host_key_that_changes_is_refused_after_it_was_right(
    sshd: SshServer, repository: GitRepository, source: MakeSource, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    shutil.copy(sshd.known_hosts, known)
    made = source(sshd.url(repository.bare), ssh_key=str(sshd.key), known_hosts=str(known))
    made.fetch(None)
    stranger = sshd.stranger.with_suffix(".pub").read_text().split()[:2]
    known.write_text(f"[127.0.0.1]:{sshd.port} {' '.join(stranger)}\n")
    assert "has changed" in refused(made)


# Servers and repositories that are not as they should be


def test_a_branch_that_is_not_there(http: HttpServer, source: MakeSource) -> None:
    assert refused(source(http.url(), branch="mian")) == (
        f"{http.url()} has no branch mian; it has main; did you mean main?"
    )


def test_a_repository_without_a_commit(tmp_path: Path, source: MakeSource) -> None:
    empty = GitRepository(tmp_path / "empty")
    with http_server(empty.bare.parent) as server:
        assert refused(source(server.url())) == f"{server.url()} is empty: it has no branch; push a first commit"
    assert refused(source(empty.bare)) == f"{empty.bare} is empty: it has no branch; push a first commit"


def test_a_repository_that_is_not_there(http: HttpServer, sshd: SshServer, source: MakeSource, tmp_path: Path) -> None:
    assert refused(source(http.url("other"))).startswith(f"{http.url('other')} has no such repository")
    assert refused(source("/nowhere/fleet.git")) == "/nowhere/fleet.git is not there; check the path"
    assert refused(source(tmp_path)) == f"{tmp_path} is not a Git repository; check the path"
    made = source(sshd.url(tmp_path / "none.git"), ssh_key=str(sshd.key), known_hosts=str(sshd.known_hosts))
    assert refused(made).startswith(f"{made.remote.shown} has no such repository")


def test_a_server_that_is_down(source: MakeSource) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/fleet.git", f"https://127.0.0.1:{port}/fleet.git"):
        assert refused(source(url)) == f"{url} cannot be reached; check the network, and that the server listens"


def test_a_name_that_does_not_resolve(source: MakeSource) -> None:
    url = "http://git.invalid/fleet.git"
    assert refused(source(url)) == f"the name of {url} cannot be resolved; check the URL and the host's resolver"


@pytest.mark.parametrize("scheme", ["http", "https", "ssh"])
def test_a_server_that_never_answers(sshd: SshServer, source: MakeSource, scheme: str) -> None:
    with dead_server() as port:
        made = source(
            f"{scheme}://127.0.0.1:{port}/fleet.git",
            connect_timeout_seconds=1, known_hosts=str(sshd.known_hosts), ssh_key=str(sshd.key),
        )  # fmt: skip
        said = refused(made, 3)
    assert said == f"{made.remote.shown} did not answer for 1 s; is the server up, and the port right?"


def test_a_server_that_stalls_in_a_transfer_and_then_goes_on(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    repository.commit({"files/noise": noise()})
    with Relay(http.port, 1 << 20).running() as relay:
        made = source(f"http://127.0.0.1:{relay.port}/fleet.git", transfer_timeout_seconds=1)
        assert "did not answer for 1 s" in refused(made, 10)
        assert relay.stalled.is_set()
    assert source(http.url()).fetch(None).commit == repository.head()


def test_a_slow_server_is_waited_for_while_it_sends(repository: GitRepository, source: MakeSource) -> None:
    repository.commit({"files/noise": noise()})
    with http_server(repository.bare.parent) as server:
        assert source(server.url(), transfer_timeout_seconds=2).fetch(None).read("files/noise") == noise()


def test_a_repository_of_another_owner(repository: GitRepository, source: MakeSource) -> None:
    for path in (repository.bare, *repository.bare.rglob("*")):
        os.chown(path, 12345, 12345)
    said = refused(source(repository.bare))
    assert (
        said
        == f"{repository.bare} belongs to another user, so Git refuses it; make it root's, or serve it over http or ssh"
    )


# What moves, and what is downloaded


def test_asking_whether_the_branch_moved_downloads_nothing(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    first = made.fetch(None).commit
    assert http.log.downloads == 1
    sent = http.log.sent
    assert made.remote_tip() == first
    assert made.fetch(first).commit == first
    assert http.log.downloads == 1
    assert http.log.sent - sent < 4096
    second = repository.commit({"files/noise": noise()})
    assert made.remote_tip() == second
    assert http.log.downloads == 1
    assert made.fetch(first).commit == second
    assert http.log.downloads == 2


def test_only_what_is_new_is_downloaded(http: HttpServer, repository: GitRepository, source: MakeSource) -> None:
    repository.commit({"files/noise": noise()})
    made = source(http.url())
    made.fetch(None)
    sent = http.log.sent
    repository.commit({"fleet.yaml": "format: 1\nvars: {}\n"})
    made.fetch(None)
    assert http.log.sent - sent < 8192


def test_a_rewritten_branch_is_refused_unless_allowed(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    first = made.fetch(None).commit
    other = repository.rewrite()
    with pytest.raises(RevisionRejected) as caught:
        made.fetch(first)
    assert str(caught.value) == (
        f"main@{other[:7]} does not contain {first[:7]}, the revision in force: the history was rewritten; "
        "push a commit on top of it, or set allow_rewritten_history: true in the settings"
    )
    assert made.revision(first).read("fleet.yaml") == b"format: 1\n"
    assert source(http.url(), allow_rewritten_history=True).fetch(first).commit == other
    third = repository.commit({"fleet.yaml": "format: 1\nvars: {}\n"})
    assert source(http.url()).fetch(other).commit == third


def test_a_branch_that_comes_back_is_accepted_again(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    first = made.fetch(None).commit
    repository.rewrite()
    with pytest.raises(RevisionRejected):
        made.fetch(first)
    git = ["git", f"--git-dir={repository.bare}"]
    subprocess.run([*git, "update-ref", "refs/heads/main", first], check=True)
    assert made.fetch(first).commit == first


# A clone that is not as it should be


def damaged(source: Source) -> str:
    """Fetch, then write zeros over all objects; the commit. In a process of its own: the library keeps packs open."""
    code = f"from agent.source import Remote, Source\nprint(Source({source.remote!r}, {source.directory!r}).fetch(None).commit)"
    command = [sys.executable, "-c", code]
    commit = subprocess.run(command, cwd=CODE, check=True, capture_output=True, text=True).stdout.strip()
    for pack in Path(source.directory, "objects/pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(b"\0" * pack.stat().st_size)
    return commit


def test_a_clone_that_is_no_repository_is_set_aside(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    made.fetch(None)
    Path(made.directory, "HEAD").unlink()
    Path(made.directory, "mine").write_text("kept")
    again = source(http.url())
    assert again.fetch(None).commit == repository.head()
    (notice,) = again.notices
    aside = notice.partition("it is now ")[2].partition(",")[0]
    assert Path(aside, "mine").read_text() == "kept"


def test_a_file_in_the_place_of_the_clone_is_set_aside(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    Path(made.directory).write_text("not a clone")
    assert made.fetch(None).commit == repository.head()
    assert len(made.notices) == 1


def test_a_clone_that_is_damaged_again_and_again_fills_no_disk(http: HttpServer, source: MakeSource) -> None:
    for _ in range(3):
        made = source(http.url())
        made.fetch(None)
        Path(made.directory, "HEAD").unlink()
    assert sorted(os.listdir(os.path.dirname(made.directory))) == ["repo.git", "repo.git.unusable"]


def test_a_damaged_clone_is_fetched_again_even_when_nothing_moved(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    first = damaged(source(http.url()))
    again = source(http.url())
    assert again.fetch(first).read("fleet.yaml") == b"format: 1\n"


def test_a_fetch_that_is_killed_leaves_a_clone_that_works(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    first = source(http.url()).fetch(None).commit
    repository.commit({"files/noise": noise()})
    made = source(http.url())
    with Relay(http.port, 2 << 20).running() as relay:
        url = f"http://127.0.0.1:{relay.port}/fleet.git"
        code = f"from agent.source import Remote, Source\nSource(Remote({url!r}), {made.directory!r}).fetch({first!r})"
        child = subprocess.Popen([sys.executable, "-c", code], cwd=CODE, start_new_session=True)
        assert relay.stalled.wait(20)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)
    assert made.revision(first).read("fleet.yaml") == b"format: 1\n"
    assert made.fetch(first).commit == repository.head()
    assert made.revision(repository.head()).read("files/noise") == noise()
    assert made.notices == []


def test_whoever_fetches_for_a_pass_that_was_killed_ends_too(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    repository.commit({"files/noise": noise()})
    made = source(http.url())
    with Relay(http.port, 1 << 20).running() as relay:
        remote = f"Remote('http://127.0.0.1:{relay.port}/fleet.git', transfer_timeout_seconds=1)"
        code = f"from agent.source import Remote, Source\nSource({remote}, {made.directory!r}).fetch(None)"
        child = subprocess.Popen([sys.executable, "-c", code], cwd=CODE, start_new_session=True)
        assert relay.stalled.wait(20)
        child.kill()
        child.wait(10)
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, 0)
                time.sleep(0.1)
                continue
            return
    os.killpg(child.pid, signal.SIGKILL)
    raise AssertionError("the child that downloads outlived its pass")
