"""What a plan says of refreshes: the prediction is what applying it then does."""

from __future__ import annotations

import json

from agent.cli.plan_text import plan_lines, plan_to_json, refreshes_of
from tests.unit.fake_systemd import ETC, SERVICE
from tests.unit.world import World, desired, file, unit

WEB = "web.service"
RESOURCES = file("/etc/web.d/a") + unit(WEB, restart_on="['file:/etc/web.d/*']")
CHANGED = RESOURCES.replace("content: x", "content: y")


def ready(world: World) -> World:
    world.systemd.unit(WEB)
    world.host.files.put("/etc/web.d", kind="directory")
    return world


def lines(world: World, resources: str) -> list[str]:
    return list(plan_lines(world.plan(resources), desired(resources), world.host, ""))


def test_a_unit_that_is_started_is_not_restarted_and_one_that_runs_is(world: World) -> None:
    assert refreshes_of(ready(world).plan(RESOURCES)) == {}
    world.run(RESOURCES)
    assert refreshes_of(world.plan(RESOURCES)) == {}
    expected = f"  ~ unit:{WEB}                         restart, because file:/etc/web.d/a changes"
    shown = lines(world, CHANGED)
    assert [" ".join(line.split()) for line in shown if WEB in line] == [" ".join(expected.split())]
    assert shown[-1].startswith("1 to change, 1 to restart, 1 in sync")
    shown_json = plan_to_json(world.plan(CHANGED), desired(CHANGED), world.host)
    assert shown_json["refreshes"] == [
        {"id": f"unit:{WEB}", "action": "restart", "because": ["file:/etc/web.d/a changes"]}
    ]


def test_what_is_removed_restarts_who_asked_by_pattern(world: World) -> None:
    ready(world).run(RESOURCES + file("/etc/web.d/b"))
    plan = world.plan(RESOURCES)
    assert refreshes_of(plan) == {f"unit:{WEB}": ("restart", ["file:/etc/web.d/b is removed"])}


def test_a_restart_is_predicted_for_who_follows_the_restarted_one(world: World) -> None:
    world.systemd.unit("log.service")
    following = unit("log.service", restart_on=f"[unit:{WEB}]")
    ready(world).run(RESOURCES + following)
    assert refreshes_of(world.plan(CHANGED + following))["unit:log.service"] == ("restart", [f"unit:{WEB} changes"])


def test_what_is_owed_from_before_is_shown_also_when_nothing_else_is(world: World) -> None:
    resources = file(f"{ETC}/new.service", json.dumps(SERVICE))
    world.fail("systemctl", "daemon-reload")
    world.run(resources)
    shown = lines(world, resources)
    assert f"daemon-reload, because it is owed since file:{ETC}/new.service changed" in shown[1]
    assert shown[-1].startswith("1 to refresh, 1 in sync")


def test_what_is_owed_to_one_that_left_git_is_said_to_be_forgotten(world: World) -> None:
    ready(world).run(RESOURCES)
    world.fail("systemctl", "try-restart")
    world.run(CHANGED)
    left = file("/etc/web.d/a", "y")
    assert any("that a restart of it was owed is forgotten" in line for line in lines(world, left))
