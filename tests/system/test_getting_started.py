"""What docs/getting-started.md has a new user do on a host, mistakes included: each way to reach Git, each next step."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.git import HttpServer, SshServer, http_server, private_ca, ssh_server
from tests.hosts.machine import Machine
from tests.system.conftest import Fleet

ETC = "/etc/gitops-agent"
TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def https(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """The fleet over HTTPS, with a certificate that only ca.pem vouches for, and a token."""
    certificate, context = private_ca(tmp_path_factory.mktemp("ca"))
    shutil.copy(certificate, fleet.host.path(f"{ETC}/ca.pem"))
    directory = fleet.repository.bare.parent
    with http_server(directory, pid=fleet.host.leader, port=8443, login=f"git:{TOKEN}", tls=context) as server:
        yield server


@pytest.fixture(scope="module")
def sshd(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """The fleet over SSH."""
    with ssh_server(tmp_path_factory.mktemp("sshd"), pid=fleet.host.leader, port=2222) as server:
        yield server


def refusal(fleet: Fleet, **settings: object) -> str:
    """What `agentctl plan` says with these settings, which must not do."""
    fleet.configure(**settings)
    planned = fleet.plan()
    assert (planned.returncode, planned.stdout) == (1, "")
    assert TOKEN not in planned.stderr
    return planned.stderr


def follows(fleet: Fleet, **settings: object) -> bool:
    """Tell whether the host sees the fleet with these settings."""
    fleet.configure(**settings)
    fleet.hold("  - file: /etc/greeting\n    content: hello\n")
    return "file:/etc/greeting" in fleet.plan().stdout


def test_a_host_without_settings_says_what_to_write(machine: Machine) -> None:
    status = machine.run("agentctl", "status", check=False)
    assert status.returncode == 3
    assert "write `repository: URL` in /etc/gitops-agent/agent.yaml" in status.stdout.splitlines()[0]


def test_a_typing_error_in_the_settings_is_named(fleet: Fleet) -> None:
    assert 'agent.yaml:3: unknown setting "brnach"; did you mean branch?' in refusal(fleet, brnach="main")


def test_a_private_ca_and_a_token(fleet: Fleet, https: HttpServer) -> None:
    host, at = fleet.host, {"repository": f"https://localhost:{https.port}/fleet.git"}
    assert "is not trusted; set ca_file" in refusal(fleet, **at)
    at |= {"ca_file": f"{ETC}/ca.pem"}
    assert "asks for credentials and there are none; set token_file" in refusal(fleet, **at)
    at |= {"token_file": f"{ETC}/token"}
    host.write(f"{ETC}/token", TOKEN, mode=0o644)
    assert f"is open to other users; chmod 0600 {ETC}/token" in refusal(fleet, **at)
    host.write(f"{ETC}/token", "wrong", mode=0o600)
    assert "refuses the credentials; check username, token_file" in refusal(fleet, **at)
    host.write(f"{ETC}/token", TOKEN, mode=0o600)
    assert follows(fleet, **at)


def test_a_certificate_for_another_name(fleet: Fleet, https: HttpServer) -> None:
    fleet.host.shell("grep -q git.example.com /etc/hosts || echo 127.0.0.1 git.example.com >>/etc/hosts")
    said = refusal(fleet, repository=f"https://git.example.com:{https.port}/fleet.git", ca_file=f"{ETC}/ca.pem")
    assert "is for another name; use a name that stands in it" in said or "check the name and date" in said


def test_a_deploy_key_and_a_known_host(fleet: Fleet, sshd: SshServer) -> None:
    host, at = fleet.host, {"repository": sshd.url(fleet.repository.bare)}
    scan = f"compare what `ssh-keyscan -p {sshd.port} 127.0.0.1` prints"
    assert scan in refusal(fleet, **at)
    known = sshd.known_hosts.read_text()
    stranger = sshd.stranger.with_suffix(".pub").read_text().split()[1]
    host.write(f"{ETC}/known_hosts", known.replace(known.split()[2], stranger))
    assert f"is not known, or has changed; {scan}" in refusal(fleet, **at)
    host.write(f"{ETC}/known_hosts", known)
    assert "asks for credentials and there are none" in refusal(fleet, **at)
    at |= {"ssh_key": f"{ETC}/deploy_key"}
    host.write(f"{ETC}/deploy_key", sshd.stranger.read_text(), mode=0o600)
    assert "refuses the credentials" in refusal(fleet, **at)
    host.write(f"{ETC}/deploy_key", sshd.key.read_text(), mode=0o600)
    assert follows(fleet, **at)


def test_authoring_needs_no_settings_and_touches_nothing(fleet: Fleet, tmp_path: Path) -> None:
    host = fleet.host
    host.write("/root/fleet/fleet.yaml", "format: 1\n")
    host.write("/root/fleet/hosts/web-01.yaml", "resources:\n  - file: /etc/motd\n    content: hello\n")
    host.write(f"{ETC}/agent.yaml", "")
    assert host.run("agentctl", "validate", "/root/fleet").stdout == "1 host read, 1 fine\n"
    refused = host.run("agentctl", "plan", "--repo", "/root/fleet", check=False)
    assert "add --working-tree to take a directory as it lies" in refused.stderr
    host.run("mkdir", "-p", "/tmp/x/etc")
    authored = ("--repo", "/root/fleet", "--working-tree", "--root", "/tmp/x")
    assert host.run("agentctl", "plan", *authored, check=False).returncode == 2
    assert not host.exists("/tmp/x/etc/motd")
    assert host.run("agentctl", "apply", *authored).returncode == 0
    assert host.read("/tmp/x/etc/motd") == "hello"
    assert host.read("/etc/motd") != "hello"


def test_status_tells_why_a_unit_does_not_start(fleet: Fleet) -> None:
    fleet.configure()
    service = "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=sh -c 'echo no licence found; exit 7'\\n"
    fleet.hold(f"""  - file: /etc/systemd/system/ill.service
    content: "{service}"
  - unit: ill.service
    active: true
""")
    fleet.host.run("systemctl", "start", "gitops-agent")
    assert fleet.host.run("agentctl", "sync", check=False).returncode == 4
    status = fleet.host.run("agentctl", "status", check=False)
    assert status.returncode == 2
    assert "no licence found" in status.stdout


def test_status_tells_when_passes_can_no_longer_run(fleet: Fleet) -> None:
    host = fleet.host
    fleet.hold("  - file: /etc/greeting\n    content: hello\n")
    assert host.run("agentctl", "sync").returncode == 0
    assert host.run("agentctl", "status").stdout.startswith("OK web-01")
    host.write(f"{ETC}/agent.d/host.yaml", "host: web-1\n")
    host.run("systemctl", "reload", "gitops-agent")
    assert host.run("agentctl", "sync", check=False).returncode == 1
    status = host.run("agentctl", "status", check=False)
    assert status.returncode == 1
    assert (
        'the last pass could not run: hosts/web-1.yaml: nothing in the repository matches host "web-1"' in status.stdout
    )
