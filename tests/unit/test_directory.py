"""Directories as the kind `directory` holds them, on real ones."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agent.host import LocalHost, LocalView
from modules.api import Change, ResourceError
from modules.directory import Directory
from tests.unit.convergence import converge, drift_of
from tests.unit.mounts import needs_root

NOBODY = 65534


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_directory_has_the_mode_that_is_given_or_0755(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        drift = converge(Directory(path=f"{tmp_path}/plain"), LocalHost())
        converge(Directory(path=f"{tmp_path}/given", mode="1777"), LocalHost())
    finally:
        os.umask(old)
    assert drift == {"ensure": Change("absent", "present")}
    assert (mode_of(tmp_path / "plain"), mode_of(tmp_path / "given")) == (0o755, 0o1777)
    with pytest.raises(ResourceError, match=f"parent directory {tmp_path}/no does not exist; declare directory:"):
        converge(Directory(path=f"{tmp_path}/no/new"), LocalHost())


def test_a_directory_that_is_there_is_changed_in_place(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    (path / "inner").mkdir(parents=True)
    inode = path.stat().st_ino
    assert converge(Directory(path=str(path)), LocalHost()) == {}
    assert set(converge(Directory(path=str(path), mode="0700"), LocalHost())) == {"mode"}
    assert (path.stat().st_ino, mode_of(path), os.listdir(path)) == (inode, 0o700, ["inner"])


@needs_root
def test_owner_and_group_by_name_or_number(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    converge(Directory(path=str(path), owner="nobody", group="7", mode="2750"), LocalHost())
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (NOBODY, 7, 0o2750)
    assert drift_of(Directory(path=str(path), owner=str(NOBODY)), LocalView()) == {}
    assert set(converge(Directory(path=str(path), owner="root"), LocalHost())) == {"owner"}
    assert (path.stat().st_uid, path.stat().st_gid) == (0, 7)


@needs_root
def test_the_root_itself_can_be_held_to_its_mode(tmp_path: Path) -> None:
    host = LocalHost(root=str(tmp_path))
    converge(Directory(path="/", mode="0711", owner="0"), host)
    assert mode_of(tmp_path) == 0o711


def test_what_is_in_it_stays_unless_force_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    (path / "theirs").mkdir(parents=True)
    with pytest.raises(ResourceError, match=r"is not empty \(theirs\); left as it is; remove what is in it, or set"):
        converge(Directory(path=str(path), ensure="absent"), LocalHost())
    assert (path / "theirs").is_dir()
    converge(Directory(path=str(path), ensure="absent", force=True), LocalHost())
    assert os.listdir(tmp_path) == []


def test_undo_removes_it_when_it_was_made_and_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    resource = Directory(path=str(path), mode="0700", force=True)
    converge(resource, LocalHost())
    undone = resource.undo({"ensure": "absent"})
    assert undone == Directory(path=str(path), ensure="absent")
    assert undone is not None
    (path / "theirs").touch()
    with pytest.raises(ResourceError, match=r"not empty .* left as it is"):
        converge(undone, LocalHost())
    (path / "theirs").unlink()
    converge(undone, LocalHost())
    assert os.listdir(tmp_path) == []
    assert resource.undo({"ensure": "present"}) is None
    assert resource.undo({"ensure": "file"}) is None


def test_recovery_removes_a_temporary_directory(tmp_path: Path) -> None:
    (tmp_path / ".directory.gitops-agent").mkdir()
    Directory(path=f"{tmp_path}/directory").recover(LocalHost())
    assert os.listdir(tmp_path) == []


def test_contradictions_are_found_before_anything_is_touched() -> None:
    assert list(Directory(path="/srv", ensure="absent", owner="root", mode="0700").problems()) == [
        "owner has no meaning with ensure: absent",
        "mode has no meaning with ensure: absent",
    ]
    assert list(Directory(path="/", ensure="absent").problems()) == ["the path / cannot be absent"]
    assert list(Directory(path="/", mode="0755").problems()) == []


def test_its_place_in_the_order() -> None:
    assert tuple(Directory(path="/srv/www").provides()) == ("path:/srv/www", "in:/srv")
    assert tuple(Directory(path="/srv/www").needs()) == (("path:/srv", "path:/"),)
    gone = Directory(path="/srv/www", ensure="absent")
    assert tuple(gone.provides()) == ("in:/srv",)
    assert tuple(gone.needs()) == (("path:/srv", "path:/"), ("in:/srv/www",)), "what is in it goes first"
