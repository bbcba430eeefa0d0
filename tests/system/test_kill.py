"""`agentctl apply` is killed before one system call after another; the next pass ends converged, and leaves nothing astray."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.hosts.git import GitRepository

NAME = "web-01"
CALLS = (  # every way in which a pass changes what is on disk
    "write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "symlink,symlinkat,link,linkat,fchmod,fchmodat,chmod,fchown,fchownat,chown"
)
BEFORE = """\
  - directory: /etc/web
  - file: /etc/web/conf
    content: "one\\n"
  - file: /etc/web/leaving
    content: "x\\n"
  - file: /etc/systemd/system/web.service
    content: "[Service]\\nExecStart=/bin/true\\n"
  - unit: web.service
    restart_on: ["file:/etc/web/*"]
"""
AFTER = """\
  - directory: /etc/web
    mode: "0750"
  - file: /etc/web/conf
    content: "two\\n"
    mode: "0640"
  - file: /etc/web/new
    content: "x\\n"
  - symlink: /etc/link
    target: web/conf
  - file: /etc/systemd/system/web.service
    content: "[Service]\\nExecStart=/bin/false\\n"
  - unit: web.service
    restart_on: ["file:/etc/web/*"]
"""
POINTS = 30  # kills, spread over all calls of a pass


class Pass:
    """A repository, and passes over roots that follow it."""

    def __init__(self, directory: Path) -> None:
        self.repository = GitRepository(directory / "git")

    def hold(self, resources: str) -> None:
        self.repository.commit({"fleet.yaml": "format: 1\n", f"hosts/{NAME}.yaml": f"resources:\n{resources}"})

    def command(self, verb: str, root: Path) -> list[str]:
        place = ("--repo", str(self.repository.bare), "--host", NAME, "--root", str(root))
        return [str(Path(sys.executable).with_name("agentctl")), verb, *place]

    def run(self, verb: str, root: Path) -> int:
        return subprocess.run(self.command(verb, root), capture_output=True, check=False, timeout=60).returncode

    def calls(self, root: Path) -> list[tuple[str, int]]:
        """The calls of a pass in their order, each with how many of its name came before it, counted from 1."""
        trace = root.parent / "trace"
        subprocess.run([*strace(trace), *self.command("apply", root)], capture_output=True, check=True, timeout=60)
        lines = [line.split(None, 1) for line in trace.read_text().splitlines()]
        ours = Counter(process for process, _ in lines).most_common(1)[0][0]
        names = [call.partition("(")[0] for process, call in lines if process == ours]
        return [(name, names[: index + 1].count(name)) for index, name in enumerate(names)]

    def killed(self, root: Path, call: str, number: int) -> bool:
        """Kill the pass before it makes a call for the given time; whether it was."""
        inject = ("-e", f"inject={call}:signal=KILL:when={number}")
        command = [*strace(Path(os.devnull)), *inject, *self.command("apply", root)]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0


def strace(output: Path) -> list[str]:
    return ["strace", "-f", "-qq", "-o", str(output), "-e", f"trace={CALLS}", "-e", "signal=none"]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pass, Path]:
    """A root that is as BEFORE says, and a repository that says AFTER."""
    directory = tmp_path_factory.mktemp("kill")
    made, root = Pass(directory), directory / "root"
    (root / "etc/systemd/system").mkdir(parents=True)
    made.hold(BEFORE)
    assert made.run("apply", root) == 0
    made.hold(AFTER)
    return made, root


def copy(root: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(root, to, symlinks=True)
    return to


def is_converged(root: Path) -> bool:
    conf = root / "etc/web/conf"
    return (
        conf.read_text() == "two\n"
        and stat.S_IMODE(conf.stat().st_mode) == 0o640
        and stat.S_IMODE((root / "etc/web").stat().st_mode) == 0o750
        and sorted(os.listdir(root / "etc/web")) == ["conf", "new"]
        and os.readlink(root / "etc/link") == "web/conf"
        and sorted(os.listdir(root / "etc")) == ["link", "systemd", "web"]
        and os.listdir(root / "etc/systemd/system") == ["web.service"]
        and "/bin/false" in (root / "etc/systemd/system/web.service").read_text()
    )


def strays(root: Path) -> list[str]:
    state, runtime = root / "var/lib/gitops-agent", root / "run/gitops-agent"
    known = {"state.db", "floor.json", "ledger", "ledger.passes", "catalog.json", "repo.git", "status.json", "lock"}
    return [name for folder in (state, runtime) for name in os.listdir(folder) if name not in known]


def left_in_the_store(root: Path) -> list[int]:
    """Refreshes that are owed, entries that are half done, and resources that are owned."""
    with sqlite3.connect(f"file:{root}/var/lib/gitops-agent/state.db?mode=ro", uri=True) as db:
        queries = ("refreshes", "inventory WHERE pending", "inventory")
        return [db.execute(f"SELECT count(*) FROM {query}").fetchone()[0] for query in queries]


def test_a_pass_that_is_killed_anywhere_is_ended_by_the_next(held: tuple[Pass, Path], tmp_path: Path) -> None:
    passes, root = held
    calls = passes.calls(copy(root, tmp_path / "root"))
    assert is_converged(tmp_path / "root")
    assert len(calls) > 100, "a pass does something"
    killed = 0
    for call, number in calls[:: len(calls) // POINTS]:
        where = f"after a kill before {call} number {number}"
        victim = copy(root, tmp_path / "root")
        killed += passes.killed(victim, call, number)  # SQLite does not make quite as many calls each time
        assert passes.run("apply", victim) == 0, where
        assert is_converged(victim), where
        assert left_in_the_store(victim) == [0, 0, 6], where
        assert strays(victim) == [], where
        assert passes.run("plan", victim) == 0, where
    assert killed >= POINTS, "of all points, only the last may lie beyond the end of a pass"


def test_locks_and_halves_in_the_clone_do_not_outlive_their_pass(held: tuple[Pass, Path], tmp_path: Path) -> None:
    passes, root = held
    victim = copy(root, tmp_path / "root")
    clone = victim / "var/lib/gitops-agent/repo.git"
    left = ("config.lock", "shallow.lock", "refs/gitops-agent/accepted.lock", "refs/gitops-agent/fetched.lock",
            "FETCH_HEAD.lock", "objects/pack/pack_git2_0123456789abcdef")  # fmt: skip
    for name in left:
        (clone / name).touch()
    assert passes.run("apply", victim) == 0
    assert is_converged(victim)
    assert [name for name in left if (clone / name).exists()] == []
