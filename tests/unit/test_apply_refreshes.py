"""Refreshes: what a change owes is written before it, and delivered after it, whatever happens between."""

from __future__ import annotations

import pytest

from agent.apply import Conduct
from tests.unit.fake_systemd import LIB, SERVICE, Loaded
from tests.unit.world import World, file, unit

WEB = "web.service"
RESTART = file("/etc/web.conf") + unit(WEB, restart_on="[file:/etc/web.conf]")
CHANGED = RESTART.replace("content: x", "content: y")
RELOADING = SERVICE.replace("[Install]", "ExecReload=/bin/true\n[Install]")


@pytest.fixture(autouse=True)
def web(world: World) -> None:
    world.systemd.unit(WEB, RELOADING)


def test_a_unit_that_was_started_is_not_restarted(world: World) -> None:
    assert set(world.run(RESTART).values()) == {"converged"}
    assert world.systemd.starts[WEB] == 1
    assert world.owed() == []


def test_a_change_restarts_once_and_says_why(world: World) -> None:
    world.run(RESTART)
    assert world.run(CHANGED) == {"file:/etc/web.conf": "converged", f"unit:{WEB}": "converged"}
    assert world.systemd.starts[WEB] == 2
    assert world.message(f"unit:{WEB}") == "restart, because file:/etc/web.conf changed"
    world.run(CHANGED)
    assert world.systemd.starts[WEB] == 2


def test_a_stopped_unit_is_not_started_by_a_refresh(world: World) -> None:
    quiet = RESTART.replace("active: true", "active: false")
    world.run(quiet)
    world.run(quiet.replace("content: x", "content: y"))
    assert world.systemd.starts[WEB] == 0
    assert world.owed() == []


def test_a_reload_reloads_and_a_restart_makes_it_needless(world: World) -> None:
    both = file("/etc/a") + file("/etc/b") + unit(WEB, restart_on="[file:/etc/a]", reload_on="[file:/etc/b]")
    world.run(both)
    world.run(both.replace("/etc/b\n    content: x", "/etc/b\n    content: y"))
    assert (world.systemd.starts[WEB], world.systemd.reloads[WEB]) == (1, 1)
    world.run(both.replace("content: x", "content: z"))
    assert (world.systemd.starts[WEB], world.systemd.reloads[WEB]) == (2, 1)
    assert world.owed() == []


def test_a_failed_refresh_stays_owed_and_is_tried_in_the_next_pass(world: World) -> None:
    world.run(RESTART)
    mend = world.fail("systemctl", "try-restart")
    assert world.run(CHANGED) == {"file:/etc/web.conf": "converged", f"unit:{WEB}": "failed"}
    assert world.message(f"unit:{WEB}").startswith("restart: ")
    assert world.owed() == [(f"unit:{WEB}", "restart", "file:/etc/web.conf")]
    mend()
    assert world.plan(CHANGED).pending
    assert world.run(CHANGED) == {"file:/etc/web.conf": "in_sync", f"unit:{WEB}": "converged"}
    assert world.systemd.starts[WEB] == 2
    assert world.owed() == []


def test_a_change_that_did_not_happen_owes_nothing(world: World) -> None:
    world.run(RESTART)
    bad = CHANGED.replace("content: y\n", "content: y\n    validate: [nosuch, '%s']\n")
    assert world.run(bad) == {"file:/etc/web.conf": "failed", f"unit:{WEB}": "in_sync"}
    assert world.owed() == []
    assert world.systemd.starts[WEB] == 1


def test_what_an_earlier_change_owes_is_not_taken_back_with_a_later_one(world: World) -> None:
    world.run(RESTART)
    mend = world.fail("systemctl", "try-restart")
    world.run(CHANGED)
    world.run(CHANGED.replace("content: y\n", "content: z\n    validate: [nosuch, '%s']\n"))
    assert world.owed() == [(f"unit:{WEB}", "restart", "file:/etc/web.conf")]
    mend()
    world.run(CHANGED)
    assert world.systemd.starts[WEB] == 2


def test_one_of_two_causes_that_did_not_happen_leaves_the_other(world: World) -> None:
    both = file("/etc/a") + file("/etc/b") + unit(WEB, restart_on="['file:/etc/*']")
    world.run(both)
    world.run(
        file("/etc/a", "y", validate="[nosuch, '%s']") + file("/etc/b", "y") + unit(WEB, restart_on="['file:/etc/*']")
    )
    assert world.systemd.starts[WEB] == 2
    assert world.message(f"unit:{WEB}") == "restart, because file:/etc/b changed"


def test_a_refresh_owes_those_who_follow_the_refreshed_one(world: World) -> None:
    world.systemd.unit("log.service", SERVICE)
    chain = RESTART + unit("log.service", restart_on=f"[unit:{WEB}]")
    world.run(chain)
    world.run(chain.replace("content: x", "content: y"))
    assert world.systemd.starts["log.service"] == 2
    assert world.message("unit:log.service") == f"restart, because unit:{WEB} changed"


def test_a_refresh_that_fails_again_and_again_restarts_nobody_else(world: World) -> None:
    world.systemd.unit("log.service", SERVICE)
    chain = RESTART + unit("log.service", restart_on=f"[unit:{WEB}]")
    world.run(chain)
    world.systemd.unit(WEB, "[Service]\nExecStart=/bin/false\nExecReload=/bin/false\n", active=True)
    reload = chain.replace("restart_on: [file", "reload_on: [file").replace("content: x", "content: y")
    for _ in range(3):
        assert world.run(reload)[f"unit:{WEB}"] == "failed"
    assert world.systemd.starts["log.service"] == 1


def test_the_removal_of_a_file_restarts_who_asked_for_it_by_pattern(world: World) -> None:
    watching = unit(WEB, restart_on="['file:/etc/web.d/*']")
    world.run("  - directory: /etc/web.d\n" + file("/etc/web.d/a") + watching)
    done = world.run("  - directory: /etc/web.d\n" + watching)
    assert done["file:/etc/web.d/a"] == "removed"
    assert world.systemd.starts[WEB] == 2
    assert world.owed() == []


def test_a_change_and_a_removal_restart_once(world: World) -> None:
    watching = unit(WEB, restart_on="['file:/etc/web.d/*']")
    world.run("  - directory: /etc/web.d\n" + file("/etc/web.d/a") + file("/etc/web.d/b") + watching)
    world.run("  - directory: /etc/web.d\n" + file("/etc/web.d/a", "y") + watching)
    assert world.systemd.starts[WEB] == 2
    assert world.message(f"unit:{WEB}") == "restart, because file:/etc/web.d/a, file:/etc/web.d/b changed"


def test_a_unit_that_was_started_before_a_removal_is_restarted_after_it(world: World) -> None:
    watching = unit(WEB, restart_on="['file:/etc/web.d/*']")
    world.run("  - directory: /etc/web.d\n" + file("/etc/web.d/a") + watching)
    world.systemd.active.clear()
    seen: list[bool] = []
    start = world.systemd._start

    def watched(found: Loaded) -> str:
        seen.append(world.has("/etc/web.d/a"))
        return start(found)

    world.systemd._start = watched  # type: ignore[method-assign, assignment]
    world.run("  - directory: /etc/web.d\n" + watching)
    assert seen == [True, False], "it was started with the file, and again without it"
    assert world.owed() == []


def test_a_removal_that_fails_restarts_nobody(world: World) -> None:
    watching = unit(WEB, restart_on="['package:*']")
    world.apt.offer("tree", "1.0")
    world.run("  - package: tree\n" + watching)
    mend = world.fail("apt-get", "tree-")
    for _ in range(2):
        assert world.run(watching)["package:tree"] == "failed"
    assert world.systemd.starts[WEB] == 1
    assert world.owed() == []
    mend()
    assert world.run(watching)["package:tree"] == "removed"
    assert world.systemd.starts[WEB] == 2


def test_what_was_owed_to_a_unit_that_left_git_is_forgotten(world: World) -> None:
    world.run(RESTART)
    world.fail("systemctl", "try-restart")
    world.run(CHANGED)
    world.run(file("/etc/web.conf", "y"))
    assert world.owed() == []
    assert world.plan(file("/etc/web.conf", "y")).pending is False


def test_a_stopped_pass_keeps_what_is_owed(world: World) -> None:
    world.run(RESTART)
    stopping: list[bool] = []
    conduct = Conduct(tell=lambda outcome: stopping.append(True), stopped=lambda: "stopped" * bool(stopping))
    assert world.run(CHANGED, conduct)[f"unit:{WEB}"] == "pending"
    assert world.owed() == [(f"unit:{WEB}", "restart", "file:/etc/web.conf")]
    world.run(CHANGED)
    assert world.systemd.starts[WEB] == 2


def test_a_drop_in_is_read_before_its_unit_is_restarted(world: World) -> None:
    drop_in = file(f"{LIB.replace('/usr/lib', '/etc')}/{WEB}.d/a.conf", '"[Service]\\nNice=5\\n"')
    directory = f"  - directory: /etc/systemd/system/{WEB}.d\n"
    resources = directory + drop_in + unit(WEB, restart_on=f"['file:/etc/systemd/system/{WEB}.d/*']")
    world.run(resources)
    world.run(resources.replace("Nice=5", "Nice=6"))
    assert world.systemd.load(WEB).settings["Nice"] == "6"
    reload, restart = (
        max(index for index, line in enumerate(world.host.history) if word in line)
        for word in ("daemon-reload", "try-restart")
    )
    assert reload < restart
