"""Fixtures of unit tests: a machine in memory, what models its programs, and a store beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.fake_apt import FakeApt
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import FakeSystemd
from tests.unit.site import Site
from tests.unit.world import World


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
