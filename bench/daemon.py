"""The daemon as systemd starts it: `agentctl status` beside it, its memory, and how often it wakes while at rest."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.host import START, Bench, Command
from bench.packages import ONE_FILE
from bench.report import Figure

SETTLE_SECONDS, REST_SECONDS = 3, 30
PASSES = 10  # before it is weighed
LIMIT_MB = {"bookworm": 32, "trixie": 24}
_OF_DAEMON = "/proc/$(systemctl show -P MainPID gitops-agent)"
# A page that another test host of this machine maps too would count by half: make the interpreter this host's own.
_OWN = r"""
touch -c /usr/bin/python3.* $(find /usr/lib -name 'libssl.so.*' -o -name 'libcrypto.so.*' -o -path '*/python3*' -name '*.so')
"""


# What it takes to run Python at all; RSS, since the daemon maps the same files.
_WEIGH = "print(next(line.split()[1] for line in open('/proc/self/smaps_rollup') if line.startswith('Rss:')))"


def figures(bench: Bench) -> Iterator[Figure]:
    """What a host that is in sync pays for being watched."""
    _start(bench)
    found = bench.medians({"status": Command(("/usr/bin/agentctl", "status"), says="OK web-01 in sync")})
    yield Figure("agentctl status", found["status"], "ms", times=(START, 4), floors={START: found[START]})
    for _ in range(PASSES):
        bench.machine.run("agentctl", "sync")
    time.sleep(SETTLE_SECONDS)
    before = _switches(bench)
    time.sleep(REST_SECONDS)
    yield Figure(f"daemon, wake-ups in {REST_SECONDS} s at rest", _switches(bench) - before, "", 0)
    memory = dict(line.split()[:2] for line in bench.machine.shell(f"cat {_OF_DAEMON}/smaps_rollup").splitlines()[1:])
    interpreter = bench.machine.run("/usr/bin/python3", "-I", "-c", _WEIGH).stdout
    yield Figure(
        f"daemon, PSS after {PASSES} passes", int(memory["Pss:"]) / 1024, "MB", LIMIT_MB[bench.suite],
        floors={"python3 alone": int(interpreter) / 1024},
    )  # fmt: skip


def _start(bench: Bench) -> None:
    """Start it, with timers that do not come while it is looked at, and wait for the end of its first pass."""
    bench.machine.shell(_OWN)
    repository = bench.apply("daemon", ONE_FILE).argv[-1] + "/fleet.git"
    settings = f"repository: {repository}\npoll_interval: 1d\ndrift_interval: 1d\nhealth_soak: 0s\n"
    bench.machine.write("/etc/gitops-agent/agent.yaml", settings)
    bench.machine.run("systemctl", "start", "gitops-agent")
    deadline = time.monotonic() + 60
    while bench.machine.run("agentctl", "status", check=False).returncode:
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: the daemon does not converge\n{bench.machine.journal('gitops-agent')}")
        time.sleep(0.2)


def _switches(bench: Bench) -> int:
    """How often its threads have gone to sleep, which is how often they were woken."""
    lines = bench.machine.shell(f"cat {_OF_DAEMON}/task/*/status").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
