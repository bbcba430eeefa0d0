"""Containers and units together: what asserting many running ones adds to a pass, against the tools that list them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.host import HERE, Bench, Command
from bench.packages import ONE_FILE
from bench.report import Figure
from bench.units import running
from tests.hosts import images
from tests.hosts.machine import Machine
from tests.hosts.registry import push, registry

CONTAINERS, UNITS = 50, 100
BAR_MS = 120


def figures(bench: Bench) -> Iterator[Figure]:
    """The difference that 100 running units and 50 running containers make, on a host of its own with Docker."""
    package = max((HERE / "dist").glob("*.deb"), key=lambda path: path.stat().st_mtime)
    with tempfile.TemporaryDirectory() as folder, Machine(images.with_engine(bench.suite)) as machine:
        machine.install(package)
        with registry(Path(folder), machine.leader) as address:
            push(Path(folder), machine.leader, f"{address}/bench:1", text="bench", serves=False)
            yield _added(Bench(machine, bench.suite, bench.rounds), f"{address}/bench:1")


def _added(bench: Bench, image: str) -> Figure:
    names = running(bench, UNITS)
    containers = "".join(
        f"  - {{container: bench-{number}, image: {image}, stop_timeout: 0}}\n" for number in range(CONTAINERS)
    )
    wishes = "".join(f"  - {{unit: {name}, enabled: true, active: true}}\n" for name in names)
    none = bench.idle("containers-none", ONE_FILE)
    some = bench.idle("containers", ONE_FILE + wishes + containers)
    listed = f"systemctl list-units {' '.join(names)} >/dev/null; docker ps --all >/dev/null"
    floor = ("systemctl list-units, docker ps", Command(("/bin/sh", "-c", listed)))
    return bench.added(f"{UNITS} running units and {CONTAINERS} containers", some, none, floor, BAR_MS)
