"""What makes it fast and small is held by what it does, not by a clock: what is imported, opened and read when nothing is to do."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import pytest

from agent.cli import main
from agent.host import LocalView
from agent.source import Revision
from agent.store import Entry, Owed, Store
from modules.api import Content, State
from modules.file import File
from tests.hosts.git import GitRepository

HERE = Path(__file__).resolve().parents[2]
RESOURCES = """\
resources:
  - directory: /srv
  - {file: /srv/inline, content: "inline"}
  - {file: /srv/copied, source: copied}
  - {file: /srv/rendered, template: rendered.j2}
"""
DEAR = ("apscheduler", "asyncio", "docker", "jinja2", "psutil", "requests", "ssl", "systemd", "urllib3", "yaml")
START = "import json, sys; sys.path.insert(0, {here!r}); {code}; print(json.dumps(sorted(sys.modules)))"


def loaded_by(code: str) -> set[str]:
    """The modules that an interpreter of its own has loaded after running some code."""
    command = [sys.executable, "-I", "-c", START.format(here=str(HERE), code=code)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(ended.stdout.splitlines()[-1]))


def apply(directory: Path, resources: str) -> list[str]:
    """Converge another root below a directory to these resources; the arguments of the `agentctl apply` that did."""
    (directory / "root").mkdir(parents=True)
    repository = GitRepository(directory)
    files = {"files/copied": "copied\n", "templates/rendered.j2": "{{ host }}\n"}
    repository.commit({"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": resources, **files})
    command = ["apply", "--repo", str(repository.bare), "--host", "web-01", "--root", str(directory / "root")]
    assert main(command) == 0
    return command


@pytest.fixture
def applied(tmp_path: Path) -> Sequence[str]:
    """The arguments of an `agentctl apply` that has converged another root once."""
    return apply(tmp_path, RESOURCES)


@pytest.mark.processes(reason="what another interpreter imports is seen in another interpreter")
def test_a_pass_with_nothing_to_do_imports_nothing_dear(applied: Sequence[str]) -> None:
    # pygit2 itself imports ssl, to find certificates.
    loaded = loaded_by(f"from agent.cli import main; assert main({list(applied)!r}) == 0")
    assert "pygit2" in loaded
    assert loaded.isdisjoint(set(DEAR) - {"ssl"})
    assert loaded.isdisjoint({"agent.manifest", "agent.catalog.compile", "agent.documents", "agent.host.commands"})


@pytest.mark.processes(reason="the repository is made with git")
def test_a_pass_with_nothing_to_do_reads_no_content_from_the_repository(
    applied: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    for name in ("content", "blob"):
        monkeypatch.setattr(Revision, name, lambda _self, path, *_: read.append(path))
    assert main(applied) == 0
    assert read == []


@pytest.mark.processes(reason="what another interpreter imports is seen in another interpreter")
def test_status_imports_next_to_nothing() -> None:
    loaded = loaded_by("from agent.cli import main; main(['status', '--root', '/nowhere'])")
    ours = {name for name in loaded if name.startswith(("agent.", "modules"))}
    assert ours == {
        f"agent.{name}" for name in ("cli", "cli.parser", "cli.status", "cli.text", "cli.verdict", "status")
    }
    assert loaded.isdisjoint({"dataclasses", "hashlib", "inspect", "logging", "socket", "subprocess", "sqlite3", *DEAR})


@pytest.mark.processes(reason="what another interpreter imports is seen in another interpreter")
def test_the_daemon_holds_nothing_that_only_a_pass_needs() -> None:
    loaded = loaded_by(
        "from agent.cli import run; from agent import daemon; from agent.daemon.schedule import Schedule; Schedule(print)"
    )
    assert "apscheduler.schedulers.background" in loaded
    assert loaded.isdisjoint({"pygit2", "sqlite3", "hashlib", "_hashlib", *DEAR} - {"apscheduler", "asyncio"})
    assert not {name for name in loaded if name.startswith(("modules", "agent.host", "agent.catalog", "agent.store"))}


def test_one_more_file_is_opened_once_however_deep_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Content(hashlib.sha256(b"here").hexdigest(), 4)
    files = [File(path=f"/a/b/c/{number}", content=wanted, owner="root") for number in range(50)]
    (tmp_path / "a/b/c").mkdir(parents=True)
    for file in files:
        (tmp_path / file.path[1:]).write_text("here")
    opened: list[object] = []
    really_open = os.open

    def counting_open(path: str, *how: int, **where: int) -> int:
        opened.append(path)
        return really_open(path, *how, **where)

    def opened_for(some: Sequence[File]) -> int:
        opened.clear()
        states = File.observe_all(LocalView(str(tmp_path)), some)
        assert [cast("State", state)["content"] for state in states] == [wanted.digest] * len(some)
        return len(opened)

    monkeypatch.setattr(os, "open", counting_open)
    assert opened_for(files) == opened_for(files[:1]) + 49


@pytest.mark.processes(reason="the repository is made with git")
def test_more_directories_of_files_are_no_more_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    really_begin = Store.begin

    def counting_begin(store: Store, entries: Sequence[Entry], owed: Iterable[Owed]) -> None:
        begun.append(len(entries))
        really_begin(store, entries, owed)

    monkeypatch.setattr(Store, "begin", counting_begin)

    def begun_for(count: int) -> list[int]:
        begun.clear()
        lines = [f"  - directory: /{n}\n  - file: /{n}/a\n    content: a\n" for n in range(count)]
        apply(tmp_path / str(count), "resources:\n" + "".join(lines))
        return list(begun)

    assert begun_for(2) == [2, 2]
    assert begun_for(20) == [20, 20]
