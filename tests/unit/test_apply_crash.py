"""The power fails before every single change that a pass makes, of the store or of the host; the next pass mends all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from agent.apply import Approval, Conduct
from tests.unit.fake_systemd import ETC, SERVICE
from tests.unit.world import Fuse, PowerCut, World, desired, file, unit

WEB, OLD, NEW = "web.service", "old.service", "new.service"
TEXT = SERVICE.replace("\n", "\\n")


def unit_file(name: str, nice: int) -> str:
    return file(f"{ETC}/{name}", f'"{TEXT}Nice={nice}\\n"')


BEFORE = (
    "  - directory: /etc/web.d\n" + file("/etc/web.d/a", "one") + file("/etc/web.d/leaving") + unit_file(OLD, 1)
    + unit_file(WEB, 1) + unit(OLD) + unit(WEB, restart_on="['file:/etc/web.d/*']") + "  - package: tree\n"
)  # fmt: skip
AFTER = (
    "  - directory: /etc/web.d\n" + file("/etc/web.d/a", "two", mode='"0600"') + unit_file(WEB, 2) + unit_file(NEW, 1)
    + unit(WEB, restart_on=f"['file:/etc/web.d/*', 'file:{ETC}/{WEB}']")
    + unit(NEW, enabled="true", reload_on="[file:/etc/web.d/a]") + "  - symlink: /etc/link\n    target: web.d/a\n  - package: curl\n"
)  # fmt: skip


def ready(directory: Path) -> World:
    world = World(directory)
    world.apt.offer("tree", "1")
    world.apt.offer("curl", "1")
    assert set(world.run(BEFORE).values()) == {"converged"}
    return world


def cut(directory: Path, at: int) -> tuple[World, bool]:
    """A world whose power failed before a call of the pass to AFTER; and whether the pass made as many calls."""
    world = ready(directory)
    try:
        world.run(AFTER, fuse=Fuse(at))
    except PowerCut:
        return world, True
    return world, False


def calls_of_a_pass(directory: Path) -> int:
    world, fuse = ready(directory), Fuse()
    world.run(AFTER, fuse=fuse)
    return fuse.calls


def test_the_next_pass_converges_wherever_the_power_failed(tmp_path: Path) -> None:
    calls = calls_of_a_pass(tmp_path)
    assert calls > 40, "the pass does something"
    restarts: Counter[int] = Counter()
    starts: Counter[int] = Counter()
    for at in range(1, calls + 1):
        directory = tmp_path / str(at)
        directory.mkdir()
        world, died = cut(directory, at)
        assert died, f"the pass made only {at - 1} calls, and {calls} before"
        world.run(AFTER)
        check(world, at)
        restarts[world.systemd.starts[WEB] - 1] += 1
        starts[world.systemd.starts[NEW]] += 1
    assert restarts[0] == 0, "a restart was lost"
    # Between the restart and the note of it, and between a start and the note of it, nobody can know: again is safe.
    assert set(restarts) | set(starts) == {1, 2}
    assert restarts[2] < calls * 0.2
    assert starts[2] < calls * 0.2


def check(world: World, at: int) -> None:
    """All is as AFTER says, nothing is owed or half done, and nothing is left to do."""
    where = f"the power failed before call {at}"
    assert (world.read("/etc/web.d/a"), world.host.files.entries["/etc/web.d/a"].mode) == ("two", 0o600), where
    gone = ("/etc/web.d/leaving", f"{ETC}/{OLD}")
    assert not any(world.has(path) for path in gone), where
    assert [path for path in world.host.files.entries if path.endswith(".staged")] == [], where
    assert world.apt.status_of("curl") == ("installed", "1"), where
    assert world.apt.status_of("tree")[0] == "config-files", where
    assert (world.systemd.active.get(WEB), world.systemd.active.get(NEW)) == ("active", "active"), where
    assert OLD not in world.systemd.active, where
    assert world.systemd.load(WEB).settings["Nice"] == "2", where
    assert world.owed() == [], where
    inventory = world.inventory()
    assert not any(entry.pending for entry in inventory.values()), where
    assert set(inventory) == {node.id for node in desired(AFTER).compiled.catalog.nodes}, where
    assert world.plan(AFTER).settled, where
    assert not world.plan(AFTER).pending, where


@pytest.mark.parametrize("leaving", ["before", "after"])
def test_what_leaves_git_right_after_a_crash_still_leaves_the_host(tmp_path: Path, leaving: str) -> None:
    """The file was made, its pass died before it could say so, and the next commit takes it away again."""
    calls = calls_of_a_pass(tmp_path)
    goal = BEFORE if leaving == "before" else "  - directory: /etc/web.d\n"
    for at in range(1, calls + 1, 2):
        directory = tmp_path / str(at)
        directory.mkdir()
        world, _ = cut(directory, at)
        world.run(goal, Conduct(removals=Approval(everything=True)))
        assert not world.has("/etc/link"), at
        assert not world.has(f"{ETC}/{NEW}"), at
        assert world.apt.status_of("curl")[0] != "installed", at
        assert NEW not in world.systemd.active, at
        assert [path for path in world.host.files.entries if path.endswith(".staged")] == [], at
        assert not world.plan(goal).pending, at
