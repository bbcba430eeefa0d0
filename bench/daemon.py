"""The daemon as systemd starts it: `agentctl status` beside it, its memory, and how often it wakes while at rest."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.host import START, Bench, Command
from bench.packages import ONE_FILE
from bench.report import Figure

REST_SECONDS = 30
LIMIT_MB = {"bookworm": 32, "trixie": 24}
_SWITCHES = "cat /proc/$(systemctl show -P MainPID gitops-agent)/task/*/status | grep voluntary_ctxt_switches"
_MEMORY = "cat /proc/$(systemctl show -P MainPID gitops-agent)/smaps_rollup"


def figures(bench: Bench) -> Iterator[Figure]:
    """What a host that is in sync pays for being watched."""
    _start(bench)
    found = bench.medians({"status": Command(("/usr/bin/agentctl", "status"))})
    yield Figure("agentctl status", found["status"], "ms", times=(START, 4), floors={START: found[START]})
    before = _switches(bench)
    time.sleep(REST_SECONDS)
    yield Figure(f"daemon, wake-ups in {REST_SECONDS} s", _switches(bench) - before, "", 0)
    memory = dict(line.split()[:2] for line in bench.machine.shell(_MEMORY).splitlines()[1:])
    pss, clean = (int(memory[name]) / 1024 for name in ("Pss:", "Private_Clean:"))
    yield Figure("daemon, PSS", pss, "MB", LIMIT_MB[bench.suite], floors={"of it private and clean": clean})


def _start(bench: Bench) -> None:
    """Start it, with timers that do not come while it is looked at, and wait for the end of its first pass."""
    repository = bench.holds("daemon", ONE_FILE).argv[-1] + "/fleet.git"
    settings = f"repository: {repository}\npoll_interval: 1d\ndrift_interval: 1d\n"
    bench.machine.write("/etc/gitops-agent/agent.yaml", settings)
    bench.machine.run("systemctl", "start", "gitops-agent")
    deadline = time.monotonic() + 60
    while bench.machine.run("agentctl", "status", check=False).returncode:
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: the daemon does not converge\n{bench.machine.journal('gitops-agent')}")
        time.sleep(0.2)


def _switches(bench: Bench) -> int:
    """How often its threads have gone to sleep, which is how often they were woken."""
    lines = bench.machine.shell(_SWITCHES).splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))
