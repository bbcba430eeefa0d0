"""Servers that are not who they should be, are not there, or stop answering."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from tests.hosts.git import (
    GitRepository,
    HttpServer,
    SshServer,
    dead_server,
    http_server,
)
from tests.hosts.relay import Relay
from tests.system.source.refusals import MakeSource, noise, refused


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
    assert refused(source(tmp_path)).startswith(f"{tmp_path} is not a Git repository; check the path")
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
        made = source(f"http://127.0.0.1:{relay.port}/fleet.git", transfer_timeout_seconds=4)
        assert "did not answer for 4 s" in refused(made, 20)
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
