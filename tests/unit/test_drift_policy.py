"""What is done about drift, as Git or the settings say: put back, told, ignored, left after creation; and given up on."""

from __future__ import annotations

import pytest

from agent.apply import Conduct, Reason
from agent.apply.drift import Repairs
from agent.errors import ManifestInvalid
from agent.plan import drift_between
from tests.unit.following import Branch, Following, compiler, results
from tests.unit.world import World, desired, file, unit

REPORT = Conduct(drift=Repairs("report"))


def policy(world: World, **fields: str) -> dict[str, str]:
    """Hold a file with a policy, let somebody change it, and hold it again."""
    given = file("/etc/a", "ours", **fields)
    world.run(given)
    world.host.files.put("/etc/a", "theirs")
    return world.run(given)


def test_it_is_put_back(world: World) -> None:
    assert policy(world) == policy(world, drift="enforce") == {"file:/etc/a": "converged"}
    assert world.read("/etc/a") == "ours"


def test_it_is_only_told_where_git_says_so(world: World) -> None:
    assert policy(world, drift="report") == {"file:/etc/a": "pending"}
    assert world.read("/etc/a") == "theirs"
    assert world.message("file:/etc/a") == "it drifted, and drift is only reported here"
    assert world.told[-1].reason is Reason.DRIFT_REPORTED
    assert world.told[-1].drift.keys() == {"content"}
    assert world.run(file("/etc/a", "new", drift="report")) == {"file:/etc/a": "converged"}
    assert world.read("/etc/a") == "new", "what Git newly asks for is applied"


def test_it_is_only_told_where_the_settings_say_so(world: World) -> None:
    world.run(file("/etc/a"), REPORT)
    assert world.has("/etc/a"), "what is new is applied"
    world.host.files.put("/etc/a", "theirs")
    assert world.run(file("/etc/a"), REPORT) == {"file:/etc/a": "pending"}
    assert world.run(file("/etc/a")) == {"file:/etc/a": "converged"}


def test_what_only_is_told_blocks_nobody(world: World) -> None:
    given = file("/etc/a", drift="report") + file("/etc/b", requires="file:/etc/a")
    world.run(given)
    world.host.files.put("/etc/a", "theirs")
    world.host.files.drop("/etc/b")
    assert world.run(given) == {"file:/etc/a": "pending", "file:/etc/b": "converged"}


def test_what_is_ignored_is_neither_compared_nor_applied(world: World) -> None:
    given = file("/etc/a", mode='"0600"', ignore="[mode]")
    world.run(given)
    world.host.files.set_mode("/etc/a", 0o640)
    assert world.run(given) == {"file:/etc/a": "in_sync"}
    world.host.files.put("/etc/a", "theirs")
    assert world.run(given) == {"file:/etc/a": "converged"}
    assert world.read("/etc/a") == "x"


def test_what_is_only_created_is_theirs_from_then_on(world: World) -> None:
    assert policy(world, drift="create-only") == {"file:/etc/a": "in_sync"}
    assert world.read("/etc/a") == "theirs"
    assert world.run(file("/etc/a", "new", drift="create-only")) == {"file:/etc/a": "in_sync"}
    world.host.files.drop("/etc/a")
    assert world.run(file("/etc/a", "new", drift="create-only")) == {"file:/etc/a": "converged"}
    assert world.read("/etc/a") == "new"


def test_what_git_ignores_does_not_matter_to_a_plan(world: World) -> None:
    world.run(file("/etc/a", mode='"0600"', ignore="[mode]"))
    world.host.files.set_mode("/etc/a", 0o640)
    assert not world.plan(file("/etc/a", mode='"0600"', ignore="[mode]")).pending


# Contested


def test_a_unit_that_is_put_back_and_restarted_in_one_pass_was_put_back_once(world: World) -> None:
    world.systemd.unit("a.service", active=True)
    resources = file("/etc/a.conf") + unit("a.service", enabled="true", restart_on="['file:/etc/a.conf']")
    world.run(resources)
    for times in (1, 2):
        world.host.files.put("/etc/a.conf", "theirs")
        world.host.run("systemctl", "disable", "--", "a.service")
        assert set(world.run(resources).values()) == {"converged"}
        assert "restart" in world.message("unit:a.service")
        with world.store() as store:
            assert store.history.repairs(0)["unit:a.service", "enabled"] == times
            assert store.history.repaired(0)["count"] == 2 * times


def repair(following: Following, times: int) -> list[str]:
    found = []
    for number in range(times):
        following.host.files.put("/etc/a", f"theirs {number}")
        found.append(results(following.look(drift=Repairs(contested_after=3, window_seconds=600)))["file:/etc/a"])
        following.now += 60
    return found


def test_what_somebody_keeps_changing_is_given_up_on_for_a_while(following: Following) -> None:
    following.branch.push(file("/etc/a"))
    following.poll()
    following.now += 1000
    assert repair(following, 5) == ["converged"] * 3 + ["pending"] * 2
    assert following.world.read("/etc/a") == "theirs 4"
    following.now += 600
    assert repair(following, 1) == ["converged"], "it is tried again when the window has passed"


def test_another_property_of_it_is_still_repaired(following: Following) -> None:
    following.branch.push(file("/etc/a", mode='"0644"'))
    following.poll()
    following.now += 1000
    repair(following, 3)
    following.host.files.set_mode("/etc/a", 0o600)
    assert results(following.look(drift=Repairs(contested_after=3)))["file:/etc/a"] == "converged"


def test_a_new_wish_ends_it(following: Following) -> None:
    following.branch.push(file("/etc/a"))
    following.poll()
    following.now += 1000
    repair(following, 4)
    following.branch.push(file("/etc/a", "new"))
    assert results(following.poll(drift=Repairs(contested_after=3)))["file:/etc/a"] == "converged"


def test_the_message_names_what_and_how_often(following: Following) -> None:
    following.branch.push(file("/etc/a"))
    following.poll()
    following.now += 1000
    repair(following, 3)
    following.host.files.put("/etc/a", "theirs")
    (outcome,) = following.look(drift=Repairs(contested_after=3, window_seconds=600)).outcomes
    assert outcome.reason is Reason.CONTESTED
    assert outcome.message.startswith("contested: content was put back 3 times within 10 min")
    assert "declare `ignore`" in outcome.message


# Declared


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"drift": "never"}, "`drift` must be one of enforce, report, create-only, not text"),
        ({"ignore": "[mod]"}, "`ignore` of file:/etc/a names mod, which is none of its fields; did you mean mode?"),
        ({"ignore": "[path]"}, "names path, which is none of its fields"),
        ({"ignore": "{mode: 1}"}, "`ignore` takes a list of property names"),
        ({"prune": "keep"}, "`prune` must be one of delete, release, confirm, not text"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(fields: dict[str, str], message: str) -> None:
    branch = Branch()
    branch.push(file("/etc/a", **fields))
    with pytest.raises(ManifestInvalid, match=r"hosts/web-01\.yaml:4") as error:
        compiler(branch.fetch(None))
    assert message in str(error.value)


def test_what_is_not_created_cannot_be_only_created() -> None:
    with pytest.raises(ManifestInvalid, match="is not created, so `drift: create-only` says nothing"):
        desired("  - unit: a.service\n    active: true\n    drift: create-only\n")


def test_a_policy_is_part_of_what_a_commit_asks_for() -> None:
    plans = {
        desired(file("/etc/a", **fields)).compiled.plan for fields in ({}, {"drift": "report"}, {"prune": "release"})
    }
    assert len(plans) == 3
    assert drift_between({}, {}) == {}
