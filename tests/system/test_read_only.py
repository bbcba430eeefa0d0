"""A file system that was mounted read-only, as the kernel does after an error: said, harmless, and mended by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.disks import ext4
from tests.unit.holding import Holding

WISHES: list[dict[str, Any]] = [
    {"file": "/dir/content", "content": "new"},
    {"file": "/dir/mode", "mode": "0600"},
    {"file": "/dir/gone", "ensure": "absent"},
    {"directory": "/dir/made"},
    {"symlink": "/dir/link", "target": "x"},
    {"line": "/dir/edited", "text": "new"},
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with ext4(tmp_path) as at:
        yield at


def test_nothing_changes_and_each_says_why(disk: Path, tmp_path: Path) -> None:
    (disk / "dir").mkdir()
    for name in ("content", "mode", "gone", "edited"):
        (disk / "dir" / name).write_text("old\n")
    held = Holding(disk, tmp_path / "state")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    outcomes = {outcome.id: outcome for outcome in held.apply(WISHES)}
    assert {outcome.result for outcome in outcomes.values()} == {"failed"}
    for outcome in outcomes.values():
        assert "read-only file system; its file system is mounted read-only; remount it" in outcome.message
    assert sorted(os.listdir(disk / "dir")) == ["content", "edited", "gone", "mode"]
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert len(held.converged(WISHES)) == len(WISHES)
    assert held.converged(WISHES) == []
