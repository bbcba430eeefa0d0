"""What is remembered of changes: their causes, the text they replaced, and how much of it all is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent import history, reconcile
from agent.apply.audit import MAX_DIFF, bounded
from agent.causes import DRIFT, FACTS, REVISION, SECRET, UPGRADE, cause_of, encoded, was_secret
from agent.history import Changed, PassRecord
from agent.store import Entry, Store
from modules.api import Content
from modules.file import File
from tests.unit.world import World, file


def line_of(world: World, name: str = "file:/etc/a") -> dict[str, Any]:
    """The newest line of the audit trail of a resource."""
    with world.store(writable=False) as store:
        return store.history.changes(name)[0]


# Causes


def entry(resource: File, *, pending: bool = False) -> Entry:
    return Entry(resource.id, encoded(resource), {}, {}, pending, 0, "abc", 0)


def sealed(digest: str, around: str = "", **fields: str) -> File:
    return File(path="/a", template=Content(digest, 3, secret=True, around=around), **fields)  # type: ignore[arg-type]


def test_the_cause_is_what_is_another() -> None:
    known = entry(sealed("1" * 64, mode="0600"))
    assert cause_of(sealed("1" * 64, mode="0600"), known, FACTS) == DRIFT
    assert cause_of(sealed("2" * 64, mode="0600"), known, FACTS) == SECRET
    assert cause_of(sealed("2" * 64, mode="0640"), known, FACTS) == FACTS
    assert cause_of(File(path="/a", mode="0600"), known, UPGRADE) == UPGRADE


def test_a_change_around_a_secret_is_that_of_the_commit() -> None:
    known = entry(sealed("1" * 64, "a"))
    assert cause_of(sealed("2" * 64, "a"), known, REVISION) == SECRET
    assert cause_of(sealed("2" * 64, "b"), known, REVISION) == REVISION
    assert cause_of(sealed("2" * 64), known, REVISION) == SECRET, "it is not known what is around it"
    assert cause_of(sealed("1" * 64, "a"), known, REVISION) == DRIFT


def test_what_may_hold_a_secret_is_known_by_its_entry() -> None:
    plain = File(path="/a", owner='"secret": true')
    assert not was_secret(entry(plain))
    assert was_secret(entry(plain, pending=True))
    assert was_secret(entry(sealed("1" * 64)))
    assert was_secret(entry(File(path="/a", sensitive=True)))


def test_a_commit_drift_an_upgrade_and_facts_are_told_apart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(file("/etc/a", "one"))
    world.run(file("/etc/a", "two"))
    assert line_of(world)["cause"] == REVISION
    world.host.files.put("/etc/a", b"by hand")
    assert world.run(file("/etc/a", "two")) == {"file:/etc/a": "converged"}
    assert line_of(world)["cause"] == DRIFT
    with world.store() as store:
        applied = store.recall("applied")
    for commit, version, cause in (("same", "0.0.1", UPGRADE), ("same", "now", FACTS), ("other", "now", REVISION)):
        with world.store() as store:  # as if the last whole pass had been of that commit, by that version
            known = applied if commit == "same" else f"{'0' * 40} now"
            store.remember(applied=f"{known.partition(' ')[0]} {version}")
            owned = store.inventory()["file:/etc/a"]
            store.begin([Entry(**{**vars(owned), "resource": owned.resource.replace('"content"', '"source"')})], [])
        monkeypatch.setattr(reconcile, "__version__", "now")
        world.host.files.put("/etc/a", b"by hand")
        world.run(file("/etc/a", "two"))
        assert line_of(world)["cause"] == cause


def test_going_back_from_what_was_half_applied_is_for_the_revision(world: World) -> None:
    broken = file("/etc/b", owner="nobody-here")
    world.run(file("/etc/a", "one"))
    assert world.run(file("/etc/a", "two") + broken)["file:/etc/b"] == "failed"
    assert world.run(file("/etc/a", "one"))["file:/etc/a"] == "converged"
    assert line_of(world)["cause"] == REVISION


# The text


def test_the_text_that_a_change_replaced_is_kept(world: World) -> None:
    world.run(file("/etc/a", '"one\\ntwo\\n"'))
    assert (line_of(world)["content"], line_of(world)["diff"]) == ("", ""), "what is created has no text before"
    world.run(file("/etc/a", '"one\\nthree\\n"'))
    assert line_of(world)["content"] == "content +1 -1"
    assert line_of(world)["diff"].split("\n") == ["@@ -1,2 +1,2 @@", " one", "-two", "+three"]


def test_the_text_of_a_private_file_is_not_kept(world: World) -> None:
    world.run(file("/etc/a", "one", mode="'0600'"))
    world.run(file("/etc/a", "two", mode="'0600'"))
    assert (line_of(world)["content"], line_of(world)["diff"]) == ("content +1 -1", "")


def test_the_text_of_what_was_secret_is_not_kept(world: World) -> None:
    world.run(file("/etc/a", "hunter2"))
    with world.store() as store:
        owned = store.inventory()["file:/etc/a"]
        store.begin(
            [Entry(**{**vars(owned), "resource": owned.resource.replace('"size"', '"secret": true, "size"')})], []
        )
    world.run(file("/etc/a", "two"))
    assert line_of(world)["content"] == "content (not shown)"
    with world.store(writable=False) as store:
        assert "hunter2" not in json.dumps(store.history.changes())


def test_a_diff_is_cut_after_a_line() -> None:
    lines = [f"+{'x' * 99}"] * 200
    text = bounded(lines)
    assert len(text.encode()) <= MAX_DIFF
    assert text.split("\n")[-1] == f"... {200 - text.count(chr(10))} more lines"
    assert bounded(lines[:3]) == "\n".join(lines[:3])


# How much is kept


def change(result: str, message: str, cause: str = "revision", diff: str = "") -> Changed:
    return Changed("file:/a", result, cause, "abc", "ops", "do it", "hosts/a.yaml:3", {}, message, diff=diff)


def test_failures_push_out_no_good_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT_CHANGES", {"change": 3, "drift": 2, "failed": 4})
    with Store(str(tmp_path), writable=True) as store:
        store.finish([], [change("converged", "good"), change("converged", "put back", "drift")])
        for number in range(20):
            store.finish([], [change("failed", str(number))])
        store.history.trim()
        kept = [line["message"] for line in store.history.changes()]
    assert kept == ["19", "18", "17", "16", "put back", "good"]


def test_only_the_newest_changes_keep_their_diff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT_DIFFS", 2)
    with Store(str(tmp_path), writable=True) as store:
        store.finish([], [change("converged", str(number), diff="+x") for number in range(4)])
        store.history.trim()
        assert [line["diff"] for line in store.history.changes()] == ["+x", "+x", "", ""]


def a_pass(at: int, revision: str, kind: str = "other", message: str = "") -> PassRecord:
    verdict = {"good": "OK", "rolled_back": "WARNING", "other": "CRITICAL"}[kind]
    return PassRecord(at, 0.5, "poll", revision, verdict, {"converged": 1}, message, kind)


def test_the_same_pass_again_is_one_entry_that_counts(tmp_path: Path) -> None:
    with Store(str(tmp_path), writable=True) as store:
        for at in (1, 5, 9):
            store.history.record(a_pass(at, "abc", message="file:/a"))
            store.history.record(a_pass(at + 1, "def"))
        newest, other = store.history.passes(10)
    assert (newest["revision"], newest["times"], newest["first"], newest["started"]) == ("def", 3, 2, 10)
    assert (other["revision"], other["times"], other["first"], other["started"]) == ("abc", 3, 1, 9)


def test_failures_push_out_no_good_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT_PASSES", 3)
    monkeypatch.setattr(history, "KEPT_OF_CLASS", {"good": 2, "rolled_back": 1})
    with Store(str(tmp_path), writable=True) as store:
        for number, kind in enumerate(["good", "good", "good", "rolled_back", *["other"] * 9]):
            store.history.record(a_pass(number, str(number), kind))
        assert [one["revision"] for one in store.history.passes(100)] == ["12", "11", "10", "3", "2", "1"]
