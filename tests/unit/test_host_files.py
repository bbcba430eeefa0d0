"""Files of a host, judged by what the operating system shows of them."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.host import LocalHost, LocalView
from modules.api import Host, HostView, ResourceError
from tests.unit.mounts import needs_root, small_disk

NOBODY = 65534
KEEP = (-1, -1)


def write(host: LocalHost, path: Path, data: bytes, mode: int = 0o644) -> ResourceError | None:
    (result,) = host.files.publish([host.files.stage(str(path), data, mode=mode, owner=KEEP)])
    return result


def strays(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if name.endswith(".gitops-agent")]


def test_both_hosts_keep_to_the_interface_and_a_view_has_nothing_that_writes() -> None:
    view: HostView = LocalView()
    host: Host = LocalHost()
    writing = {"stage", "publish", "discard", "set_owner", "set_mode", "unlink", "sweep", "make_directory"}
    assert not writing & set(dir(view.files))
    assert writing <= set(dir(host.files))
    assert not hasattr(view, "run")
    assert not hasattr(view, "run_detached")


def test_lstat_tells_every_type_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "directory").mkdir()
    (tmp_path / "symlink").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    server.close()
    files = LocalView().files
    for name in ("file", "directory", "symlink", "fifo", "socket"):
        found = files.lstat(str(tmp_path / name))
        assert found is not None
        assert found.type == name
        shown = os.lstat(tmp_path / name)
        assert (found.mode, found.uid, found.gid, found.size) == (
            stat.S_IMODE(shown.st_mode),
            shown.st_uid,
            shown.st_gid,
            shown.st_size,
        )
        assert (found.device, found.inode, found.links) == (shown.st_dev, shown.st_ino, shown.st_nlink)
    assert files.lstat(str(tmp_path / "nothing")) is None
    assert files.lstat(str(tmp_path / "no" / "such" / "parent")) is None
    assert files.lstat(str(tmp_path / "file" / "below a file")) is None
    assert LocalView().files.lstat("/").type == "directory"  # type: ignore[union-attr]


def test_reading_is_whole_bounded_and_only_of_regular_files(tmp_path: Path) -> None:
    files = LocalView().files
    for size in (0, 1, 4095, 4096, 5000, (1 << 20) - 1, 1 << 20, (3 << 20) + 7):
        data = os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        assert files.read(str(tmp_path / "file")) == data
        assert files.digest(str(tmp_path / "file")) == hashlib.sha256(data).hexdigest()
    with pytest.raises(ResourceError, match="larger than 100 bytes"):
        files.read(str(tmp_path / "file"), 100)
    assert files.read(str(tmp_path / "file"), (3 << 20) + 7) == data
    assert b"MemTotal" in files.read("/proc/meminfo"), "a file that says its size is 0"
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("file")
    for name, reason in (("fifo", "not a regular file"), ("link", "link"), ("none", "no such file")):
        with pytest.raises(ResourceError, match=reason):
            files.read(str(tmp_path / name))
    with pytest.raises(ResourceError, match="not a regular file"):
        files.digest(str(tmp_path))


def test_listdir_is_sorted_and_empty_without_a_directory(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).touch()
    files = LocalView().files
    assert files.listdir(str(tmp_path)) == ["a", "b", "c"]
    assert list(files.listdir(str(tmp_path / "a"))) == []
    assert list(files.listdir(str(tmp_path / "none"))) == []


def test_a_file_is_replaced_whole_with_its_mode_and_leaves_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    before = target.stat()
    staged = LocalHost().files.stage(str(target), b"new", mode=0o604, owner=KEEP)
    assert target.read_bytes() == b"old", "nothing is visible before it is published"
    assert Path(staged.temporary).read_bytes() == b"new"
    assert LocalHost().files.publish([staged]) == [None]
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o604
    assert target.stat().st_ino != before.st_ino
    assert os.listdir(tmp_path) == ["file"]


def test_many_files_are_flushed_as_one_and_each_fails_alone(tmp_path: Path) -> None:
    host = LocalHost()
    targets = [tmp_path / f"d{number % 3}" / f"f{number}" for number in range(60)]
    for number in range(3):
        (tmp_path / f"d{number}").mkdir()
    staged = [host.files.stage(str(path), path.name.encode(), mode=0o644, owner=KEEP) for path in targets]
    targets[7].write_bytes(b"somebody else's")
    os.unlink(staged[9].temporary)
    results = host.files.publish(staged)
    assert [number for number, result in enumerate(results) if result is not None] == [7, 9]
    assert "changed by another program" in str(results[7])
    assert targets[7].read_bytes() == b"somebody else's"
    assert not targets[9].exists()
    assert all(path.read_bytes() == path.name.encode() for path in targets if path not in (targets[7], targets[9]))
    assert not [stray for number in range(3) for stray in strays(tmp_path / f"d{number}")]


@pytest.mark.parametrize("change", ["rewritten", "replaced", "chmod", "appeared", "link", "directory"])
def test_a_target_that_changed_since_it_was_staged_is_not_replaced(tmp_path: Path, change: str) -> None:
    target = tmp_path / "file"
    if change not in ("appeared", "link", "directory"):
        target.write_bytes(b"old")
    host = LocalHost()
    staged = host.files.stage(str(target), b"new", mode=0o644, owner=KEEP)
    (tmp_path / "x").write_bytes(b"old")
    changes: dict[str, Callable[[], object]] = {
        "rewritten": lambda: target.write_bytes(b"odd"),
        "replaced": lambda: (tmp_path / "x").rename(target),
        "chmod": lambda: target.chmod(0o600),
        "appeared": target.touch,
        "link": lambda: target.symlink_to("/etc/passwd"),
        "directory": target.mkdir,
    }
    changes[change]()
    before = target.lstat()
    (result,) = host.files.publish([staged])
    assert "changed by another program" in str(result)
    assert target.lstat() == before
    assert strays(tmp_path) == []


def test_a_staged_file_that_was_tampered_with_is_not_published(tmp_path: Path) -> None:
    host = LocalHost()
    staged = host.files.stage(str(tmp_path / "file"), b"new", mode=0o644, owner=KEEP)
    Path(staged.temporary).write_bytes(b"bad")
    (result,) = host.files.publish([staged])
    assert "changed by another program before" in str(result)
    assert os.listdir(tmp_path) == []


def test_a_discarded_file_is_gone(tmp_path: Path) -> None:
    host = LocalHost()
    host.files.discard(host.files.stage(str(tmp_path / "file"), b"new", mode=0o644, owner=KEEP))
    assert os.listdir(tmp_path) == []


def test_leftovers_are_replaced_and_swept_but_foreign_directories_are_not(tmp_path: Path) -> None:
    host = LocalHost()
    left = tmp_path / ".file.gitops-agent"
    outside = tmp_path / "outside"
    outside.write_bytes(b"safe")
    plants: list[Callable[[], object]] = [
        left.touch,
        lambda: left.symlink_to(outside),
        left.mkdir,
        lambda: os.mkfifo(left),
    ]
    for plant in plants:
        plant()
        assert write(host, tmp_path / "file", b"new") is None
        assert (tmp_path / "file").read_bytes() == b"new"
        plant()
        host.files.sweep(str(tmp_path / "file"))
        assert strays(tmp_path) == []
    assert outside.read_bytes() == b"safe"
    left.mkdir()
    (left / "precious").touch()
    with pytest.raises(ResourceError, match="is a directory the agent did not make"):
        write(host, tmp_path / "file", b"newer")
    with pytest.raises(ResourceError, match="is a directory the agent did not make"):
        host.files.sweep(str(tmp_path / "file"))
    assert (left / "precious").exists()
    host.files.sweep(str(tmp_path / "no" / "parent"))


def test_a_name_too_long_for_a_suffix_is_staged_under_its_hash(tmp_path: Path) -> None:
    for name in ("x" * 255, "\N{SNOWMAN}" * 85):
        assert write(LocalHost(), tmp_path / name, b"new") is None
        assert (tmp_path / name).read_bytes() == b"new"
        assert strays(tmp_path) == []


def test_a_missing_parent_says_what_to_declare(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match=rf"parent directory {tmp_path}/no does not exist; declare directory:"):
        write(LocalHost(), tmp_path / "no" / "file", b"")
    with pytest.raises(ResourceError, match=rf"{tmp_path}/file is not a directory"):
        write(LocalHost(), tmp_path / "file" / "below", b"")


@pytest.mark.parametrize(("mode", "uid"), [(0o600, NOBODY), (0o640, NOBODY), (0o040, NOBODY), (0o400, 0), (0o000, 0)])
@needs_root
def test_no_step_of_a_write_is_more_readable_than_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, uid: int
) -> None:
    """After every system call on the way, all that may read the file then may also read the result."""
    seen: list[tuple[str, int, int]] = []

    def spied(name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def spy(*args: Any, **options: Any) -> Any:
            result = call(*args, **options)
            for stray in strays(tmp_path):
                shown = os.lstat(tmp_path / stray)
                seen.append((name, stat.S_IMODE(shown.st_mode), shown.st_uid))
            return result

        return spy

    for name in ("open", "write", "fchown", "fchmod", "close", "fsync"):
        monkeypatch.setattr(os, name, spied(name))
    staged = LocalHost().files.stage(str(tmp_path / "secret"), b"secret", mode=mode, owner=(uid, uid))
    assert LocalHost().files.publish([staged]) == [None]
    monkeypatch.undo()
    shown = os.lstat(tmp_path / "secret")
    assert (stat.S_IMODE(shown.st_mode), shown.st_uid) == (mode, uid)
    assert {"open", "write", "fchmod"} <= {step for step, _, _ in seen}
    for step, now, owner in seen:
        assert now & 0o077 & ~mode == 0, f"after {step} others may use {now:o}, finally {mode:o}"
        assert owner in (0, uid)
        assert owner == 0 or now & 0o700 & ~mode == 0, f"after {step} its owner may use {now:o}, finally {mode:o}"


@needs_root
def test_a_full_disk_is_named_with_what_is_needed_and_nothing_stays(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        (disk / "file").write_bytes(b"old")
        with pytest.raises(ResourceError) as caught:
            write(LocalHost(), disk / "file", b"x" * (2 << 20))
        assert f"the file system at {disk} is full" in str(caught.value)
        assert f"{2 << 20} bytes are needed" in str(caught.value)
        assert (disk / "file").read_bytes() == b"old"
        assert os.listdir(disk) == ["file"]
