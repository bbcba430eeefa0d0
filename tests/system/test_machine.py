"""A test host ends with the process that booted it, however that one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
