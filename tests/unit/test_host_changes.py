"""Owner, mode, directories, links and removal, judged by what the operating system shows afterwards."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.host import LocalHost
from agent.host.attributes import _GUARD
from modules.api import ResourceError
from tests.unit.mounts import bound, needs_root, small_disk

NOBODY = 65534
KEEP = (-1, -1)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_mode_is_set_in_place_so_that_hard_links_stay(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    os.link(tmp_path / "file", tmp_path / "other")
    before = (tmp_path / "file").stat()
    LocalHost().files.set_mode(f"{tmp_path}/file", 0o4711)
    after = (tmp_path / "file").stat()
    assert (after.st_ino, after.st_nlink, after.st_mtime_ns) == (before.st_ino, 2, before.st_mtime_ns)
    assert mode_of(tmp_path / "other") == 0o4711


def test_a_mode_is_set_on_what_cannot_be_opened_and_never_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o000)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("file")
    files = LocalHost().files
    for name in ("file", "fifo"):
        files.set_mode(f"{tmp_path}/{name}", 0o640)
        assert mode_of(tmp_path / name) == 0o640
    with pytest.raises(ResourceError, match="it is a link"):
        files.set_mode(f"{tmp_path}/link", 0o777)
    assert mode_of(tmp_path / "file") == 0o640
    with pytest.raises(ResourceError, match="no such file"):
        files.set_mode(f"{tmp_path}/none", 0o777)


@needs_root
def test_an_owner_is_set_on_the_link_itself_and_one_of_two_may_stay(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    files = LocalHost().files
    files.set_owner(f"{tmp_path}/link", NOBODY, NOBODY)
    assert ((tmp_path / "link").lstat().st_uid, (tmp_path / "file").lstat().st_uid) == (NOBODY, 0)
    files.set_owner(f"{tmp_path}/file", -1, 7)
    assert ((tmp_path / "file").stat().st_uid, (tmp_path / "file").stat().st_gid) == (0, 7)


@needs_root
@pytest.mark.parametrize(("mode", "refused"), [(0o1777, True), (0o777, True), (0o755, False)])
def test_a_hard_link_that_others_could_have_planted_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, refused: bool
) -> None:
    """As on a host whose kernel lets users link to any file (fs.protected_hardlinks=0)."""
    setting = tmp_path / "setting"
    setting.write_text("0\n")
    assert Path(_GUARD).read_text().strip() in ("0", "1"), "the kernel's own setting is where it is looked for"
    monkeypatch.setattr("agent.host.attributes._GUARD", str(setting))
    (tmp_path / "shadow").touch(mode=0o600)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    os.link(tmp_path / "shadow", tmp_path / "open" / "file")
    files = LocalHost().files
    if refused:
        with pytest.raises(ResourceError, match="2 hard links in a directory that others may write to"):
            files.set_owner(f"{tmp_path}/open/file", NOBODY, NOBODY)
        with pytest.raises(ResourceError, match="2 hard links"):
            files.set_mode(f"{tmp_path}/open/file", 0o666)
        with pytest.raises(ResourceError, match="2 hard links"):
            files.set_xattr(f"{tmp_path}/open/file", "user.a", b"b")
        with pytest.raises(ResourceError, match="2 hard links"):
            files.set_flags(f"{tmp_path}/open/file", 0x80)
        setting.write_text("1\n")
    files.set_owner(f"{tmp_path}/open/file", NOBODY, NOBODY)
    assert (tmp_path / "shadow").stat().st_uid == NOBODY


def test_a_directory_appears_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        LocalHost().files.make_directory(f"{tmp_path}/new", mode=0o3775, owner=KEEP)
    finally:
        os.umask(old)
    assert mode_of(tmp_path / "new") == 0o3775
    assert os.listdir(tmp_path) == ["new"]


def test_a_directory_is_not_made_over_anything(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir(mode=0o700)
    (tmp_path / "file").touch()
    for name in ("directory", "file"):
        with pytest.raises(ResourceError, match="something is there"):
            LocalHost().files.make_directory(f"{tmp_path}/{name}", mode=0o755, owner=KEEP)
    with pytest.raises(ResourceError, match=f"parent directory {tmp_path}/no does not exist"):
        LocalHost().files.make_directory(f"{tmp_path}/no/new", mode=0o755, owner=KEEP)
    assert sorted(os.listdir(tmp_path)) == ["directory", "file"]
    assert mode_of(tmp_path / "directory") == 0o700


@needs_root
def test_a_directory_of_somebody_else_is_theirs_when_it_appears(tmp_path: Path) -> None:
    LocalHost().files.make_directory(f"{tmp_path}/new", mode=0o2750, owner=(NOBODY, 7))
    shown = (tmp_path / "new").stat()
    assert (shown.st_uid, shown.st_gid, mode_of(tmp_path / "new")) == (NOBODY, 7, 0o2750)


def test_a_link_replaces_a_link_or_file_but_no_directory(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"kept")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    files = LocalHost().files
    for name in ("link", "file", "new"):
        files.make_symlink(f"{tmp_path}/{name}", "somewhere/else")
        assert os.readlink(tmp_path / name) == "somewhere/else"
    with pytest.raises(ResourceError, match="cannot make the link"):
        files.make_symlink(f"{tmp_path}/directory", "x")
    assert (tmp_path / "real").read_bytes() == b"kept"
    assert sorted(os.listdir(tmp_path)) == ["directory", "file", "link", "new", "real"]


def test_unlink_takes_the_entry_and_never_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"kept")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    files = LocalHost().files
    for name in ("link", "file", "fifo", "never there", "no/such/parent"):
        files.unlink(f"{tmp_path}/{name}")
    assert sorted(os.listdir(tmp_path)) == ["directory", "real"]
    with pytest.raises(ResourceError, match="it is a directory"):
        files.unlink(f"{tmp_path}/directory")


@needs_root
def test_a_device_is_never_removed(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with pytest.raises(ResourceError, match="it is a character device"):
        LocalHost().files.unlink(f"{tmp_path}/null")
    assert (tmp_path / "null").exists()


def test_a_directory_that_is_not_empty_stays_unless_told(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "a" / "b").mkdir(parents=True)
    outside.mkdir()
    (outside / "kept").touch()
    for name in ("one", "two", "three"):
        (tree / name).touch()
    (tree / "a" / "link").symlink_to(outside)
    files = LocalHost().files
    with pytest.raises(ResourceError, match=r"is not empty \(a, one, three and 1 more\); left as it is"):
        files.remove_directory(str(tree))
    files.remove_directory(str(tree), recursive=True)
    files.remove_directory(str(tree), recursive=True)
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(outside) == ["kept"]
    files.remove_directory(str(tmp_path / "no" / "parent"))
    with pytest.raises(ResourceError, match="cannot remove"):
        files.remove_directory(str(outside / "kept"))
    (tmp_path / "link").symlink_to(outside)
    with pytest.raises(ResourceError, match="cannot remove"):
        files.remove_directory(str(tmp_path / "link"), recursive=True)
    assert os.listdir(outside) == ["kept"]


@needs_root
def test_nothing_is_removed_from_a_tree_in_which_anything_is_mounted(tmp_path: Path) -> None:
    tree, other = tmp_path / "tree", tmp_path / "other"
    (tree / "a b").mkdir(parents=True)
    (tree / "file").touch()
    other.mkdir()
    (other / "kept").touch()
    files = LocalHost().files
    with bound(other, tree / "a b"):  # of the same file system, so that only the list of mounts shows it
        for path in (tree, tree / "a b"):
            with pytest.raises(ResourceError, match="a b is a mount point; unmount it first"):
                files.remove_directory(str(path), recursive=True)
        with pytest.raises(ResourceError, match="unmount"):
            files.remove_directory(str(tree / "a b"))
        assert sorted(os.listdir(tree)) == ["a b", "file"]
    with small_disk(tree / "a b"), pytest.raises(ResourceError, match="unmount"):
        files.remove_directory(str(tree / "a b"))
    assert os.listdir(other) == ["kept"]


@needs_root
def test_what_is_mounted_while_a_tree_is_removed_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.host.removal.mount_points", list)  # as it was a moment before the mount
    (tmp_path / "tree").mkdir()
    with small_disk(tmp_path / "tree" / "disk") as disk:
        (disk / "kept").touch()
        with pytest.raises(ResourceError, match="cannot remove disk: it is on another file system; unmount it first"):
            LocalHost().files.remove_directory(f"{tmp_path}/tree", recursive=True)
        assert os.listdir(disk) == ["kept"]


@needs_root
@pytest.mark.parametrize("mode", [0o500, 0o050, 0o005, 0o000])
def test_no_step_of_making_a_directory_is_more_open_than_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    seen: list[tuple[int, int]] = []
    for name in ("mkdir", "fchown", "fchmod", "rename"):
        monkeypatch.setattr(os, name, spied(getattr(os, name), tmp_path, seen))
    LocalHost().files.make_directory(f"{tmp_path}/new", mode=mode, owner=(NOBODY, NOBODY))
    monkeypatch.undo()
    assert seen[-1] == (mode, NOBODY)
    assert len(seen) >= 4
    for now, uid in seen:
        assert now & 0o077 & ~mode == 0
        assert uid == 0 or now & ~mode == 0, f"its owner may use {now:o}, finally {mode:o}"


def spied(call: Callable[..., Any], directory: Path, seen: list[tuple[int, int]]) -> Callable[..., Any]:
    """A call after which mode and owner of the only entry of a directory are noted."""

    def spy(*args: Any, **options: Any) -> Any:
        result = call(*args, **options)
        seen.extend((mode_of(entry), entry.lstat().st_uid) for entry in directory.iterdir())
        return result

    return spy


def test_a_tree_too_deep_to_hold_open_is_refused(tmp_path: Path) -> None:
    here = str(tmp_path / "tree")
    os.makedirs(here + "/d" * 300)
    with pytest.raises(ResourceError, match="directories deep"):
        LocalHost().files.remove_directory(here, recursive=True)
