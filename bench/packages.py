"""Packages: what asserting many installed ones adds to a process, against dpkg's own list of them."""

from __future__ import annotations

from collections.abc import Iterator

from bench.host import Bench, Command
from bench.report import Figure

COUNT = 200
ONE_FILE = '  - file: /srv/one\n    content: "one\\n"\n'


def figures(bench: Bench) -> Iterator[Figure]:
    """The difference that 200 installed packages make."""
    installed = bench.machine.run("dpkg-query", "-W", "-f", "${Package}\n").stdout.split()
    names = sorted(set(installed) - {"gitops-agent"})[:COUNT]
    if len(names) < COUNT:
        raise SystemExit(f"bench: the host has only {len(names)} packages, {COUNT} are wanted")
    none = bench.idle("packages-none", ONE_FILE)
    some = bench.idle("packages", ONE_FILE + "".join(f"  - package: {name}\n" for name in names))
    floor = ("dpkg-query -W", Command(("/usr/bin/dpkg-query", "-W")))
    yield bench.added(f"{COUNT} installed packages", some, none, floor, 30)
