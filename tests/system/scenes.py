"""What the regression scenarios share: a running daemon with short intervals, and how its host is looked at from outside."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.hosts.machine import Machine
from tests.system.conftest import Fleet
from tests.system.daemon_host import QUIET, await_that, shown, started

BASE = '  - file: /srv/base\n    content: "base\\n"\n'
QUICK = {
    **QUIET,
    "health_settle": "1s",
    "health_timeout": "3s",
    "health_soak": "0s",
}  # a scene changes what it is about


def scene(fleet: Fleet, **settings: object) -> Fleet:
    """A host that holds BASE and nothing else, healthy and with nothing pending, under these settings."""
    host = fleet.host
    host.run("systemctl", "stop", "gitops-agent")
    host.run("rm", "-rf", "/var/lib/gitops-agent", "/run/gitops-agent")
    host.shell("rm -rf /srv/* /etc/systemd/system/app*; systemctl daemon-reload; systemctl reset-failed")
    fleet.hold(BASE, "a new scene")
    return started(fleet, **{**QUICK, **settings})


def service(name: str, command: str, extra: str = "", **fields: str) -> str:
    """A unit file and its unit, running; it is restarted when the file changes."""
    more = "".join(f"    {key}: {value}\n" for key, value in fields.items())
    return f"""\
  - file: /etc/systemd/system/{name}.service
    content: |
      [Service]
      ExecStart={command}
      {extra}
  - unit: {name}.service
    active: true
    restart_on: ["file:/etc/systemd/system/{name}.service"]
{more}"""


def text_file(path: str, content: str = "x") -> str:
    """One file."""
    return f'  - file: {path}\n    content: "{content}\\n"\n'


def status(host: Machine) -> dict[str, Any]:
    """What the status says, as JSON."""
    found: dict[str, Any] = json.loads(host.run("agentctl", "status", "--json", check=False).stdout)
    return found


def reasons(host: Machine) -> set[str]:
    """The conditions of the status."""
    return {found["reason"] for found in status(host)["conditions"]}


def active(host: Machine, unit: str) -> str:
    """What systemd says of a unit."""
    return host.run("systemctl", "is-active", unit, check=False).stdout.strip()


def agentctl(host: Machine, *words: str) -> subprocess.CompletedProcess[str]:
    """A verb of the agent, whatever it comes to."""
    return host.run("agentctl", *words, check=False, timeout=200)


def await_status(host: Machine, word: str, seconds: float = 30) -> None:
    """Wait until the first line of the daemon's own status begins so."""
    await_that(lambda: shown(host, "StatusText").startswith(word), seconds, f"{word}, not {shown(host, 'StatusText')},")
