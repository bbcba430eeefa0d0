"""Whether the settings on disk are still those that were read: noticed when they are whole, and once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.daemon.edits import SETTLED_SECONDS, Edits


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "agent.d").mkdir()
    (tmp_path / "agent.yaml").write_text("host: a\n")
    return tmp_path


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.clock_gettime(time.CLOCK_REALTIME)  # which is not replaced
    monkeypatch.setattr("time.time", lambda: now + seconds)


@pytest.mark.parametrize("change", ["edit", "replace", "add", "remove"])
def test_a_change_is_noticed_when_it_is_whole_and_once(
    directory: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    fragment = directory / "agent.d/10.yaml"
    if change != "add":
        fragment.write_text("branch: main\n")
    edits = Edits(str(directory))
    later(monkeypatch, 60)
    assert not edits.changed()
    if change == "edit":
        fragment.write_text("branch: other\n")
    elif change == "replace":
        (directory / "new").write_text("branch: main\n")
        (directory / "new").rename(fragment)
    elif change == "add":
        fragment.write_text("branch: main\n")
    else:
        fragment.unlink()
    later(monkeypatch, SETTLED_SECONDS / 2)
    assert not edits.changed(), "somebody may still write"
    later(monkeypatch, 60)
    assert edits.changed()
    edits.note()
    assert not edits.changed()


def test_settings_that_are_gone_are_a_change(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edits = Edits(str(directory))
    (directory / "agent.yaml").unlink()
    later(monkeypatch, 60)
    assert edits.changed()
