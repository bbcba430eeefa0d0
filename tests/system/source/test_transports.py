"""Every transport, and who we are to it: credentials are given, refused at once, and never told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hosts.git import (
    GitRepository,
    HttpServer,
    SshServer,
    http_server,
    private_ca,
)
from tests.system.source.refusals import SECRET, MakeSource, refused


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
