"""A report's verdict and exit status, the status that it leaves, the file that this lies in, and the lock of a pass."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from agent.apply import BLOCKED, CONVERGED, FAILED, IN_SYNC, PENDING, RELEASED, REMOVED, Outcome
from agent.errors import FetchFailed, ManifestInvalid, Place, Problem, RevisionRejected, StateUnusable
from agent.lock import held
from agent.report import Report, remarks, report_to_json, summary
from agent.report.standing import MAX_PROBLEMS, MAX_RELEASED, status_of
from agent.source import Revision
from agent.status import EXIT_STATUS, read_status, write_status
from modules.api import Change
from tests.unit.memory import MemoryTree

REVISION = cast("Revision", MemoryTree({}))
GONE = FetchFailed("nobody answers")
ROLLED_BACK = RevisionRejected("4f2c1a9 was rolled back: ill", commit="4f2c1a9", reason="RolledBack")
PINNED = RevisionRejected("ops pinned 4f2c1a9: so", commit="4f2c1a9", reason="Pinned")
BAD = ManifestInvalid([Problem(Place("hosts/web-01.yaml", 3), "unknown field")])


def report(*results: str, **fields: Any) -> Report:
    outcomes = [Outcome(f"file:/{number}", result, message=result) for number, result in enumerate(results)]
    made = Report(
        host="web-01", reason="poll", revision=REVISION, branch="main", outcomes=outcomes, rejection=None,
        attempted=REVISION.commit, started=1000.0, seconds=0.5,
    )  # fmt: skip
    return replace(made, **fields)


@pytest.mark.parametrize(
    ("results", "rejection", "verdict", "exit_status"),
    [
        ([IN_SYNC], None, "OK", 0),
        ([CONVERGED, REMOVED, RELEASED], None, "OK", 0),
        ([IN_SYNC], BAD, "WARNING", 1),
        ([IN_SYNC, BLOCKED], None, "WARNING", 4),
        ([IN_SYNC, FAILED], None, "CRITICAL", 4),
        ([IN_SYNC, PENDING], None, "WARNING", 4),
        ([IN_SYNC], ROLLED_BACK, "WARNING", 4),
        ([IN_SYNC], PINNED, "WARNING", 0),
        ([FAILED], PINNED, "CRITICAL", 4),
        ([FAILED], BAD, "CRITICAL", 1),
    ],
)
def test_verdict_and_exit_status(results: list[str], rejection: Any, verdict: str, exit_status: int) -> None:
    found = report(*results, rejection=rejection)
    assert (found.verdict, found.exit_status) == (verdict, exit_status)
    assert found.changed == bool({CONVERGED, REMOVED, RELEASED}.intersection(results))


def test_what_is_left_to_a_person_is_a_warning_and_no_failure() -> None:
    left = Outcome("unit:dbus.service", IN_SYNC, owed="restart, because file:/a changed; the agent does not")
    found = replace(report(IN_SYNC), outcomes=[left], notices=remarks([replace(left, remark="it is static")]))
    assert (found.verdict, found.exit_status, found.changed) == ("WARNING", 0, False)
    status = status_of(found, {}, {})
    assert status["owed"] == report_to_json(found)["owed"] == [{"id": left.id, "text": left.owed}]
    assert status["notices"] == ["unit:dbus.service: it is static"]


def test_exit_statuses_are_those_of_monitoring_plugins() -> None:
    assert EXIT_STATUS == {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}


def test_counts_in_words() -> None:
    assert summary(report(CONVERGED, FAILED, IN_SYNC, IN_SYNC).counts) == "1 converged, 1 failed, 2 in sync"
    assert summary(report().counts) == "nothing"


def test_json_says_what_is_not_in_sync() -> None:
    outcomes = [
        Outcome("file:/a", CONVERGED, "hosts/a.yaml:2", {"mode": Change("0644", "0600")}),
        Outcome("b", IN_SYNC),
    ]
    shown = json.loads(json.dumps(report_to_json(report(outcomes=outcomes))))
    assert [line["id"] for line in shown["outcomes"]] == ["file:/a"]
    assert shown["outcomes"][0]["drift"] == {"mode": ["0644", "0600"]}
    assert (shown["counts"]["in_sync"], shown["format"], shown["exit"]) == (1, 1, 0)


def test_a_problem_keeps_the_time_since_when_it_is_one() -> None:
    first = status_of(report(FAILED, IN_SYNC), {}, {})
    first["problems"][0]["since"] = 5.0
    second = status_of(report(FAILED, FAILED), first, {})
    assert [problem["since"] for problem in second["problems"]] == [5.0, second["checked_at"]]
    assert status_of(report(IN_SYNC, FAILED), second, {})["problems"][0]["since"] == second["checked_at"]


def test_the_last_change_stays() -> None:
    changed = status_of(report(CONVERGED), {}, {})
    later = status_of(report(FAILED), changed, {})
    assert later["last_change"] == changed["last_change"]
    assert later["operation"]["result"] == "failed"


def test_what_left_git_and_stays_is_named() -> None:
    left = [Outcome(f"directory:/{name}", RELEASED, message="it holds x") for name in range(MAX_RELEASED + 1)]
    named = status_of(replace(report(), outcomes=left), {}, {})["last_change"]["released"]
    assert named[0] == {"id": "directory:/0", "message": "it holds x"}
    assert len(named) == MAX_RELEASED


def test_the_revisions_that_were_applied_attempted_and_good_are_told_apart() -> None:
    same = status_of(report(IN_SYNC, attempted="", good="g"), {}, {})["revisions"]
    assert same == {"applied": REVISION.commit, "attempted": REVISION.commit, "good": "g"}
    left_alone = report(PENDING, in_force="old", held_back="suspended by ops: x")
    assert status_of(left_alone, {}, {})["revisions"]["applied"] == "old"


def test_what_is_known_of_the_remote() -> None:
    current = status_of(report(IN_SYNC), {}, {})["source"]
    assert (current["state"], current["error"]) == ("current", "")
    rejected = status_of(report(IN_SYNC, rejection=BAD, attempted="bad"), {}, {})["source"]
    assert (rejected["state"], rejected["attempted"]) == ("rejected", "bad")
    assert "hosts/web-01.yaml:3" in rejected["error"]
    before = {"source": {**current, "fetched_at": 7.0}}
    failed = status_of(report(IN_SYNC, rejection=GONE), before, {})["source"]
    assert (failed["state"], failed["fetched_at"]) == ("failed", 7.0), "silence is counted from the last answer"
    drift = status_of(report(IN_SYNC, reason="drift"), {"source": rejected}, {})["source"]
    assert drift == rejected, "a drift pass does not ask, and so forgets nothing"
    assert status_of(report(IN_SYNC, rejection=RevisionRejected("rewritten")), {}, {})["source"]["state"] == "rejected"


def test_problems_are_bounded() -> None:
    status = status_of(report(*[FAILED] * 500), {}, {})
    assert len(status["problems"]) == MAX_PROBLEMS
    assert status["sync"]["counts"]["failed"] == 500


# The status file


def test_it_is_readable_by_all_whatever_the_umask_and_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    old = os.umask(0o077)
    try:
        write_status(str(path), {"format": 1, "verdict": "OK"})
        first = path.stat()
        with path.open() as open_before:
            write_status(str(path), {"format": 1, "verdict": "WARNING"})
            assert json.load(open_before) == {"format": 1, "verdict": "OK"}, "a reader sees one or the other, whole"
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.stat().st_ino != first.st_ino
    assert read_status(str(path)) == {"format": 1, "verdict": "WARNING"}
    assert os.listdir(tmp_path) == ["status.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', "null"])
def test_one_that_cannot_be_understood_reads_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    assert read_status(str(tmp_path / "status.json")) == {}
    assert read_status(str(tmp_path / "nosuch")) == {}


def test_a_link_planted_beside_it_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs")
    (tmp_path / f"status.json.{os.getpid()}.new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        write_status(str(tmp_path / "status.json"), {"format": 1})
    assert (tmp_path / "elsewhere").read_text() == "theirs"


# The lock


def test_one_pass_at_a_time_and_the_other_is_told_who(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with held(path), pytest.raises(StateUnusable, match=rf"another pass holds .*lock \(process {os.getpid()}\)"):  # noqa: SIM117
        with held(path, wait_seconds=0.2):
            pass
    with held(path, wait_seconds=0):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_it_is_free_after_an_error(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with pytest.raises(KeyError), held(path):
        raise KeyError
    with held(path, wait_seconds=0):
        pass
