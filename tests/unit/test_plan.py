"""A plan says what differs and why, and is made by looking only."""

from __future__ import annotations

import os
from typing import Any

from agent.causes import DRIFT, REVISION, encoded
from agent.plan import drift_between, rebuild
from modules.api import Change, Content
from modules.file import File
from tests.unit.convergence import text
from tests.unit.fake_systemd import SERVICE
from tests.unit.world import World, file, unit


def causes(world: World, resources: str) -> dict[str, str]:
    return {step.node.id: step.cause for step in world.plan(resources).steps if not step.in_sync}


def test_what_git_newly_asks_for_is_a_revision_and_what_the_host_lost_is_drift(world: World) -> None:
    resources = file("/etc/a") + file("/etc/b")
    assert causes(world, resources) == {"file:/etc/a": REVISION, "file:/etc/b": REVISION}
    world.run(resources)
    world.host.files.put("/etc/a", "theirs")
    world.host.files.drop("/etc/b")
    changed = file("/etc/a", "new") + file("/etc/b")
    assert causes(world, resources) == {"file:/etc/a": DRIFT, "file:/etc/b": DRIFT}
    assert causes(world, changed) == {"file:/etc/a": REVISION, "file:/etc/b": DRIFT}


def test_what_was_never_brought_about_is_no_drift(world: World) -> None:
    """A unit that cannot be started is half applied: the next pass goes on with the revision."""
    world.systemd.unit("web.service", SERVICE.replace("/bin/sleep", "/bin/false"))
    resources = unit("web.service", enabled="true")
    assert world.run(resources) == {"unit:web.service": "failed"}
    assert world.host.files.listdir("/etc/systemd/system/multi-user.target.wants") == ["web.service"]
    assert causes(world, resources) == {"unit:web.service": REVISION}


def test_a_plan_writes_nothing_anywhere(world: World) -> None:
    resources = file("/etc/a") + file("/etc/b")
    before = dict(world.host.files.entries)
    world.plan(resources)
    assert world.host.files.entries == before
    assert os.listdir(world.directory) == []
    world.run(resources)
    world.host.files.drop("/etc/a")
    paths = [world.directory / name for name in sorted(os.listdir(world.directory))]
    before, stored = dict(world.host.files.entries), [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    assert world.plan(file("/etc/a")).pending
    assert world.host.files.entries == before
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths] == stored
    assert [path.name for path in paths] == sorted(os.listdir(world.directory))


def test_an_error_of_one_resource_is_in_its_step_and_of_a_kind_in_all(world: World) -> None:
    plan = world.plan(file("/etc/a") + "  - container: web\n    image: x:1\n  - container: db\n    image: y:1\n")
    errors = {step.node.id: str(step.error or "") for step in plan.steps}
    assert errors["file:/etc/a"] == ""
    assert errors["container:web"] == errors["container:db"] == "no container engine on this machine"
    assert plan.pending


def test_what_is_not_managed_never_differs() -> None:
    assert drift_between({"a": None, "b": 1}, {"a": 2}) == {"b": Change(None, 1)}
    assert drift_between({"a": 1}, {"a": 1, "b": 2}) == {}
    assert drift_between({"a": False}, {"a": None}) == {"a": Change(None, False)}


def test_an_inventory_entry_has_no_content_and_is_rebuilt_with_its_digest() -> None:
    kept = encoded(File(path="/etc/a", content=text("secret words"), mode="0600"))
    assert "secret" not in kept

    class Kept:
        resource: Any = kept

    rebuilt = rebuild(Kept())  # type: ignore[arg-type]
    assert isinstance(rebuilt, File)
    assert rebuilt.content == Content(text("secret words").digest, 12)
    for wrong in ('["nokind", {}]', '["file", {"path": "/a", "mood": "x"}]', "[]", "{"):
        Kept.resource = wrong
        assert rebuild(Kept()) is None  # type: ignore[arg-type]
