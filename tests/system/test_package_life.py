"""The .deb on booted Debian 12 and 13: installed, configured, upgraded, removed, installed again, purged."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts.machine import Machine
from tests.system.conftest import HERE
from tests.system.daemon_host import UNIT, await_that, shown

QUIET = "env DEBIAN_FRONTEND=noninteractive apt-get -qq -y"
LOCAL = "repository: /srv/fleet.git\n"


def build(version: str, into: Path) -> Path:
    """The package in another version."""
    command = [sys.executable, "packaging/build.py", "--version", version, "--into", str(into), "deb"]
    subprocess.run(command, cwd=HERE, check=True, capture_output=True)
    return next(into.glob("*.deb"))


def version(host: Machine) -> str:
    return host.run("agentctl", "version").stdout.strip()


def active(host: Machine) -> str:
    return host.run("systemctl", "is-active", UNIT, check=False).stdout.strip()


def test_systemd_finds_nothing_wrong_with_the_unit(machine: Machine) -> None:
    verified = machine.run("systemd-analyze", "verify", "--man=no", f"/usr/lib/systemd/system/{UNIT}")
    assert verified.stdout + verified.stderr == ""
    exposure = machine.run("systemd-analyze", "security", "--no-pager", UNIT).stdout.splitlines()[-1]
    figure = re.search(r"gitops-agent.service: ([\d.]+)", exposure)
    assert figure is not None
    assert float(figure[1]) <= 9.3, "less is taken away than was; an agent that manages a host stays near 10"


def test_every_line_of_the_unit_has_its_reason() -> None:
    lines = (HERE / "systemd/gitops-agent.service").read_text().partition("[Service]")[2].partition("[Install]")[0]
    bare, reasoned = [], False
    for line in lines.splitlines():
        if not line:
            reasoned = False
        elif line.startswith("#"):
            reasoned = True
        elif not reasoned:
            bare.append(line)
    assert bare == []


def test_the_modules_are_compiled_so_that_start_up_is_quick(machine: Machine) -> None:
    assert machine.exists("/usr/lib/gitops-agent/agent/__pycache__")


@pytest.mark.parametrize(
    ("path", "text", "starts"),
    [
        ("agent.yaml", "# repository: x\nbranch: main\n", False),
        ("agent.d/10-site.yaml", "branch: main\n", False),
        ("agent.d/20-site.yaml.bak", LOCAL, False),
        ("agent.d/30-site.yaml", LOCAL, True),
        ("agent.yaml", LOCAL, True),
    ],
)
def test_it_starts_only_when_a_repository_is_configured(machine: Machine, path: str, text: str, starts: bool) -> None:
    kept = machine.read("/etc/gitops-agent/agent.yaml")
    machine.write(f"/etc/gitops-agent/{path}", text)
    try:
        machine.run("systemctl", "start", UNIT)
        assert active(machine) == ("active" if starts else "inactive")
        assert machine.run("systemctl", "is-failed", UNIT, check=False).stdout.strip() != "failed"
    finally:
        machine.run("systemctl", "stop", UNIT)
        machine.run("rm", "-f", f"/etc/gitops-agent/{path}")
        machine.write("/etc/gitops-agent/agent.yaml", kept)


def test_wrong_settings_end_it_for_good(machine: Machine) -> None:
    machine.write("/etc/gitops-agent/agent.d/bad.yaml", "repository: [x]\n")
    machine.run("systemctl", "start", UNIT, check=False)
    await_that(lambda: active(machine) == "failed", 15, "the end")
    assert shown(machine, "ExecMainStatus") == "78"
    assert shown(machine, "NRestarts") == "0"
    said = machine.journal(UNIT)
    assert 'agentctl: /etc/gitops-agent/agent.d/bad.yaml:1: "repository" must be text on one line' in said
    assert "Traceback" not in said
    machine.run("rm", "/etc/gitops-agent/agent.d/bad.yaml")
    machine.run("systemctl", "reset-failed", UNIT)


def test_an_upgrade_keeps_settings_and_starts_nothing_that_was_off(machine: Machine, tmp_path: Path) -> None:
    machine.write("/etc/gitops-agent/agent.yaml", "# ours\nbranch: ours\n")
    machine.run("systemctl", "disable", UNIT)
    machine.install(build("98.0", tmp_path))
    assert version(machine) == "gitops-agent 98.0"
    assert machine.read("/etc/gitops-agent/agent.yaml") == "# ours\nbranch: ours\n"
    assert machine.run("systemctl", "is-enabled", UNIT, check=False).stdout.strip() == "disabled"
    assert active(machine) == "inactive"


def test_removal_ends_it_and_keeps_settings_and_state(machine: Machine, deb: Path) -> None:
    machine.write("/etc/gitops-agent/agent.yaml", LOCAL)
    machine.run("systemctl", "enable", "--now", UNIT)
    machine.shell(f"{QUIET} remove gitops-agent")
    assert active(machine) in ("inactive", "unknown", "failed")
    assert machine.run("pgrep", "-f", "agentctl", check=False).stdout == ""
    assert not machine.exists("/usr/lib/gitops-agent"), "no compiled code stays"
    assert machine.read("/etc/gitops-agent/agent.yaml") == LOCAL
    assert machine.exists("/var/lib/gitops-agent")
    machine.install(deb)
    assert machine.read("/etc/gitops-agent/agent.yaml") == LOCAL
    await_that(lambda: active(machine) == "active", 15, "the start of what is configured and enabled")


def test_purge_of_a_running_agent_leaves_nothing(machine: Machine) -> None:
    machine.write("/etc/gitops-agent/agent.d/ours.yaml", "branch: main\n")
    machine.shell(f"{QUIET} purge gitops-agent")
    assert machine.run("pgrep", "-f", "agentctl", check=False).stdout == ""
    left = machine.shell("find /etc /usr /var/lib /run -xdev -name '*gitops-agent*' -not -path '/var/lib/apt/*'")
    assert left == ""
    assert "not-found" in machine.run("systemctl", "show", "-p", "LoadState", UNIT).stdout
