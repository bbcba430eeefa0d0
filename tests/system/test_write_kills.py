"""A kill at every single step of a change: what is there is old or new in full, and the next pass ends converged."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.host import LocalHost
from modules.api import Resource
from modules.archive import Archive
from modules.block import Block
from modules.directory import Directory
from modules.file import File
from modules.line import Line
from modules.purge import Purge
from modules.symlink import Symlink
from tests.system.disks import ext4
from tests.system.packed import packed
from tests.unit.convergence import drift_of, text

pytestmark = pytest.mark.system

ROOT = os.geteuid() == 0
NOBODY = 65534
OLD, NEW = b"old" * 5000, b"new" * 7000


STEPS = (
    *("open", "close", "write", "fsync", "fchown", "fchmod", "chown", "chmod", "rename", "unlink", "symlink", "mkdir"),
    *("rmdir", "ftruncate", "fstat", "stat", "readlink", "scandir", "listdir"),
    *("setxattr", "removexattr", "getxattr", "listxattr", "read"),
)


def run_to(step: int, action: Callable[[], None]) -> bool:
    """Run in a process that is killed instead of its system call number `step`; whether it ended before that."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            kill_at(step)
            action()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the action failed without being killed"
    return True


def kill_at(step: int) -> None:
    left = step

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)

        return counting

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    fcntl.ioctl = counted(fcntl.ioctl)


def host_of(directory: Path) -> LocalHost:
    """A host that keeps its state beside a directory."""
    return LocalHost(state_dir=str(directory.parent))


def converge_all(resources: list[Resource], host: LocalHost) -> None:
    kind = type(resources[0])
    steps = [(resource, drift) for resource in resources if (drift := drift_of(resource, host))]
    assert kind.apply_all(host, steps) == [None] * len(steps)


def killed_everywhere(
    directory: Path,
    prepare: Callable[[], None],
    resources: list[Resource],
    check: Callable[[], None],
    unlock: Callable[[], None] = lambda: None,
) -> int:
    """Converge, killed at step 1, then at step 2, and so on; what is left must pass the check, and converge again."""
    step, ended = 0, False
    while not ended:
        step += 1
        unlock()
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        prepare()
        ended = run_to(step, lambda: converge_all(resources, host_of(directory)))
        check()
        host = host_of(directory)
        for resource in resources:
            resource.recover(host)
        assert strays(directory) == [], f"after a kill at step {step}"
        check()
        converge_all(resources, host)
        assert all(drift_of(resource, host) == {} for resource in resources)
        assert strays(directory) == []
    return step


def strays(directory: Path) -> list[str]:
    return [str(path) for path in directory.rglob("*") if path.name.endswith(".gitops-agent")]


def state_of(path: Path) -> tuple[bytes, int, int] | None:
    if not path.exists():
        return None
    shown = path.lstat()
    return path.read_bytes(), stat.S_IMODE(shown.st_mode), shown.st_uid


def write_old(paths: list[Path]) -> None:
    for path in paths:
        path.write_bytes(OLD)
        path.chmod(0o604)


def wanted_file(path: Path) -> File:
    return File(path=str(path), content=text(NEW), mode="0640", owner=str(NOBODY) if ROOT else None)


AFTER = (NEW, 0o640, NOBODY if ROOT else os.geteuid())


@pytest.mark.parametrize("count", [1, 10])
def test_a_kill_at_any_step_leaves_each_file_old_or_new_in_full(tmp_path: Path, count: int) -> None:
    directory = tmp_path / "directory"
    paths = [directory / f"file{number}" for number in range(count)]

    def check() -> None:
        for path in paths:
            assert state_of(path) in ((OLD, 0o604, os.geteuid()), AFTER)

    wanted: list[Resource] = [wanted_file(path) for path in paths]
    steps = killed_everywhere(directory, lambda: write_old(paths), wanted, check)
    assert steps > 15 * count, "there is less to kill than a write takes"


def test_a_kill_at_any_step_leaves_a_new_file_absent_or_whole(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    path = directory / "file"

    def check() -> None:
        assert state_of(path) in (None, AFTER)

    assert killed_everywhere(directory, lambda: None, [wanted_file(path)], check) > 15


def test_a_kill_at_any_step_leaves_a_new_directory_absent_or_whole(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    path = directory / "new"
    owner = NOBODY if ROOT else os.geteuid()

    def check() -> None:
        if path.exists():
            shown = path.lstat()
            assert (stat.S_IMODE(shown.st_mode), shown.st_uid) == (0o2750, owner)

    wanted = Directory(path=str(path), mode="2750", owner=str(owner))
    assert killed_everywhere(directory, lambda: None, [wanted], check) > 10


def test_a_kill_at_any_step_leaves_a_link_old_or_new(tmp_path: Path) -> None:
    directory = tmp_path / "directory"

    def check() -> None:
        assert os.readlink(directory / "link") in ("old", "new")

    wanted = Symlink(path=f"{directory}/link", target="new")
    assert killed_everywhere(directory, lambda: (directory / "link").symlink_to("old"), [wanted], check) > 5


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with ext4(tmp_path_factory.mktemp("disk")) as at:
        yield at


def test_a_kill_at_any_step_leaves_lists_and_attributes_right_before_the_content_is_seen(disk: Path) -> None:
    directory = disk / "listed"
    path = directory / "file"
    wanted = File(
        path=str(path), content=text(NEW), mode="0640", acl=(f"user:{NOBODY}:rw-",), xattr={"user.a": "b"}, backup=True
    )

    def prepare() -> None:
        shutil.rmtree(disk / "backups", ignore_errors=True)
        path.write_bytes(OLD)
        path.chmod(0o600)

    def check() -> None:
        shown = path.read_bytes(), stat.S_IMODE(path.stat().st_mode), sorted(os.listxattr(path))
        assert shown in (
            (OLD, 0o600, []),
            (NEW, 0o660, ["system.posix_acl_access", "user.a"]),
        )
        copies = [copy.read_bytes() for copy in (disk / "backups").glob("?" * 64)]
        assert path.read_bytes() == OLD or copies == [OLD], "nothing is replaced before its copy is whole"

    assert killed_everywhere(directory, prepare, [wanted], check) > 30


def test_a_kill_at_any_step_of_what_is_immutable_ends_immutable_again(disk: Path) -> None:
    directory = disk / "locked"
    path = directory / "file"
    wanted = File(path=str(path), content=text(NEW), attributes="+i")

    def prepare() -> None:
        path.write_bytes(OLD)
        subprocess.run(["chattr", "+i", path], check=True)

    def check() -> None:
        assert path.read_bytes() in (OLD, NEW)

    def unlock() -> None:
        subprocess.run(["chattr", "-R", "-i", directory], check=False, capture_output=True)

    try:
        assert killed_everywhere(directory, prepare, [wanted], check, unlock) > 20
        assert "-i-" in subprocess.run(["lsattr", path], check=True, capture_output=True, text=True).stdout
    finally:
        unlock()


def test_a_kill_at_any_step_of_edits_leaves_none_or_all_of_them(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    path = directory / "conf"
    wanted: list[Resource] = [Line(path=str(path), text="line"), Block(path=str(path), text="block")]
    after = "a\nline\n# BEGIN gitops-agent\nblock\n# END gitops-agent\n"

    def check() -> None:
        assert path.read_text() in ("a\n", after)

    def prepare() -> None:
        path.write_text("a\n")

    assert killed_everywhere(directory, prepare, wanted, check) > 15


def test_a_kill_at_any_step_of_an_archive_leaves_each_file_old_or_new_in_full(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    names = ("one", "sub/two", "sub/three")
    first = Archive(path=str(directory), source=text(packed(*names, "gone", data=OLD)))
    wanted = Archive(path=str(directory), source=text(packed(*names, "sub/new", data=NEW)))

    def check() -> None:
        for name in names:
            assert (directory / name).read_bytes() in (OLD, NEW)
        assert not (directory / "sub" / "new").exists() or (directory / "sub" / "new").read_bytes() == NEW

    assert killed_everywhere(directory, lambda: converge_all([first], host_of(directory)), [wanted], check) > 60
    assert sorted(path.name for path in directory.rglob("*") if path.is_file()) == [
        ".gitops-agent.archive", "new", "one", "three", "two",
    ]  # fmt: skip


def test_a_kill_at_any_step_of_a_purge_leaves_what_is_declared(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    wanted = Purge(path=str(directory), keep=("kept", "sub/kept"), directories=("", "sub"), packages=True)

    def prepare() -> None:
        (directory / "sub").mkdir()
        for name in ("kept", "sub/kept", "stranger", "sub/stranger"):
            (directory / name).touch()

    def check() -> None:
        assert (directory / "kept").exists()
        assert (directory / "sub" / "kept").exists()

    assert killed_everywhere(directory, prepare, [wanted], check) > 5
