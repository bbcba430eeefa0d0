"""Links as the kind `symlink` holds them, on real ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.host import LocalHost, LocalView
from modules.api import Change, ResourceError
from modules.symlink import Symlink
from tests.unit.convergence import converge, drift_of


def test_a_link_is_made_whether_its_target_exists_or_not(tmp_path: Path) -> None:
    drift = converge(Symlink(path=f"{tmp_path}/link", target="/no/such/thing"), LocalHost())
    assert drift == {"ensure": Change("absent", "present"), "target": Change(None, "/no/such/thing")}
    assert os.readlink(tmp_path / "link") == "/no/such/thing"
    with pytest.raises(ResourceError, match=f"parent directory {tmp_path}/no does not exist; declare directory:"):
        converge(Symlink(path=f"{tmp_path}/no/link", target="x"), LocalHost())


def test_the_target_is_compared_as_text_and_changed_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    resource = Symlink(path=f"{tmp_path}/link", target="file")
    assert drift_of(resource, LocalView()) == {"target": Change(f"{tmp_path}/file", "file")}
    converge(resource, LocalHost())
    assert os.readlink(tmp_path / "link") == "file"
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_link_is_removed_and_never_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "directory" / "kept").mkdir(parents=True)
    (tmp_path / "link").symlink_to("directory")
    converge(Symlink(path=f"{tmp_path}/link", ensure="absent", force=True), LocalHost())
    assert os.listdir(tmp_path) == ["directory"]
    assert os.listdir(tmp_path / "directory") == ["kept"]


def test_undo_removes_a_new_link_and_gives_an_old_one_its_target_back(tmp_path: Path) -> None:
    resource = Symlink(path=f"{tmp_path}/link", target="new")
    assert resource.undo({"ensure": "absent"}) == Symlink(path=f"{tmp_path}/link", ensure="absent")
    assert resource.undo({"ensure": "file"}) is None
    (tmp_path / "link").symlink_to("old")
    prior = resource.observe(LocalView())
    converge(resource, LocalHost())
    undone = resource.undo(prior)
    assert undone is not None
    assert undone.problems() == ()
    converge(undone, LocalHost())
    assert os.readlink(tmp_path / "link") == "old"
    assert Symlink(path="/x", ensure="absent").undo({"ensure": "present", "target": "old"}) is None


def test_recovery_removes_a_temporary_link(tmp_path: Path) -> None:
    (tmp_path / ".link.gitops-agent").symlink_to("x")
    Symlink(path=f"{tmp_path}/link", target="x").recover(LocalHost())
    assert os.listdir(tmp_path) == []


def test_contradictions_are_found_before_anything_is_touched() -> None:
    assert Symlink(path="/x").problems() == ("target is missing: give the path that the link points to",)
    assert Symlink(path="/x", target="").problems() == ("target is missing: give the path that the link points to",)
    assert Symlink(path="/x", ensure="absent", target="y").problems() == ("target has no meaning with ensure: absent",)
    assert Symlink(path="/", target="y").problems() == ("the path / is always a directory",)
    assert Symlink(path="/x", target="y").problems() == ()


@pytest.mark.parametrize(
    ("target", "key"),
    [("../b/c", "path:/srv/b/c"), ("/opt/d", "path:/opt/d"), ("e", "path:/srv/a/e"), ("./link", None)],
)
def test_it_comes_after_its_directory_and_after_what_it_points_to(target: str, key: str | None) -> None:
    resource = Symlink(path="/srv/a/link", target=target)
    above = ("path:/srv/a", "path:/srv", "path:/")
    assert tuple(resource.needs()) == ((above, (key,)) if key else (above,))
    assert tuple(resource.provides()) == ("path:/srv/a/link", "in:/srv/a")
    assert tuple(Symlink(path="/srv/a/link", ensure="absent").provides()) == ("in:/srv/a",)
