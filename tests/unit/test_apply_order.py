"""The order in which a plan is applied, what is blocked, and what is done once for many."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.apply import Conduct, Reason
from agent.store import Owed
from modules.api import Completed, Host, ResourceError
from tests.unit.fake_systemd import ETC, SERVICE
from tests.unit.world import World, file, unit

BROKEN = "  - file: /etc/broken\n    content: x\n    validate: [nosuch, '%s']\n"
SERVICE_FILE = f"  - file: {ETC}/NAME\n    content: {SERVICE!r}\n".replace("'", '"')


def service(name: str) -> str:
    return SERVICE_FILE.replace("NAME", name)


def test_everything_converges_and_then_nothing_is_left_to_do(world: World) -> None:
    world.apt.offer("tree", "1.0")
    resources = file("/etc/a") + service("web.service") + unit("web.service", enabled="true") + "  - package: tree\n"
    assert set(world.run(resources).values()) == {"converged"}
    assert world.plan(resources).pending is False
    assert set(world.run(resources).values()) == {"in_sync"}
    assert world.apt.status_of("tree") == ("installed", "1.0")
    assert world.systemd.active["web.service"] == "active"


def test_a_failure_blocks_what_requires_it_and_what_requires_that(world: World) -> None:
    resources = (
        BROKEN
        + file("/etc/needs", requires="[file:/etc/broken]")
        + file("/etc/needs-that", requires="[file:/etc/needs]")
        + file("/etc/after", after="[file:/etc/broken]")
        + file("/etc/other")
    )
    assert world.run(resources) == {
        "file:/etc/broken": "failed",
        "file:/etc/after": "converged",
        "file:/etc/other": "converged",
        "file:/etc/needs": "blocked",
        "file:/etc/needs-that": "blocked",
    }
    assert world.message("file:/etc/needs-that") == "needs file:/etc/needs"
    assert not world.has("/etc/needs")
    assert "file:/etc/broken" not in world.inventory()


def test_ties_are_in_the_order_of_declaration(world: World) -> None:
    world.systemd.unit("b.service")
    world.systemd.unit("a.service")
    done = world.run(unit("b.service") + file("/etc/z") + unit("a.service") + file("/etc/y"))
    assert list(done) == ["unit:b.service", "file:/etc/z", "unit:a.service", "file:/etc/y"]


def test_files_look_ahead_past_directories_and_links_but_not_past_units(world: World) -> None:
    world.systemd.unit("web.service")
    resources = file("/etc/a") + "  - directory: /etc/d\n" + file("/etc/b") + unit("web.service") + file("/etc/c")
    done = world.run(resources)
    assert list(done) == ["file:/etc/a", "file:/etc/b", "directory:/etc/d", "unit:web.service", "file:/etc/c"]


def test_packages_gather_all_that_is_ready_in_one_transaction(world: World) -> None:
    for name in ("a", "b", "c"):
        world.apt.offer(name, "1")
    resources = (
        "  - package: a\n" + file("/etc/x") + "  - package: b\n" + "  - package: c\n    requires: [file:/etc/x]\n"
    )
    done = world.run(resources)
    assert list(done) == ["package:a", "package:b", "file:/etc/x", "package:c"]
    installs = [line for line in world.host.history if " install " in line and " -s " not in f"{line} "]
    assert len([line for line in installs if "a" in line.split() and "b" in line.split()]) >= 1


def test_a_daemon_reload_comes_once_for_many_files_and_before_the_units(world: World) -> None:
    names = [f"{name}.service" for name in ("a", "b", "c")]
    resources = "".join(map(service, names)) + "".join(map(unit, names))
    assert set(world.run(resources).values()) == {"converged"}
    assert world.host.count("daemon-reload") == 1
    assert all(world.systemd.starts[name] == 1 for name in names)
    assert world.owed() == []


def test_a_failed_daemon_reload_is_said_is_kept_and_is_tried_again(world: World) -> None:
    resources = service("web.service")
    mend = world.fail("systemctl", "daemon-reload")
    done = world.run(resources)
    assert done["host:daemon-reload"] == "failed"
    assert "broken" in world.message("host:daemon-reload")
    assert "next pass" in world.message("host:daemon-reload")
    assert world.host.count("daemon-reload") == 1
    assert world.owed() == [("host", "daemon-reload", f"file:{ETC}/web.service")]
    assert world.trail("host:daemon-reload") == ["failed"]
    assert world.plan(resources).pending
    world.run(resources)
    assert world.trail("host:daemon-reload") == ["failed"], "the same failure again is no news"
    mend()
    assert world.run(resources)["host:daemon-reload"] == "converged"
    assert world.owed() == []
    assert world.trail("host:daemon-reload") == ["failed", "converged"]
    assert "host:daemon-reload" not in world.run(resources)


def test_what_does_not_hold_after_it_was_applied_has_failed(world: World) -> None:
    whole = world.host.files.publish
    world.host.files.publish = lambda staged: [None for _ in staged]  # type: ignore[method-assign]  # it lies
    done = world.run(file("/etc/a", mode='"0600"'))
    assert done == {"file:/etc/a": "failed"}
    assert "not converged" in world.message("file:/etc/a")
    assert "ensure is 'absent', not 'present'" in world.message("file:/etc/a")
    assert world.inventory() == {}
    world.host.files.publish = whole  # type: ignore[method-assign]
    assert world.run(file("/etc/a", mode='"0600"')) == {"file:/etc/a": "converged"}


def test_what_an_earlier_step_changed_is_looked_at_again(world: World) -> None:
    """The link's directory does not exist when the plan is made, and a package may bring what a file is about."""
    resources = "  - directory: /srv/x\n" + file("/srv/x/a")
    assert set(world.run(resources).values()) == {"converged"}
    assert world.inventory()["file:/srv/x/a"].prior == {"ensure": "absent"}


def test_a_stopped_pass_begins_no_other_step_and_says_what_it_left(world: World) -> None:
    stopping: list[bool] = []
    conduct = Conduct(tell=lambda outcome: stopping.append(True), stopped=lambda: "somebody wants it" * bool(stopping))
    world.systemd.unit("a.service")
    resources = file("/etc/a") + unit("a.service") + file("/etc/b")
    done = world.run(resources, conduct)
    assert done == {"file:/etc/a": "converged", "unit:a.service": "pending", "file:/etc/b": "pending"}
    assert {outcome.reason for outcome in world.outcomes[1:]} == {Reason.INTERRUPTED}
    assert [outcome.id for outcome in world.told] == ["file:/etc/a"], "the rest is told in one sentence"
    assert world.host.notices == ["stopped before 2 resources: somebody wants it"]
    assert not world.has("/etc/b")
    assert set(world.run(resources).values()) == {"in_sync", "converged"}


def test_a_pass_stopped_before_its_removals_does_not_count_as_settled(world: World) -> None:
    world.run(file("/etc/a") + file("/etc/b"))
    stopping: list[bool] = []
    conduct = Conduct(tell=lambda outcome: stopping.append(True), stopped=lambda: "somebody wants it" * bool(stopping))
    assert world.run(file("/etc/a", "y"), conduct) == {"file:/etc/a": "converged", "file:/etc/b": "pending"}
    assert world.host.notices == ["stopped before 1 resource: somebody wants it"]
    assert world.has("/etc/b")
    assert world.run(file("/etc/a", "y")) == {"file:/etc/a": "in_sync", "file:/etc/b": "removed"}
    assert not world.has("/etc/b")


def test_the_same_failure_again_is_written_once_and_another_is_news(world: World) -> None:
    for _ in range(3):
        world.run(BROKEN + file("/etc/other"))
    assert world.trail("file:/etc/broken") == ["failed"]
    world.run(BROKEN.replace("nosuch", "nosuch2") + file("/etc/other"))
    assert world.trail("file:/etc/broken") == ["failed", "failed"]


def test_what_an_earlier_step_brought_is_not_made_again_and_not_ours(world: World) -> None:
    def bring(_words: Sequence[str]) -> Completed:
        world.host.files.put("/etc/brought", "x")
        return Completed(0, "", "")

    world.host.programs["bring"] = bring
    bringing = file("/etc/a", validate="[bring, '%s']")
    done = world.run(bringing + file("/etc/brought", requires="[file:/etc/a]"))
    assert done == {"file:/etc/a": "converged", "file:/etc/brought": "in_sync"}
    assert world.inventory()["file:/etc/brought"].prior["ensure"] == "present"
    assert world.run(bringing)["file:/etc/brought"] == "released"


def test_a_host_refresh_of_another_version_is_let_go_aloud(world: World) -> None:
    world.run(file("/etc/a"))
    with world.store() as store:
        store.begin([], [Owed("host", "rebuild-cache", "file:/etc/a")])
    assert world.run(file("/etc/a"))["host:rebuild-cache"] == "released"
    assert "another version of the agent owed it" in world.message("host:rebuild-cache")
    assert world.trail("host:rebuild-cache") == ["released"]
    assert world.run(file("/etc/a")) == {"file:/etc/a": "in_sync"}


def test_a_host_refresh_that_failed_is_not_tried_twice_in_a_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def deliver(_host: Host) -> None:
        tried.append("daemon-reload")
        raise ResourceError("broken")

    monkeypatch.setattr("modules.registry.host_refresh", lambda _name: deliver)
    names = ("a.service", "b.service")
    world.run("".join(service(name) + unit(name) for name in names))
    assert tried == ["daemon-reload"]


def test_a_repaired_host_is_settled_again(world: World) -> None:
    world.run(file("/etc/a"))
    assert world.plan(file("/etc/a")).settled
    world.host.files.drop("/etc/a")
    world.run(file("/etc/a"))
    assert world.plan(file("/etc/a")).settled
