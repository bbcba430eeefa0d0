"""Units: what asserting many running ones adds to a process, against one `systemctl show` of them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.host import Bench, Command
from bench.packages import ONE_FILE
from bench.report import Figure
from modules.systemd import LATELY_SECONDS

COUNT = 50
_UNIT = "[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


def running(bench: Bench, count: int) -> list[str]:
    """So many units, enabled and running for longer than the agent looks twice at what was started; their names."""
    names = [f"bench-{number}.service" for number in range(count)]
    for name in names:
        bench.machine.path(f"/etc/systemd/system/{name}").write_text(_UNIT)
    bench.machine.run("systemctl", "daemon-reload")
    bench.machine.run("systemctl", "enable", "--now", *names)
    time.sleep(LATELY_SECONDS + 1)
    return names


def figures(bench: Bench) -> Iterator[Figure]:
    """The difference that 50 running units make."""
    names = running(bench, COUNT)
    none = bench.idle("units-none", ONE_FILE)
    wishes = "".join(f"  - {{unit: {name}, enabled: true, active: true}}\n" for name in names)
    some = bench.idle("units", ONE_FILE + wishes)
    floor = ("systemctl show", Command(("/usr/bin/systemctl", "show", *names)))
    yield bench.added(f"{COUNT} running units", some, none, floor, 60)
