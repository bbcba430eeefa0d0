"""Restarts by state: one that no event tells of is owed, one that the agent may not make is left to a person."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.apply import Outcome
from agent.cli.plan_text import refreshes_of
from agent.store import Owed
from modules.api import Completed
from tests.unit.fake_systemd import LIB, SERVICE
from tests.unit.world import Fuse, PowerCut, World, file, unit

WEB, BUS = "web.service", "dbus.service"
CONF = "/etc/web.conf"
RESTART = file(CONF) + unit(WEB, restart_on=f"[file:{CONF}]")
CHANGED = RESTART.replace("content: x", "content: y")
TEXT = "  - unit: own.service\n    content: |\n      [Service]\n      ExecStart=/bin/sleep\n    active: true\n"
OTHER_TEXT = TEXT.replace("/bin/sleep\n", "/bin/sleep\n      Nice=5\n")


@pytest.fixture(autouse=True)
def web(world: World) -> None:
    world.systemd.unit(WEB, SERVICE)
    world.systemd.unit(BUS, SERVICE, active=True)


def starts(world: World, name: str = WEB) -> int:
    return world.systemd.starts[name]


def outcomes(world: World, resources: str) -> dict[str, Outcome]:
    """The outcomes of one pass, those in sync too."""
    world.run(resources)
    return {outcome.id: outcome for outcome in world.outcomes}


# By state


def test_what_somebody_changed_by_hand_before_git_did_is_a_change(world: World) -> None:
    world.run(RESTART)
    world.host.files.put(CONF, "y")
    assert world.plan(CHANGED).pending
    assert world.run(CHANGED) == {f"file:{CONF}": "in_sync", f"unit:{WEB}": "converged"}
    assert starts(world) == 2
    assert world.message(f"unit:{WEB}") == f"restart, because file:{CONF} changed"
    assert not world.plan(CHANGED).pending


def test_a_unit_that_runs_already_is_adopted_without_a_restart(world: World) -> None:
    world.systemd.active[WEB] = "active"
    world.host.files.put(CONF, "x")
    assert set(world.run(RESTART).values()) == {"in_sync"}
    assert set(world.run(RESTART).values()) == {"in_sync"}
    assert starts(world) == 0


def test_a_unit_that_ran_on_outside_of_git_is_told_of_what_changed_meanwhile(world: World) -> None:
    world.systemd.active[WEB] = "active"
    world.run(RESTART)
    world.run(file(CONF))
    world.run(file(CONF, "y"))
    began = starts(world)
    assert world.run(CHANGED)[f"unit:{WEB}"] == "converged"
    assert starts(world) == began + 1
    assert set(world.run(CHANGED).values()) == {"in_sync"}


def test_a_lost_event_is_made_up_for(world: World) -> None:
    world.run(RESTART)
    world.fail("systemctl", "try-restart")
    assert world.run(CHANGED)[f"unit:{WEB}"] == "failed"
    with world.store() as store:
        store.delivered([Owed(f"unit:{WEB}", "restart", "")])  # as if nobody had written it down
    world.host.programs["systemctl"] = world.systemd._systemctl
    assert world.run(CHANGED)[f"unit:{WEB}"] == "converged"
    assert starts(world) == 2


def test_a_restart_survives_a_power_cut_before_any_change(tmp_path: Path) -> None:
    for at in range(1, 60):
        world = World(tmp_path / str(at))
        world.directory.mkdir()
        world.systemd.unit(WEB, SERVICE)
        world.run(RESTART)
        found: list[str] = []
        watch_restarts(world, found)
        fuse = Fuse(at)
        with contextlib.suppress(PowerCut):
            world.run(CHANGED, fuse=fuse)
        world.run(CHANGED)
        assert found[-1:] == ["y"], f"the power was cut before call {at}"
        assert (len(found), world.owed()) in ((1, []), (2, [])), f"the power was cut before call {at}"
        world.run(CHANGED)
        assert len(found) <= 2
        if fuse.calls < at:
            return
    pytest.fail("it never got through")


def watch_restarts(world: World, found: list[str]) -> None:
    """Note what the file says at each restart."""
    systemctl = world.host.programs["systemctl"]

    def watched(words: Sequence[str]) -> Completed:
        if "try-restart" in words:
            found.append(world.read(CONF))
        return systemctl(words)

    world.host.programs["systemctl"] = watched


def test_what_does_not_change_the_result_is_no_change(world: World) -> None:
    world.run(RESTART)
    world.run(RESTART.replace("content: x\n", "content: x\n    force: true\n"))
    assert starts(world) == 1


def test_a_cause_that_is_new_to_the_list_is_no_change(world: World) -> None:
    world.run(RESTART + file("/etc/more"))
    world.run(RESTART.replace(f"[file:{CONF}]", f"[file:{CONF}, file:/etc/more]") + file("/etc/more"))
    assert starts(world) == 1
    with world.store() as store:
        assert {origin[2] for origin in store.started()} == {f"file:{CONF}", "file:/etc/more", f"unit:{WEB}"}
    world.run(RESTART + file("/etc/more"))
    with world.store() as store:
        assert {origin[2] for origin in store.started()} == {f"file:{CONF}", f"unit:{WEB}"}


def test_a_cause_that_failed_is_not_what_it_was_started_with(world: World) -> None:
    world.run(RESTART)
    world.run(CHANGED.replace("content: y\n", "content: y\n    validate: [nosuch, '%s']\n"))
    assert starts(world) == 1
    world.run(CHANGED)
    assert starts(world) == 2


def test_a_pass_with_nothing_to_do_writes_nothing(world: World) -> None:
    world.run(CHANGED)
    before = (world.directory / "state.db").read_bytes()
    world.run(CHANGED)
    world.run(CHANGED)
    assert (world.directory / "state.db").read_bytes() == before


# Its own text


def test_a_change_of_its_text_restarts_it_once(world: World) -> None:
    world.run(TEXT)
    assert starts(world, "own.service") == 1
    assert world.run(OTHER_TEXT) == {"unit:own.service": "converged"}
    assert world.message("unit:own.service") == "restart, because its own text changed"
    world.run(OTHER_TEXT)
    assert starts(world, "own.service") == 2
    assert world.host.count("daemon-reload") == 2


def test_an_edit_by_hand_is_undone_and_restarts_it(world: World) -> None:
    world.run(TEXT)
    world.host.files.put("/etc/systemd/system/own.service", "[Service]\nExecStart=/bin/cat\n")
    world.systemd.daemon_reload()
    world.run(TEXT)
    assert starts(world, "own.service") == 2


def test_a_restart_for_its_text_that_fails_is_owed(world: World) -> None:
    world.run(TEXT)
    mend = world.fail("systemctl", "try-restart")
    assert world.run(OTHER_TEXT) == {"unit:own.service": "failed"}
    mend()
    world.run(OTHER_TEXT)
    assert starts(world, "own.service") == 2


def test_what_leaves_git_together_is_removed_with_one_reload(world: World) -> None:
    many = "".join(TEXT.replace("own", f"own{number}") for number in range(4))
    world.run(many + file(CONF))
    before = world.host.count("daemon-reload")
    assert list(world.run(file(CONF)).values()) == ["in_sync", *["removed"] * 4]
    assert world.host.count("daemon-reload") == before + 1
    assert not [path for path in world.host.files.entries if "own" in path]


@pytest.mark.parametrize(("on_change", "action"), [("restart", "restart"), ("reload-or-restart", "reload")])
def test_the_plan_tells_of_it(world: World, on_change: str, action: str) -> None:
    chosen = f"    on_change: {on_change}\n"
    world.run(TEXT + chosen)
    assert refreshes_of(world.plan(OTHER_TEXT + chosen)) == {"unit:own.service": (action, ["its own text changes"])}
    world.host.files.put(CONF, "y")
    world.run(RESTART)
    world.host.files.put(CONF, "y")
    assert refreshes_of(world.plan(CHANGED)) == {f"unit:{WEB}": ("restart", [f"file:{CONF} changed unnoticed"])}


# Left to a person

LEFT = file(CONF) + f"  - unit: {BUS}\n    restart_on: [file:{CONF}]\n"
LEFT_CHANGED = LEFT.replace("content: x", "content: y")
REPORTED = RESTART + "    on_change: report\n"


@pytest.mark.parametrize(("resources", "name"), [(LEFT, BUS), (REPORTED, WEB)])
def test_what_is_left_to_a_person_is_said_until_it_is_done(world: World, resources: str, name: str) -> None:
    world.run(resources)
    changed, began = resources.replace("content: x", "content: y"), starts(world, name)
    world.systemd.entered[name] = 0  # long ago
    for _ in range(3):
        done = outcomes(world, changed)
        assert done[f"unit:{name}"].result == "in_sync"
        assert f"restart, because file:{CONF} changed; " in done[f"unit:{name}"].owed
        assert f"systemctl restart {name}" in done[f"unit:{name}"].owed
    assert starts(world, name) == began
    assert not world.plan(changed).pending, "there is nothing that the agent would do"
    before = (world.directory / "state.db").read_bytes()
    outcomes(world, changed)
    assert (world.directory / "state.db").read_bytes() == before
    restart_by_hand(world, name)
    assert outcomes(world, changed)[f"unit:{name}"].owed == ""
    assert world.owed() == []
    assert starts(world, name) == began + 1


def test_that_a_restart_is_left_to_a_person_is_in_the_trail_once(world: World) -> None:
    world.run(REPORTED)
    for _ in range(3):
        world.run(CHANGED + "    on_change: report\n")
    with world.store(writable=False) as store:
        [line] = [line for line in store.history.changes(f"unit:{WEB}") if line["result"] == "pending"]
    command = f"systemctl restart {WEB}"
    assert line["message"] == f"restart, because file:{CONF} changed; left to you by `on_change: report`: {command}"
    assert line["drift"] == "{}"


def restart_by_hand(world: World, name: str) -> None:
    world.host.files.tick(3700)
    world.host.run("systemctl", "try-restart", "--", name)


def test_what_was_restarted_before_the_next_change_is_owed_again(world: World) -> None:
    world.run(LEFT)
    outcomes(world, LEFT_CHANGED)
    restart_by_hand(world, BUS)
    assert outcomes(world, LEFT_CHANGED)[f"unit:{BUS}"].owed == ""
    world.host.files.tick(-7400)
    world.systemd.entered[BUS] = 0
    assert outcomes(world, LEFT)[f"unit:{BUS}"].owed != ""


def test_report_that_is_taken_back_restarts_after_all(world: World) -> None:
    world.run(REPORTED)
    outcomes(world, REPORTED.replace("content: x", "content: y"))
    assert starts(world) == 1
    world.run(CHANGED)
    assert starts(world) == 2
    assert world.owed() == []


def test_an_alias_of_what_the_agent_stands_on_is_left_too(world: World) -> None:
    world.host.files.put(f"{LIB}/messagebus.service", f"{LIB}/{BUS}", kind="symlink")
    world.systemd.daemon_reload()
    alias = LEFT.replace(BUS, "messagebus.service")
    world.run(alias)
    changed = alias.replace("content: x", "content: y")
    assert "does not restart dbus.service under itself" in outcomes(world, changed)["unit:messagebus.service"].owed
    assert not world.plan(changed).pending
