"""A test host ends with the process that booted it, however that one ends, and has control groups of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hosts import images
from tests.hosts.machine import Machine

HERE = Path(__file__).resolve().parents[2]
BOOT = """
import sys, time
from tests.hosts import images
from tests.hosts.machine import Machine

with Machine(images.Image("trixie", (images.RUNTIME,))) as machine:
    print(machine.leader, flush=True)
    time.sleep(120)
"""
SECONDS = 20


def is_running(pid: int) -> bool:
    """Tell whether a process is there and more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_host_does_not_outlive_the_tests_that_booted_it() -> None:
    with subprocess.Popen([sys.executable, "-c", BOOT], cwd=HERE, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        leader = int(tests.stdout.readline())
        assert is_running(leader)
        os.kill(tests.pid, signal.SIGTERM)
        tests.wait(SECONDS)
    deadline = time.monotonic() + SECONDS
    while is_running(leader) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_running(leader)


@pytest.mark.parametrize("limits", [False, True])
def test_a_host_has_control_groups_of_its_own_that_go_with_it(limits: bool) -> None:
    with Machine(images.bare("bookworm"), limits=limits) as host:
        name = f"gitops-agent-test-{host.root.parent.name}"
        assert f"/{name}/" in Path(f"/proc/{host.leader}/cgroup").read_text()
        if limits:
            eating = ("dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
            ended = host.run("systemd-run", "--wait", "-p", "MemoryMax=16M", *eating, check=False)
            assert "status=KILL" in ended.stderr.replace("/", "=")
    assert [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")] == []
