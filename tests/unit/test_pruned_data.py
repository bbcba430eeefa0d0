"""What leaves Git takes nobody's data along."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.apply import Conduct
from agent.apply.approval import Approval
from modules.api import ResourceError
from tests.unit.holding import Holding
from tests.unit.world import World, file

KEPT = file("/etc/kept")
DIRECTORY = "  - directory: /srv/data\n"


def test_a_directory_with_what_is_not_ours_is_left(world: World) -> None:
    """Data is never deleted because a line left Git: neither with the directory, nor by anything in it that is ours."""
    world.run(KEPT + DIRECTORY + file("/srv/data/ours"))
    world.host.files.put("/srv/data/theirs", "x")
    (planned,) = (one for one in world.plan(KEPT).removals if one.entry.id == "directory:/srv/data")
    assert (planned.undo, planned.reason) == (None, "left as it is: it holds theirs")
    done = world.run(KEPT)
    assert (done["directory:/srv/data"], done["file:/srv/data/ours"]) == ("released", "removed")
    assert world.message("directory:/srv/data") == "left as it is: it holds theirs"
    assert world.host.files.listdir("/srv/data") == ["theirs"]
    assert set(world.inventory()) == {"file:/etc/kept"}


def test_a_directory_is_left_for_what_stays_in_a_directory_of_it(world: World) -> None:
    world.run(KEPT + DIRECTORY + "  - directory: /srv/data/a\n  - directory: /srv/data/b\n" + file("/srv/data/b/ours"))
    world.host.files.put("/srv/data/a/theirs", "x")
    done = world.run(KEPT)
    assert (done["directory:/srv/data/a"], done["directory:/srv/data/b"]) == ("released", "removed")
    assert world.message("directory:/srv/data") == "left as it is: it holds a"


def test_a_directory_is_left_for_what_git_still_has_in_it(world: World) -> None:
    world.run(DIRECTORY + file("/srv/data/kept"))
    assert world.run(file("/srv/data/kept")) == {"file:/srv/data/kept": "in_sync", "directory:/srv/data": "released"}


def test_a_directory_waits_for_a_person_with_what_is_in_it(world: World) -> None:
    tree = DIRECTORY + "  - directory: /srv/data/a\n" + file("/srv/data/a/ours", prune="confirm")
    world.run(KEPT + tree)
    done = world.run(KEPT)
    assert [done[name] for name in ("file:/srv/data/a/ours", "directory:/srv/data/a", "directory:/srv/data")] == [
        "pending"
    ] * 3
    assert set(world.run(KEPT, Conduct(removals=Approval(everything=True))).values()) == {"in_sync", "removed"}


def test_a_home_is_left_even_when_it_is_empty(world: World) -> None:
    world.run(KEPT + DIRECTORY)
    world.host.accounts.homes["/srv/data"] = "alice"
    assert world.run(KEPT)["directory:/srv/data"] == "released"
    assert world.message("directory:/srv/data") == "left as it is: it is the home of alice"


def test_what_an_interrupted_write_left_in_a_directory_is_nobodys(world: World) -> None:
    world.run(KEPT + DIRECTORY)
    world.host.files.put("/srv/data/.ours.x1.gitops-agent")
    assert world.plan(KEPT).removals[0].undo is not None


def test_a_directory_whose_inside_cannot_be_told_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(KEPT + DIRECTORY)

    def unreadable(path: str) -> list[str]:
        raise ResourceError(f"cannot read {path}")

    monkeypatch.setattr(world.host.files, "listdir", unreadable)
    (removal,) = world.plan(KEPT).removals
    assert (removal.undo, removal.reason) == (
        None,
        "left as it is: what it holds cannot be told: cannot read /srv/data",
    )


@pytest.mark.parametrize("ensure", ["present", "latest"])
def test_a_package_that_leaves_git_is_removed_and_never_purged(world: World, ensure: str) -> None:
    world.apt.offer("tree", "1.0")
    world.run(KEPT + f"  - package: tree\n    ensure: {ensure}\n")
    assert world.run(KEPT)["package:tree"] == "removed"
    assert world.apt.status_of("tree")[0] == "config-files"


def test_a_purge_that_leaves_git_undoes_and_removes_nothing(world: World) -> None:
    world.apt.put("tree", "1.0")
    world.run(KEPT + "  - package: tree\n    ensure: purged\n")
    assert world.run(KEPT)["package:tree"] == "released"


def test_a_directory_goes_with_a_file_that_was_made_for_a_line_of_it(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    held = Holding(tmp_path / "root", tmp_path / "state")
    other = {"file": "/other", "content": ""}
    line = {"line": "/opt/made", "text": "ours", "create": True}
    held.converged([{"directory": "/opt"}, line, other])
    held.converged([other])
    assert not (held.root / "opt").exists()
