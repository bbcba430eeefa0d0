"""The distribution's own Git library fetches over every transport, on every release that the package is for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.hosts.git import SshServer, ssh_server
from tests.hosts.machine import Machine
from tests.system.conftest import REPOSITORY_PORT, Fleet

MOTD = "  - file: /etc/motd\n    content: {}\n"


@pytest.fixture(scope="module")
def sshd(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd"), pid=machine.leader) as server:
        machine.write("/etc/gitops-agent/key", server.key.read_text(), 0o600)
        machine.write("/etc/gitops-agent/known_hosts", server.known_hosts.read_text())
        yield server


def converges(fleet: Fleet, text: str) -> None:
    fleet.hold(MOTD.format(text))
    applied = fleet.apply()
    assert applied.returncode == 0, applied.stderr
    assert fleet.host.read("/etc/motd") == text


def test_http(fleet: Fleet) -> None:
    converges(fleet, "over http")


def test_a_revision_that_is_no_good_is_told_by_place(fleet: Fleet) -> None:
    fleet.hold(MOTD.format("[]"))
    applied = fleet.apply()
    assert applied.returncode == 1
    assert 'hosts/web-01.yaml:3: "content" of file:/etc/motd must be text, not a list' in applied.stderr
    assert fleet.host.read("/etc/motd") == "over http"


def test_ssh(fleet: Fleet, sshd: SshServer) -> None:
    fleet.configure(repository=sshd.url(fleet.repository.bare), ssh_key="/etc/gitops-agent/key")
    converges(fleet, "over ssh")


def test_ssh_with_another_host_key_is_refused(fleet: Fleet, sshd: SshServer) -> None:
    other = " ".join(sshd.stranger.with_suffix(".pub").read_text().split()[:2])
    fleet.host.write("/etc/gitops-agent/other_hosts", f"[127.0.0.1]:{sshd.port} {other}\n")
    url, key = sshd.url(fleet.repository.bare), "/etc/gitops-agent/key"
    fleet.configure(repository=url, ssh_key=key, known_hosts="/etc/gitops-agent/other_hosts")
    fleet.hold(MOTD.format("never"))
    applied = fleet.apply()
    assert applied.returncode == 1
    assert "is not known, or has changed" in applied.stderr
    assert fleet.host.read("/etc/motd") == "over ssh"


def test_http_serves_while_ssh_is_silent_and_ssh_goes_first_again(fleet: Fleet, sshd: SshServer) -> None:
    http = f"http://127.0.0.1:{REPOSITORY_PORT}/fleet.git"
    ssh = sshd.url(fleet.repository.bare)
    silent = ssh.replace(f":{sshd.port}/", ":9/")  # nobody listens there
    key = {"ssh_key": "/etc/gitops-agent/key", "fallbacks": f"[{http}]"}
    for url, text, failures in ((silent, "over http at last", [1, 0]), (ssh, "over ssh again", [0, 0])):
        fleet.configure(repository=url, **key)
        converges(fleet, text)
        asked = json.loads(fleet.host.run("agentctl", "source", "--json").stdout)["remotes"]
        assert [(remote["url"].partition(":")[0], remote["failures"]) for remote in asked] == list(
            zip(("ssh", "http"), failures, strict=True)
        )
