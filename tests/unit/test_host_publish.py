"""How staged files get into place: what is flushed and when, and files that are mount points."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.host import LocalHost
from modules.api import ResourceError
from tests.unit.mounts import bound, needs_root

KEEP = (-1, -1)


def write(path: Path, data: bytes, mode: int = 0o644) -> ResourceError | None:
    files = LocalHost().files
    (result,) = files.publish([files.stage(str(path), data, mode=mode, owner=KEEP)])
    return result


def noted(monkeypatch: pytest.MonkeyPatch, name: str, note: Callable[..., object]) -> None:
    """Let a system call be noted, with its arguments, before it is done."""
    call = getattr(os, name)

    def noting(*args: Any, **options: Any) -> Any:
        note(*args)
        return call(*args, **options)

    monkeypatch.setattr(os, name, noting)


def test_few_files_are_flushed_one_by_one_before_and_their_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut cannot be had here; the order of the calls that guard against it can."""
    order: list[str] = []
    noted(monkeypatch, "fsync", lambda descriptor: order.append(f"flush {named(descriptor)}"))
    noted(monkeypatch, "rename", lambda old, new: order.append(f"rename {new}"))
    files = LocalHost().files
    staged = [files.stage(f"{tmp_path}/{name}", b"x", mode=0o644, owner=KEEP) for name in "ab"]
    assert files.publish(staged) == [None, None]
    assert order == [
        "flush .a.gitops-agent",
        "flush .b.gitops-agent",
        "rename a",
        "rename b",
        f"flush {tmp_path.name}",
    ]


def named(descriptor: int) -> str:
    return Path(os.readlink(f"/proc/self/fd/{descriptor}")).name


def test_many_files_are_flushed_at_once_before_and_their_directories_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.host import flush

    real = flush._syncfs()
    assert real is not None, "this machine's C library has syncfs"
    order: list[str] = []

    def sync(descriptor: int) -> None:
        order.append("flush all")
        real(descriptor)

    monkeypatch.setattr(flush, "_syncfs", lambda: sync)
    noted(monkeypatch, "rename", lambda old, new: order.append("rename"))
    noted(monkeypatch, "fsync", lambda descriptor: order.append(f"flush {named(descriptor)}"))
    for name in "ab":
        (tmp_path / name).mkdir()
    files = LocalHost().files
    staged = [files.stage(f"{tmp_path}/{name}/{n}", b"x", mode=0o644, owner=KEEP) for n in range(10) for name in "ab"]
    assert files.publish(staged) == [None] * 20
    assert order == ["flush all", *["rename"] * 20, "flush a", "flush b"]


@pytest.mark.parametrize("count", [1, 20])
def test_files_that_cannot_be_flushed_replace_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    files = LocalHost().files
    staged = [files.stage(f"{tmp_path}/{n}", b"x", mode=0o644, owner=KEEP) for n in range(count)]
    monkeypatch.setattr("agent.host.flush._syncfs", lambda: broken)
    monkeypatch.setattr(os, "fsync", broken)
    results = files.publish(staged)
    assert all("cannot flush" in str(result) and "the disk or its driver failed" in str(result) for result in results)
    assert os.listdir(tmp_path) == []


def test_without_the_system_call_each_file_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr("agent.host.flush._syncfs", lambda: None)
    noted(monkeypatch, "fsync", lambda descriptor: flushed.append(named(descriptor)))
    files = LocalHost().files
    staged = [files.stage(f"{tmp_path}/{n}", b"x", mode=0o644, owner=KEEP) for n in range(20)]
    assert files.publish(staged) == [None] * 20
    assert flushed == [*(f".{n}.gitops-agent" for n in range(20)), tmp_path.name]


@needs_root
def test_a_mounted_file_is_rewritten_in_place_and_that_is_said(tmp_path: Path) -> None:
    host = LocalHost()
    source, target = tmp_path / "source", tmp_path / "hosts"
    source.write_bytes(b"a longer old text")
    target.touch()
    with bound(source, target):
        inode = target.stat().st_ino
        assert write(target, b"new", mode=0o600) is None
        assert target.read_bytes() == b"new"
        longer = host.files.stage(str(target), b"new, and longer than the old text was", mode=0o644, owner=KEEP)
        assert host.files.publish([longer]) == [None]
        assert (target.stat().st_ino, stat.S_IMODE(target.stat().st_mode)) == (inode, 0o644)
    assert source.read_bytes() == b"new, and longer than the old text was"
    assert host.notices == [f"{target} is a mount point, so it was rewritten in place, not replaced in one step"]
    assert sorted(os.listdir(tmp_path)) == ["hosts", "source"]


@needs_root
@pytest.mark.parametrize(("old", "new"), [(0o644, 0o600), (0o600, 0o644)])
def test_rewriting_shows_neither_content_to_the_readers_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: int, new: int
) -> None:
    source, target = tmp_path / "source", tmp_path / "hosts"
    source.write_bytes(b"old")
    source.chmod(old)
    target.touch()
    modes: list[int] = []
    with bound(source, target):
        noted(monkeypatch, "ftruncate", lambda *_: modes.append(stat.S_IMODE(target.stat().st_mode)))
        assert write(target, b"new", mode=new) is None
    assert modes == [0]
    assert (source.read_bytes(), stat.S_IMODE(source.stat().st_mode)) == (b"new", new)


def test_what_was_swapped_in_before_rewriting_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, precious = tmp_path / "hosts", tmp_path / "precious"
    target.write_bytes(b"old")
    precious.write_bytes(b"precious")

    def busy(*_: object, **__: object) -> None:
        os.unlink(target)
        os.link(precious, target)
        raise OSError(errno.EBUSY, "busy")

    files = LocalHost().files
    staged = files.stage(str(target), b"new", mode=0o644, owner=KEEP)
    monkeypatch.setattr(os, "rename", busy)
    (result,) = files.publish([staged])
    assert "was changed by another program" in str(result)
    assert precious.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["hosts", "precious"]


@needs_root
def test_a_full_disk_shows_before_a_mounted_file_is_overwritten(tmp_path: Path) -> None:
    from tests.unit.mounts import small_disk

    target = tmp_path / "hosts"
    target.touch()
    with small_disk(tmp_path / "disk") as disk:
        (disk / "source").write_bytes(b"old")
        with bound(disk / "source", target):
            result = write(target, b"x" * (2 << 20))
            assert "no space left" in str(result)
            assert target.read_bytes() == b"old"
