"""A package transaction goes on when the agent's unit is stopped, on a real systemd."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.images import ready
from tests.hosts.machine import Machine

pytestmark = pytest.mark.system

CODE = Path(__file__).parents[2]
AGENT = """
from agent.host import LocalHost
script = "touch /run/begun; sleep 3; echo to nobody; touch /run/done"
print(LocalHost().run_detached("sh", "-c", script, env={}, timeout_seconds=%s))
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(ready("bookworm")) as machine:
        for package in ("agent", "modules"):
            shutil.copytree(CODE / package, machine.path(f"/opt/code/{package}"))
        yield machine


def start_agent(machine: Machine, timeout_seconds: float) -> None:
    machine.run("rm", "-f", "/run/begun", "/run/done")
    command = ["systemd-run", "--quiet", "--collect", "--unit=agent", "--setenv=PYTHONPATH=/opt/code"]
    machine.run(*command, "/usr/bin/python3", "-c", AGENT % timeout_seconds)
    await_file(machine, "/run/begun")


def await_file(machine: Machine, path: str) -> None:
    deadline = time.monotonic() + 30
    while not machine.exists(path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert machine.exists(path), machine.journal("agent")


def scopes(machine: Machine) -> list[str]:
    listed = machine.run("systemctl", "list-units", "--plain", "--no-legend", "gitops-agent-transaction-*").stdout
    return [line.split()[0] for line in listed.splitlines()]


def test_stopping_the_agent_does_not_stop_its_transaction(machine: Machine) -> None:
    start_agent(machine, 60)
    (scope,) = scopes(machine)
    assert scope.endswith(".scope")
    machine.run("systemctl", "kill", "--signal=KILL", "agent")
    machine.run("systemctl", "stop", "agent", check=False)
    assert machine.run("systemctl", "is-active", "agent", check=False).stdout.strip() in ("inactive", "failed")
    assert not machine.exists("/run/done"), "the test is about what happens after the stop"
    await_file(machine, "/run/done")
    deadline = time.monotonic() + 10
    while scopes(machine) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert scopes(machine) == [], "nothing of it stays"


def test_a_transaction_that_overruns_is_left_and_its_unit_named(machine: Machine) -> None:
    start_agent(machine, 0.5)
    await_file(machine, "/run/done")
    said = machine.journal("agent")
    assert "is still running after 0.5 s and was left to end; see systemctl status gitops-agent-transaction-" in said


def test_a_transaction_gives_its_status_and_output(machine: Machine) -> None:
    start_agent(machine, 60)
    await_file(machine, "/run/done")
    deadline = time.monotonic() + 10
    while "Completed(" not in machine.journal("agent") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert r"Completed(status=0, stdout='to nobody\n', stderr='')" in machine.journal("agent")
