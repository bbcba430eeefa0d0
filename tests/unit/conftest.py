"""Fixtures of unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A host in memory with a store of its own."""
    return World(tmp_path)
