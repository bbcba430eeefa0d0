"""Passes and the gate: a rewritten history is refused until a person accepts it, whatever of the state is lost."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pygit2
import pytest

from agent.cli import main
from agent.store import Store
from tests.unit.fleets import Host, commit, host

ONE, TWO, THREE = (host(f"file: /etc/motd\n    content: {name}") for name in ("one", "two", "three"))


class Held:
    """A host that holds the first commit of a repository, whose history can be replaced."""

    def __init__(self, directory: Path, said: pytest.CaptureFixture[str]) -> None:
        self.repository, self.root, self._said = directory / "fleet.git", directory / "root", said
        self.host = Host(self.root, said)
        self.state, self.status = self.root / "var/lib/gitops-agent", self.root / "run/gitops-agent/status.json"
        self.first = commit(self.repository, ONE)
        assert self.follow() == (0, "")

    def follow(self) -> tuple[int, str]:
        return self.host.follow(self.repository)

    def rewrite(self) -> str:
        return commit(self.repository, TWO, parents=0)

    def source(self, *arguments: str) -> tuple[int, str, str]:
        place = ("--root", str(self.root), "--repo", str(self.repository))
        status = main(["source", *arguments, *place])
        return status, *self._said.readouterr()

    def shown(self) -> dict[str, Any]:
        return dict(json.loads(self.source("--json")[1]))

    @property
    def motd(self) -> str:
        return (self.root / "etc/motd").read_text()


@pytest.fixture
def held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Held:
    (tmp_path / "root").mkdir()
    return Held(tmp_path, capsys)


def source_of(held: Held) -> dict[str, Any]:
    return dict(json.loads(held.status.read_text())["source"])


def test_a_rewritten_history_is_refused_by_name_while_drift_is_repaired(held: Held) -> None:
    other = held.rewrite()
    (held.root / "etc/motd").write_text("drift")
    status, said = held.follow()
    assert status == 1
    assert f"main@{other[:7]} does not contain {held.first[:7]}, the accepted revision" in said
    assert held.motd == "one"
    found = source_of(held)
    assert (found["state"], found["reason"], found["attempted"]) == ("rejected", "HistoryRefused", other)
    assert found["accepted"] == held.first
    (refusal,) = held.shown()["refusals"]
    assert (refusal["commit"], refusal["reason"]) == (other, "HistoryRefused")


@pytest.mark.parametrize("lost", [["state.db"], ["floor.json"], ["repo.git"], ["state.db", "floor.json"], ["state.db", "repo.git"], ["*"]])  # fmt: skip
def test_whatever_of_the_state_is_lost_the_floor_is_not_and_that_is_said(held: Held, lost: list[str]) -> None:
    for path in [path for name in lost for path in held.state.glob(name)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    status, said = held.follow()
    assert status == 0
    if lost != ["repo.git"]:  # the clone is no place of the floor
        assert f"notice: the accepted revision, {held.first[:7]}, is taken from " in said
    assert "is taken from" not in held.follow()[1]
    held.rewrite()
    status, said = held.follow()
    assert (status, held.motd) == (1, "one")
    assert "does not contain" in said


def test_without_the_database_the_accepted_revision_is_held_while_another_history_is_refused(held: Held) -> None:
    (held.state / "state.db").unlink()
    held.rewrite()
    (held.root / "etc/motd").write_text("drift")
    status, said = held.follow()
    assert (status, held.motd) == (1, "one")
    assert f"{held.first[:7]} stays in force" in said


def test_a_mistake_in_a_manifest_is_accepted_by_the_gate_and_corrected_on_top(held: Held) -> None:
    wrong = commit(held.repository, host("file: /etc/motd\n    contend: x"))
    assert held.follow()[0] == 1
    assert source_of(held)["accepted"] == wrong
    assert source_of(held)["reason"] == ""
    commit(held.repository, THREE)
    assert held.follow() == (0, "")
    assert held.motd == "three"


def test_a_person_accepts_another_history_once(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    other = held.rewrite()
    held.follow()
    monkeypatch.setenv("SUDO_USER", "alice")
    status, out, _ = held.source("accept", other[:12], "--reason", " a password was removed ")
    assert (status, f"{other[:7]} was accepted by alice instead of {held.first[:7]}: a password was removed;" in out) == (0, True)  # fmt: skip
    with Store(str(held.state), writable=False) as store:
        assert store.recall("attempted") == "", "the next poll looks at it again"
    assert held.follow() == (0, "")
    assert held.motd == "two"
    (decision,) = held.shown()["decisions"]
    assert (decision["commit"], decision["by"], decision["reason"]) == (other, "alice", "a password was removed")
    again = commit(held.repository, THREE, parents=0)
    status, said = held.follow()
    assert (status, held.motd) == (1, "two")
    assert f"main@{again[:7]} does not contain {other[:7]}" in said


def test_what_was_never_fetched_is_fetched_to_accept_it(held: Held) -> None:
    other = held.rewrite()
    assert held.source("accept", other[:12], "--reason", "x")[0] == 0
    assert held.follow() == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("accept",), "accept needs a COMMIT and --reason"),
        (("accept", "1234567"), "accept needs a COMMIT and --reason"),
        (("accept", "1234567", "--reason", "  "), "accept needs a COMMIT and --reason"),
        (("accept", "main", "--reason", "x"), "main is not the id of a commit"),
        (("accept", "1234567", "--reason", "x"), "there is no commit 1234567"),
    ],
)
def test_wrong_use_accepts_nothing(held: Held, arguments: tuple[str, ...], said: str) -> None:
    before = (held.state / "floor.json").read_bytes()
    status, _, err = held.source(*arguments)
    assert status == 1
    assert said in err
    assert (held.state / "floor.json").read_bytes() == before


def test_it_is_shown_on_one_screen(held: Held) -> None:
    other = held.rewrite()
    held.follow()
    held.source("accept", other, "--reason", "moved\x1b[2J")
    out = held.source()[1]
    lines = {line.split()[0]: line for line in out.splitlines() if not line.startswith(" ")}
    assert lines["source"].startswith(f"source     rejected  main@{held.first[:7]}, asked 0 s ago")
    assert f"{held.repository}  answered 0 s ago" in lines["remote"]
    assert f"floor      {other}, accepted " in lines["floor"]
    assert lines["verify"].startswith("verify     off       0 files of keys in /etc/gitops-agent/trusted.d")
    assert "moved\\x1b[2J" in lines["accepted"]
    assert "HistoryRefused" in lines["refused"]


def test_a_pass_in_which_nothing_happened_writes_nothing(held: Held) -> None:
    held.follow()
    before = {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in held.state.rglob("*")}
    assert held.follow() == (0, "")
    assert {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in held.state.rglob("*")} == before


def test_a_look_accepts_nothing(held: Held) -> None:
    commit(held.repository, TWO)
    before = (held.state / "floor.json").read_bytes()
    assert held.host.run("plan", "--repo", str(held.repository))[0] == 2
    assert (held.state / "floor.json").read_bytes() == before
    refs = pygit2.Repository(str(held.state / "repo.git")).references
    assert str(refs["refs/gitops-agent/accepted"].target) == held.first
    held.rewrite()
    status, said = held.host.run("plan", "--repo", str(held.repository))
    assert (status, "does not contain" in said) == (1, True)


def test_who_may_not_read_the_file_is_shown_what_the_status_says(held: Held) -> None:
    os.unlink(held.state / "floor.json")
    shown = held.shown()
    assert (shown["accepted"], shown["decisions"], shown["accepted_at"]) == (held.first, [], 0)
