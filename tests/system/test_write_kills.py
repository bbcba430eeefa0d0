"""Writing while somebody interferes: a kill at every single step of one write."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.host import LocalHost
from modules.api import Resource
from modules.directory import Directory
from modules.file import File
from modules.symlink import Symlink
from tests.unit.convergence import drift_of, text

pytestmark = pytest.mark.system

ROOT = os.geteuid() == 0
NOBODY = 65534
OLD, NEW = b"old" * 5000, b"new" * 7000


STEPS = (
    *("open", "close", "write", "fsync", "fchown", "fchmod", "chown", "chmod", "rename", "unlink", "symlink", "mkdir"),
    *("rmdir", "ftruncate", "fstat", "stat", "readlink", "scandir"),
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


def converge_all(resources: list[Resource]) -> None:
    host = LocalHost()
    kind = type(resources[0])
    steps = [(resource, drift) for resource in resources if (drift := drift_of(resource, host))]
    assert kind.apply_all(host, steps) == [None] * len(steps)


def killed_everywhere(
    directory: Path, prepare: Callable[[], None], resources: list[Resource], check: Callable[[], None]
) -> int:
    """Converge, killed at step 1, then at step 2, and so on; what is left must pass the check, and converge again."""
    step, ended = 0, False
    while not ended:
        step += 1
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        prepare()
        ended = run_to(step, lambda: converge_all(resources))
        check()
        host = LocalHost()
        for resource in resources:
            resource.recover(host)
        assert strays(directory) == [], f"after a kill at step {step}"
        check()
        converge_all(resources)
        assert all(drift_of(resource, host) == {} for resource in resources)
        assert strays(directory) == []
    return step


def strays(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if name.endswith(".gitops-agent")]


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
