"""Files: nothing to do, and everything to do, against a plain loop over the same files."""

from __future__ import annotations

from collections.abc import Iterator

from bench.host import START, Bench, Command
from bench.report import Figure

COUNTS = (1_000, 10_000)
_PER_DIRECTORY = 100
_READ = """
import os, sys
for directory, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = directory + '/' + name
        os.lstat(path)
        with open(path, 'rb') as file:
            file.read()
"""
_WRITE = """
import os, shutil, sys
source, target = sys.argv[1:]
for directory, _, names in os.walk(source):
    there = target + directory[len(source):]
    os.makedirs(there)
    for name in names:
        with open(directory + '/' + name, 'rb') as file:
            data = file.read()
        with open(there + '/' + name + '.new', 'wb') as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)
        os.rename(there + '/' + name + '.new', there + '/' + name)
os.sync()
"""


def figures(bench: Bench) -> Iterator[Figure]:
    """Whole processes of `agentctl apply`."""
    commands: dict[str, Command] = {}
    for count in COUNTS:
        commands |= _commands(bench, count)
    found = bench.medians(commands)
    start = found[START]
    for count, bar in zip(COUNTS, (250, 1000), strict=True):
        floors = {START: start, "lstat and read": found[f"read {count}"]}
        yield Figure(f"apply, nothing to do, {count:,} files", found[f"idle {count}"], "ms", bar, floors=floors)
    first, second = (found[f"cold {count}"] for count in COUNTS)
    write = "write, rename, sync"
    yield Figure("cold converge, 1,000 files", first, "ms", 1200, floors={START: start, write: found["write 1000"]})
    yield Figure(
        "cold converge, 10,000 files", second, "ms", times=("1,000 files", 10),
        floors={"1,000 files": first, write: found["write 10000"]},
    )  # fmt: skip


def _commands(bench: Bench, count: int) -> dict[str, Command]:
    """Idle, cold, and the floors of both, for a number of files."""
    name = f"files-{count}"
    here, copy = f"/srv/{name}", f"/srv/{name}.copy"
    contents = {f"files/{number}.conf": _text(number) for number in range(count)}
    idle = bench.idle(name, _resources(here, count), contents)
    cold = bench.apply(f"{name}-cold", _resources(f"{here}-cold", count), contents)
    python = ("/usr/bin/python3", "-c")
    return {
        f"read {count}": Command((*python, _READ, here)),
        f"idle {count}": idle,
        f"write {count}": Command((*python, _WRITE, here, copy), before=_aside(copy)),
        f"cold {count}": Command(
            cold.argv,
            before=_aside(f"{here}-cold", f"/srv/bench/{name}-cold/state"),
            says=idle.says.replace("in sync", "converged"),
        ),
    }


def _aside(*paths: str) -> str:
    """Put away what the last round made. It is not removed: ext4 is slow to give new inodes while many were just freed."""
    return f"there=$(mktemp -d /srv/aside.XXXXXX); mv -t $there {' '.join(paths)} || true; sync"


def _resources(root: str, count: int) -> str:
    lines = [f"  - directory: {root}"]
    for number in range(count):
        directory = f"{root}/{number // _PER_DIRECTORY}"
        if number % _PER_DIRECTORY == 0:
            lines.append(f"  - directory: {directory}")
        lines.append(
            f'  - {{file: {directory}/{number}.conf, source: {number}.conf, owner: root, group: root, mode: "0644"}}'
        )
    return "\n".join(lines) + "\n"


def _text(number: int) -> str:
    return f"# number {number}\n" + "".join(f"setting_{line} = {number * line}\n" for line in range(40))
