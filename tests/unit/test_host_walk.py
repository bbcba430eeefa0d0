"""The way to a path: which links are followed, and that nothing seen before is trusted for a change."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agent.host import LocalHost, LocalView
from modules.api import ResourceError
from tests.unit.mounts import needs_root

NOBODY = 65534
KEEP = (-1, -1)


def write(host: LocalHost, path: object, data: bytes = b"new") -> None:
    (result,) = host.files.publish([host.files.stage(str(path), data, mode=0o644, owner=KEEP)])
    if result is not None:
        raise result


@pytest.mark.parametrize("target", ["real", "{}/real", "other/../real", "./real/.", "chain", "{}/other/up/real"])
def test_a_link_of_our_own_in_the_parents_is_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "up").symlink_to("..")
    (tmp_path / "chain").symlink_to("other/up/real")
    (tmp_path / "link").symlink_to(target.format(tmp_path))
    write(LocalHost(), tmp_path / "link" / "deep" / "file")
    assert (tmp_path / "real" / "deep" / "file").read_bytes() == b"new"
    assert LocalView().files.read(f"{tmp_path}/link/deep/file") == b"new"
    assert LocalView().files.listdir(f"{tmp_path}/link/deep") == ["file"]


@pytest.mark.parametrize("loop", ["self", "one", "one/two"])
def test_a_loop_of_links_is_an_error_and_ends(tmp_path: Path, loop: str) -> None:
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "one").symlink_to("two/one")
    (tmp_path / "two").symlink_to("one/two")
    with pytest.raises(ResourceError, match="loop of links"):
        LocalView().files.lstat(f"{tmp_path}/{loop}/file")
    with pytest.raises(ResourceError, match="loop of links"):
        write(LocalHost(), tmp_path / loop / "file")


@needs_root
def test_a_link_that_somebody_else_made_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "planted").symlink_to("real")
    os.lchown(tmp_path / "planted", NOBODY, NOBODY)
    host = LocalHost()
    for attempt in (
        lambda: write(host, tmp_path / "planted" / "file"),
        lambda: host.files.lstat(f"{tmp_path}/planted/file"),
        lambda: host.files.make_directory(f"{tmp_path}/planted/d", mode=0o755, owner=KEEP),
        lambda: host.files.make_symlink(f"{tmp_path}/planted/l", "x"),
        lambda: host.files.listdir(f"{tmp_path}/planted/."),
        lambda: host.files.set_mode(f"{tmp_path}/planted/.", 0o777),
    ):
        with pytest.raises(ResourceError, match=rf"{tmp_path}/planted is a link made by uid {NOBODY}"):
            attempt()
    assert list((tmp_path / "real").iterdir()) == []
    found = host.files.lstat(f"{tmp_path}/planted")
    assert found is not None
    assert found.type == "symlink", "the link itself can be seen, and so replaced"


@needs_root
@pytest.mark.parametrize(
    ("mode", "owner", "followed"),
    [(0o755, 0, True), (0o777, 0, False), (0o1777, 0, True), (0o755, NOBODY, False), (0o1777, NOBODY, False)],
)
def test_a_link_of_root_is_followed_only_where_nobody_else_can_move_it(
    tmp_path: Path, mode: int, owner: int, followed: bool
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "link").symlink_to("../real")
    os.chown(tmp_path / "open", owner, owner)
    (tmp_path / "open").chmod(mode)
    if followed:
        write(LocalHost(), tmp_path / "open" / "link" / "file")
    else:
        with pytest.raises(ResourceError, match="in a directory that others may rearrange"):
            write(LocalHost(), tmp_path / "open" / "link" / "file")
    assert (tmp_path / "real" / "file").exists() == followed


def test_another_root_keeps_every_path_and_link_inside(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "etc").mkdir(parents=True)
    outside.mkdir()
    (root / "absolute").symlink_to("/etc")
    (root / "climbing").symlink_to("../../../../../../../etc")
    (root / "escaping").symlink_to(str(outside))
    host = LocalHost(root=str(root))
    assert host.root == str(root)
    write(host, "/etc/one")
    write(host, "/absolute/two")
    write(host, "/climbing/three")
    assert sorted(os.listdir(root / "etc")) == ["one", "three", "two"]
    with pytest.raises(ResourceError, match="parent directory /escaping does not exist"):
        write(host, "/escaping/four")
    assert host.files.lstat("/..") == host.files.lstat("/")
    assert host.files.lstat("/etc/../../..") == host.files.lstat("/")
    assert list(outside.iterdir()) == []


def test_a_parent_replaced_after_it_was_seen_is_noticed(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    (parent / "file").write_bytes(b"old")
    host = LocalHost()
    assert host.files.read(f"{parent}/file") == b"old"
    parent.rename(tmp_path / "moved")
    parent.mkdir()
    assert host.files.lstat(f"{parent}/file") is None
    write(host, parent / "file")
    assert (parent / "file").read_bytes() == b"new"
    assert (tmp_path / "moved" / "file").read_bytes() == b"old"


def test_a_parent_replaced_between_staging_and_publishing_is_noticed(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    host = LocalHost()
    staged = host.files.stage(f"{parent}/file", b"new", mode=0o644, owner=KEEP)
    parent.rename(tmp_path / "moved")
    parent.mkdir()
    (result,) = host.files.publish([staged])
    assert result is not None
    assert os.listdir(parent) == []
    assert not (tmp_path / "moved" / "file").exists()


def test_a_change_looks_again_even_within_one_look(tmp_path: Path) -> None:
    """A loop that holds on to `host.files` sees each directory where it was; what it changes is where it is."""
    parent = tmp_path / "parent"
    parent.mkdir()
    files = LocalHost().files
    assert files.lstat(f"{parent}/file") is None
    parent.rename(tmp_path / "moved")
    parent.mkdir()
    assert files.publish([files.stage(f"{parent}/file", b"new", mode=0o644, owner=KEEP)]) == [None]
    assert (parent / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path / "moved") == []


def test_many_directories_do_not_use_up_descriptors(tmp_path: Path) -> None:
    paths = [tmp_path / f"d{number}" / "file" for number in range(600)]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    host = LocalHost()
    files = host.files
    assert all(files.lstat(str(path)) is not None for path in paths)
    assert all(files.lstat(str(path)) is not None for path in reversed(paths))
    assert len(os.listdir("/proc/self/fd")) < 350
    staged = [host.files.stage(str(path), b"new", mode=0o644, owner=KEEP) for path in paths]
    assert host.files.publish(staged) == [None] * 600
    assert len(os.listdir("/proc/self/fd")) < 350
    del files, host
    assert len(os.listdir("/proc/self/fd")) < 100


def test_a_path_deeper_than_python_recurses_is_reached(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    path = f"{tmp_path}{'/d' * 1500}"
    try:
        write(LocalHost(), f"{path}/file")
        found = LocalView().files.lstat(f"{path}/file")
    finally:
        subprocess.run(["rm", "-r", f"{tmp_path}/d"], check=True)  # pytest's own clean-up recurses
    assert found is not None
    assert found.size == 3
