"""Fixtures of unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.terminal import Terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    made = Terminal()
    yield made
    made.close()
