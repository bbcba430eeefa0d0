"""A dry run is honest by type: a module that writes while it looks is refused before it ever runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
MODULE = """\
from dataclasses import dataclass

from modules.api import Drift, Host, HostView, Resource, State
from modules.fields import NAME, identity


@dataclass(frozen=True, kw_only=True)
class Sample(Resource, kind="sample", identity="name"):
    name: str = identity(NAME, "Its name.")

    def observe(self, host: HostView) -> State:
        {looking}
        return {{}}

    def apply(self, host: Host, drift: Drift) -> None:
        {applying}
"""
WRITING = ('host.run("touch", "/x")', 'host.files.unlink("/x")', 'host.engine.start("x")')


def mypy(path: Path, **code: str) -> str:
    path.write_text(MODULE.format(**code))
    command = [sys.executable, "-m", "mypy", "--config-file", str(HERE / "pyproject.toml"), str(path)]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("code", WRITING)
def test_what_writes_is_refused_in_observe_and_taken_in_apply(tmp_path: Path, code: str) -> None:
    assert 'View" has no attribute' in mypy(tmp_path / "sample.py", looking=code, applying="host.root")
    assert "Success" in mypy(tmp_path / "sample.py", looking='host.probe("true")', applying=code)
