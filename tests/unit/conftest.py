"""Fixtures of unit tests: a machine in memory, what models its programs, and a store beside it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.fake_apt import FakeApt
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import FakeSystemd
from tests.unit.following import Following
from tests.unit.site import Site
from tests.unit.terminal import Terminal
from tests.unit.world import World

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a disk would be waited for, by each of thousands


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory of the test's own, in memory where that can be had; it goes with the test, and so does what is beside it."""
    above = Path(tempfile.mkdtemp(prefix="unit-", dir=MEMORY)).resolve()
    made = above / "t"  # short: a socket in it must have a name of a hundred bytes
    made.mkdir()
    yield made
    shutil.rmtree(above, ignore_errors=True)


@pytest.fixture
def host() -> FakeHost:
    """A machine in memory."""
    return FakeHost()


@pytest.fixture
def systemd(host: FakeHost) -> FakeSystemd:
    """Its systemd."""
    return FakeSystemd(host)


@pytest.fixture
def apt(host: FakeHost) -> FakeApt:
    """Its apt and dpkg."""
    return FakeApt(host)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A machine in memory with all of these, and a store of its own."""
    return World(tmp_path)


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    """A checkout that says a few things, and a root without them."""
    made = Site(tmp_path, capsys)
    made.hold()
    return made


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    made = Terminal()
    yield made
    made.close()


@pytest.fixture
def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Following:
    """A host in memory that follows a branch, with a clock that stands until the test moves it."""
    made = Following(tmp_path)
    monkeypatch.setattr("time.time", lambda: made.now)
    return made
