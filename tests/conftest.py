"""What holds for every test: nothing is skipped in CI, and unit tests leave the machine as it is.

Tests in `unit/` and `contract/` may write below the temporary directory and start no process. An audit hook of the
interpreter watches that, not a list of patched functions; what a test needs beyond it is said by a mark, with a reason.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

GUARDED = ("unit", "contract")
PROCESSES: Mapping[str, str] = {  # test file -> why all of it may start processes
    "test_host_commands.py": "it tests the only place that starts processes",
    "test_host_accounts.py": "a command that makes an account is followed by a look-up",
    "test_host_walk.py": "an attacker is another process",
    "test_file.py": "a validate command is a real one",
    "test_daemon_passes.py": "a pass is a child process",
}
STARTING = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"}
WRITING: Mapping[str, tuple[int, ...]] = {  # audit event -> which of its arguments are paths that are changed
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (1,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.utime": (0,),
}
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
ANYWHERE = ("/dev/", "/proc/self/")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known, and Git deaf to whoever runs the tests."""
    config.addinivalue_line("markers", "processes(reason): a unit test that must start a process, and why")
    os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    os.environ.setdefault(
        "HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(tempfile.gettempdir(), f"hypothesis-{os.getuid()}")
    )
    settings.register_profile("laws", deadline=None)  # a busy machine is no reason to fail
    settings.load_profile("laws")


# Skips


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Judge a test that was skipped."""
    return _judge((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """Judge a file that was skipped as a whole."""
    return _judge((yield))


def _judge(report: Any) -> Any:
    """Fail what was skipped where CI is set: a machine of CI lacks nothing that it cannot install."""
    if os.environ.get("CI", "") not in ("", "0", "false") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} is a failure where CI is set: {reason}"
    return report


# The guard


class NotInUnitTests(BaseException):
    """A unit test touched the machine. No `except Exception` of the code under test can hide it."""


@dataclass
class Guard:
    """What the running test may do; nothing is held back while there is none."""

    allowed: tuple[str, ...] = ()
    processes: bool = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.allowed:
            return
        if event in STARTING and not self.processes:
            raise NotInUnitTests(f"{event}{arguments[:2]}: mark the test with processes(reason=...) if it must")
        if event == "open" and arguments[2] & WRITE_FLAGS:
            self._check(event, arguments[0])
        for index in WRITING.get(event, ()):
            self._check(event, arguments[index])

    def _check(self, event: str, path: Any) -> None:
        if isinstance(path, int):
            return  # a descriptor that this test has opened
        text = os.fsdecode(path)
        if not text.startswith("/") or "/__pycache__/" in text or text.startswith(ANYWHERE):
            return  # relative to a descriptor or to the directory the test is in; the interpreter's own cache
        if not os.path.normpath(text).startswith(self.allowed):
            raise NotInUnitTests(f"{event} {text}: unit tests write below the temporary directory only")


_guard = Guard()
sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def guarded(
    request: pytest.FixtureRequest, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Hold a unit test to temporary directories; relative paths, and the home that libgit2 looks in, are one of them."""
    path = request.node.path
    if not set(GUARDED).intersection(path.parts):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        patch.setenv("HOME", str(elsewhere))
        patch.setenv("XDG_CONFIG_HOME", str(elsewhere))
        _guard.processes = path.name in PROCESSES or request.node.get_closest_marker("processes") is not None
        _guard.allowed = (f"{os.path.realpath(tempfile.gettempdir())}/", f"{tmp_path_factory.getbasetemp()}/")
        try:
            yield
        finally:
            _guard.allowed, _guard.processes = (), True


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that is neither the checkout nor anybody's home."""
    return tmp_path_factory.mktemp("elsewhere")
