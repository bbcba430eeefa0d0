"""Control groups of a test host: of its own in every hierarchy of this machine, and gone when it has ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_PREFIX = "gitops-agent-test-"
_INHERITED = ("cpuset.cpus", "cpuset.mems")  # empty in a new group, which nothing can enter before they are given
_BOOT = 'for group in /sys/fs/cgroup/*; do mount -o remount,bind,rw "$group"; done; exec /lib/systemd/systemd SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1'


class _Hierarchy(NamedTuple):
    at: Path
    unified: bool


class ControlGroups:
    """The groups of one host; hosts that shared one would remove each other's units'.

    `limits` asks for a host in which memory, processors and processes can be limited. The kernel has each of these
    controllers in one hierarchy only; where that is not the unified one, the host gets the hierarchies of version 1.
    """

    def __init__(self, name: str, *, limits: bool) -> None:
        found = _hierarchies()
        self._all = [hierarchy.at / f"{_PREFIX}{name}" for hierarchy in found]
        self.legacy = limits and not any(_has_memory(hierarchy) for hierarchy in found)
        self._entered = [hierarchy.at / f"{_PREFIX}{name}" for hierarchy in found if self.legacy or hierarchy.unified]

    def entering(self) -> list[str]:
        """What starts a command in them; they are made anew."""
        self.remove()  # of an earlier boot
        for group in self._entered:
            group.mkdir(exist_ok=True)
            for name in _INHERITED:
                if (group.parent / name).exists():
                    (group / name).write_text((group.parent / name).read_text())
        script = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
        return ["sh", "-ec", script, "-", *map(str, self._entered), "--"]

    def booting(self) -> tuple[Sequence[str], Sequence[str], str]:
        """For systemd-nspawn: its options, what it runs, and the value of SYSTEMD_NSPAWN_UNIFIED_HIERARCHY.

        Of version 1 it mounts all controllers read only, which systemd takes for not being there when it starts; newer
        systemd wants to be told that version 1 is meant.
        """
        if self.legacy:
            return ("--kill-signal=SIGRTMIN+4",), ("sh", "-ec", _BOOT), "0"
        return ("--boot",), (), "1"

    def remove(self) -> None:
        """Remove them, with all below; those that something still runs in stay."""
        for group in self._all:
            _remove(group)


def sweep() -> None:
    """Remove the groups of test runs that have ended."""
    for hierarchy in _hierarchies():
        for group in hierarchy.at.glob(f"{_PREFIX}*-*"):
            if not Path("/proc", group.name.removeprefix(_PREFIX).partition("-")[0]).exists():
                _remove(group)


def _hierarchies() -> list[_Hierarchy]:
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    kinds = ((Path(fields[4]), fields[fields.index("-") + 1]) for fields in mounts)
    return [_Hierarchy(at, kind == "cgroup2") for at, kind in kinds if kind in ("cgroup", "cgroup2")]


def _has_memory(hierarchy: _Hierarchy) -> bool:
    return hierarchy.unified and "memory" in (hierarchy.at / "cgroup.controllers").read_text().split()


def _remove(group: Path) -> None:
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):  # something is still ending in it
            os.rmdir(directory)
