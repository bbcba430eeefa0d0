"""What leaves Git leaves the host: if we made it, and nobody changed it since."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from agent.apply import Conduct, Reason
from agent.apply.approval import Approval
from agent.plan import Removal
from modules.api import ResourceError
from tests.unit.fake_apt import Release
from tests.unit.fake_systemd import ETC, SERVICE
from tests.unit.world import Fuse, PowerCut, World, file, unit

KEPT = file("/etc/kept")


def test_what_we_made_is_removed(world: World) -> None:
    world.run(KEPT + file("/etc/a") + "  - symlink: /etc/link\n    target: a\n")
    assert world.run(KEPT) == {"file:/etc/kept": "in_sync", "symlink:/etc/link": "removed", "file:/etc/a": "removed"}
    assert not world.has("/etc/a")
    assert not world.has("/etc/link")
    assert set(world.inventory()) == {"file:/etc/kept"}
    assert world.message("file:/etc/a").startswith("left Git; made by us in ")


def test_what_was_there_before_is_released_or_put_back(world: World) -> None:
    world.host.files.put("/etc/a", "theirs")
    world.host.files.put("/etc/link", "before", kind="symlink")
    world.run(KEPT + file("/etc/a", "ours") + "  - symlink: /etc/link\n    target: ours\n")
    done = world.run(KEPT)
    assert (done["file:/etc/a"], done["symlink:/etc/link"]) == ("released", "removed")
    assert world.read("/etc/a") == "ours"
    assert world.host.files.readlink("/etc/link") == "before"
    assert "it was there before" in world.message("file:/etc/a")


def test_what_was_in_sync_from_the_start_is_known_and_released(world: World) -> None:
    world.host.files.put("/etc/a", "x")
    assert world.run(KEPT + file("/etc/a"))["file:/etc/a"] == "in_sync"
    assert world.run(KEPT)["file:/etc/a"] == "released"
    assert world.read("/etc/a") == "x"


@pytest.mark.parametrize("change", ["content", "type"])
def test_what_somebody_changed_since_is_left_and_released(world: World, change: str) -> None:
    world.run(KEPT + file("/etc/a"))
    world.host.files.put("/etc/a", "theirs", kind="file" if change == "content" else "symlink")
    done = world.run(KEPT)
    assert done["file:/etc/a"] == "released"
    assert "changed since by somebody else" in world.message("file:/etc/a")
    assert world.has("/etc/a")
    assert "file:/etc/a" not in world.inventory()


def test_a_property_that_git_never_held_may_change(world: World) -> None:
    """A package that was upgraded since, and a file that got another mode, are still ours."""
    world.apt.offer("tree", "2.0", "1.0")
    world.apt.pinned["tree"] = "1.0"
    world.run(KEPT + file("/etc/a") + "  - package: tree\n")
    world.apt.put("tree", "2.0")
    world.host.files.set_mode("/etc/a", 0o640)
    done = world.run(KEPT)
    assert (done["file:/etc/a"], done["package:tree"]) == ("removed", "removed")
    assert world.apt.status_of("tree")[0] == "config-files"


def test_what_is_gone_already_is_only_forgotten(world: World) -> None:
    world.run(KEPT + file("/etc/a"))
    world.host.files.drop("/etc/a")
    assert world.run(KEPT)["file:/etc/a"] == "removed"
    assert world.message("file:/etc/a") == "already gone"
    assert set(world.inventory()) == {"file:/etc/kept"}


def test_what_another_resource_took_over_is_not_removed(world: World) -> None:
    world.run(KEPT + file("/etc/a"))
    done = world.run(KEPT + "  - symlink: /etc/a\n    target: kept\n    force: true\n")
    assert (done["symlink:/etc/a"], done["file:/etc/a"]) == ("converged", "released")
    assert world.host.files.readlink("/etc/a") == "kept"
    assert "taken it over" in world.message("file:/etc/a")


def test_what_moved_to_another_role_or_was_renamed_in_git_only_changes_its_place(world: World) -> None:
    world.run(KEPT + file("/etc/a"))
    assert world.run(file("/etc/a") + KEPT) == {"file:/etc/a": "in_sync", "file:/etc/kept": "in_sync"}


def test_removal_is_in_reverse_order(world: World) -> None:
    made = "  - directory: /srv/web\n" + file("/srv/web/index") + file(f"{ETC}/web.service", json.dumps(SERVICE))
    world.run(KEPT + made + unit("web.service", enabled="true"))
    done = world.run(KEPT)
    assert list(done)[1:] == [
        "unit:web.service", f"file:{ETC}/web.service", "file:/srv/web/index", "directory:/srv/web",
    ]  # fmt: skip
    assert set(done.values()) == {"in_sync", "removed"}
    assert "web.service" not in world.systemd.active
    assert world.host.files.listdir(f"{ETC}/multi-user.target.wants") == []


def test_a_removal_that_failed_stays_owned_and_is_tried_again(world: World) -> None:
    world.apt.offer("tree", "1.0")
    world.run(KEPT + "  - package: tree\n")
    mend = world.fail("apt-get", "tree-")
    for _ in range(2):
        assert world.run(KEPT)["package:tree"] == "failed"
        assert "package:tree" in world.inventory()
    assert world.trail("package:tree") == ["converged", "failed"]
    mend()
    assert world.run(KEPT)["package:tree"] == "removed"


def test_a_mass_removal_waits_for_a_person(world: World) -> None:
    many = "".join(file(f"/etc/f{number}") for number in range(7))
    world.run(KEPT + many)
    for _ in range(2):
        done = world.run(KEPT)
        assert [done[f"file:/etc/f{number}"] for number in range(7)] == ["pending"] * 7
        assert "agentctl prune approve " in world.message("file:/etc/f0")
        assert {outcome.reason for outcome in world.outcomes[1:]} == {Reason.PRUNE_BLOCKED}
    assert world.has("/etc/f0")
    assert world.plan(KEPT).pending
    assert set(world.run(KEPT, Conduct(removals=Approval(everything=True))).values()) == {"in_sync", "removed"}
    assert not world.has("/etc/f0")


def test_what_a_revision_brings_does_not_hide_what_it_takes_away(world: World) -> None:
    old, new = ("".join(file(f"/etc/{name}{number}") for number in range(8)) for name in ("old", "new"))
    world.run(KEPT + old)
    fuse = Fuse(12)
    with pytest.raises(PowerCut):
        world.run(KEPT + new, fuse=fuse)
    assert "file:/etc/new7" in world.inventory()
    for _ in range(3):
        assert world.run(KEPT + new)["file:/etc/old0"] == "pending"
    assert "8 of 9 owned" in world.message("file:/etc/old0")
    world.run(KEPT + new, Conduct(removals=Approval(everything=True)))
    assert world.run(KEPT + file("/etc/new0") + file("/etc/new1") + file("/etc/new2"))["file:/etc/new7"] == "removed"


def test_what_was_released_while_others_waited_is_owned_again_when_it_comes_back(world: World) -> None:
    world.host.files.put("/etc/theirs", "before")
    many = KEPT + "".join(file(f"/etc/f{number}") for number in range(7)) + file("/etc/theirs")
    world.run(many)
    assert world.run(KEPT)["file:/etc/theirs"] == "released"
    assert set(world.run(many).values()) == {"in_sync"}
    assert "file:/etc/theirs" in world.inventory()


@pytest.mark.parametrize(
    ("removals", "owned", "refused"),
    [(5, 5, False), (6, 6, True), (6, 59, True), (6, 60, False), (10, 100, False), (11, 100, True)],
)
def test_what_a_mass_removal_is(removals: int, owned: int, refused: bool) -> None:
    assert Approval().unusual([cast("Removal", None)] * removals, owned) == refused


def test_what_another_version_wrote_is_released(world: World) -> None:
    world.run(KEPT + file("/etc/a"))
    with world.store() as store:
        entry = store.inventory()["file:/etc/a"]
        store.finish([replace(entry, resource='["file", {"path": "/etc/a", "mood": "new"}]')], [])
        store.remember(settled="")
    assert world.run(KEPT)["file:/etc/a"] == "released"
    assert "this version of the agent" in world.message("file:/etc/a")
    assert world.has("/etc/a")


def test_what_an_interrupted_apply_left_and_cannot_be_cleared_fails_and_stays(world: World) -> None:
    world.run(KEPT + file("/etc/a"))
    with world.store() as store:
        store.begin([replace(store.inventory()["file:/etc/a"], pending=True)], [])
    whole = world.host.files.sweep
    world.host.files.sweep = failing("cannot sweep")  # type: ignore[method-assign]
    assert world.run(KEPT + file("/etc/a")) == {"file:/etc/kept": "in_sync", "file:/etc/a": "failed"}
    assert world.run(KEPT) == {"file:/etc/kept": "in_sync", "file:/etc/a": "failed"}
    assert world.inventory()["file:/etc/a"].pending
    world.host.files.sweep = whole  # type: ignore[method-assign]
    assert world.run(KEPT) == {"file:/etc/kept": "in_sync", "file:/etc/a": "removed"}


def test_a_package_that_was_never_installed_whole_is_taken_away_too(world: World) -> None:
    world.apt.offered["bad"] = [Release("1", postinst_fails=True)]
    world.apt.fetch()
    assert world.run(KEPT + "  - package: bad\n")["package:bad"] == "failed"
    assert world.run(KEPT)["package:bad"] == "removed"


def test_what_was_stopped_or_failed_by_itself_is_still_ours(world: World) -> None:
    world.run(KEPT + file(f"{ETC}/web.service", json.dumps(SERVICE)) + unit("web.service", enabled="true"))
    world.systemd.active["web.service"] = "failed"
    assert world.run(KEPT)["unit:web.service"] == "removed"
    assert world.host.files.listdir(f"{ETC}/multi-user.target.wants") == []


CONTAINER = "  - container: web\n    image: app:1\n"


def test_a_unit_that_had_failed_before_us_does_not_run_after_us(world: World) -> None:
    world.systemd.unit("web.service")
    world.systemd.active["web.service"] = "failed"
    world.run(KEPT + unit("web.service"))
    assert world.systemd.active["web.service"] == "active"
    assert world.run(KEPT)["unit:web.service"] == "removed"
    assert "web.service" not in world.systemd.active


def test_what_cannot_be_looked_at_now_stays_owned_until_it_can(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.host.containers = world.engine
    world.run(KEPT + CONTAINER)
    with monkeypatch.context() as patch:
        patch.setattr(world.engine, "containers", failing("the engine does not answer"))
        assert world.run(KEPT)["container:web"] == "failed"
        assert "does not answer" in world.message("container:web")
    assert world.run(KEPT)["container:web"] == "removed"
    assert world.engine.standing == {}


def test_what_the_host_has_no_more_means_for_is_released(world: World) -> None:
    world.host.containers = world.engine
    world.run(KEPT + CONTAINER)
    world.host.containers = None
    assert world.run(KEPT)["container:web"] == "released"
    assert "no container engine" in world.message("container:web")


def failing(message: str) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise ResourceError(message)

    return fail


def test_what_it_was_before_us_is_remembered_over_many_changes(world: World) -> None:
    world.host.files.put("/etc/link", "before", kind="symlink")
    for target in ("first", "second"):
        world.run(KEPT + f"  - symlink: /etc/link\n    target: {target}\n")
    world.run(KEPT)
    assert world.host.files.readlink("/etc/link") == "before"


def test_a_package_left_half_installed_by_a_crash_is_taken_away(world: World) -> None:
    world.apt.offer("tree", "1")
    world.run(KEPT + "  - package: tree\n")
    with world.store() as store:
        entry = replace(store.inventory()["package:tree"], pending=True, left={"ensure": "absent"})
        store.begin([entry], [])
    world.apt.put("tree", "1", status="half-configured")
    assert world.run(KEPT)["package:tree"] == "removed"


def test_a_removal_is_written_down_before_it_is_begun(world: World) -> None:
    world.run(KEPT + file("/etc/a"))

    def cut(_path: str) -> None:
        raise PowerCut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.host.files, "unlink", cut)
        with pytest.raises(PowerCut):
            world.run(KEPT)
    assert world.inventory()["file:/etc/a"].pending
    assert world.run(KEPT)["file:/etc/a"] == "removed"
