"""A host whose daemon runs, and how tests look at it from outside: systemctl, journalctl, /proc."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tests.hosts.machine import Machine
from tests.system.conftest import Fleet

UNIT = "gitops-agent.service"
DROP_IN = "/etc/systemd/system/gitops-agent.service.d/test.conf"
QUIET = {"poll_interval": "1h", "drift_interval": "1h"}  # nothing comes by itself


def await_that(check: Callable[[], object], seconds: float = 30, what: str = "it") -> None:
    """Poll until a check holds."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds:g} s"
        time.sleep(0.2)


def started(fleet: Fleet, **settings: object) -> Fleet:
    """Start the daemon with these settings, and wait until the host is converged."""
    fleet.configure(**settings)
    fleet.host.run("systemctl", "daemon-reload")
    fleet.host.run("systemctl", "restart", UNIT)
    await_that(lambda: shown(fleet.host, "StatusText").startswith("OK"), 60, "a first converged pass")
    return fleet


def reload(fleet: Fleet, **settings: object) -> None:
    """Change the settings of the running daemon."""
    fleet.configure(**settings)
    count = len(entries(fleet.host, GITOPS_RESULT="settings_taken"))
    fleet.host.run("systemctl", "reload", UNIT)
    await_that(lambda: len(entries(fleet.host, GITOPS_RESULT="settings_taken")) > count, 15, "a reload")
    await_that(lambda: "running" not in shown(fleet.host, "StatusText"), 30, "the end of its pass")


def shown(host: Machine, *properties: str) -> str:
    """Properties of the unit, as systemctl says; one value, or lines of them in the order of systemctl."""
    return host.run("systemctl", "show", "--value", *(f"-p{name}" for name in properties), UNIT).stdout.strip()


def main_pid(host: Machine) -> int:
    """The daemon's process."""
    return int(shown(host, "MainPID"))


def entries(host: Machine, **fields: str) -> list[dict[str, Any]]:
    """The unit's entries of the journal with these fields."""
    matches = [f"{name}={value}" for name, value in fields.items()]
    printed = host.run("journalctl", "-o", "json", f"_SYSTEMD_UNIT={UNIT}", *matches).stdout
    return [json.loads(line) for line in printed.splitlines()]


def sync(host: Machine) -> subprocess.CompletedProcess[str]:
    """`agentctl sync` on the host."""
    return host.run("agentctl", "sync", check=False)


def sync_apart(host: Machine) -> subprocess.Popen[str]:
    """The same, not waited for."""
    command = ["nsenter", "-t", str(host.leader), "-a", "--", "/usr/bin/agentctl", "sync"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/")


def slow(name: str, text: str, seconds: float) -> str:
    """A file whose step takes a while; /run/begun-NAME is there once it has begun."""
    script = f"touch /run/begun-{name}; sleep {seconds}; test -e %s"
    return f'  - file: /srv/{name}\n    content: "{text}\\n"\n    validate: [sh, -c, "{script}"]\n'
