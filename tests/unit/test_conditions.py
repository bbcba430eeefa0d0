"""Conditions and the four axes of the status: what is not as it should be, since when, and what is waited for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest

from agent.apply import BLOCKED, FAILED, IN_SYNC, PENDING, Outcome, Reason
from agent.errors import FetchFailed, ManifestInvalid, Place, Problem, RevisionError, RevisionRejected
from agent.health import Verdict
from agent.report import Origin, Report
from agent.report.conditions import REASONS, conditions_of, waiting_for
from agent.report.standing import after_contact, status_of
from agent.source import Revision
from modules.checks import Health
from tests.unit.memory import MemoryTree

HERE = Path(__file__).resolve().parents[2]
GONE = FetchFailed("nobody answers")
WRONG = ManifestInvalid([Problem(Place("hosts/web-01.yaml", 3), "unknown field")])
WAITS = "7 of 8 owned resources left Git at once; `agentctl prune approve abc` removes exactly these"


def report(*outcomes: Outcome, **fields: Any) -> Report:
    made: dict[str, Any] = {
        "host": "web-01", "reason": "sync", "revision": cast("Revision", MemoryTree({})), "branch": "main",
        "outcomes": outcomes, "rejection": None, "attempted": "", "started": 0.0, "seconds": 0.1,
    }  # fmt: skip
    return Report(**{**made, **fields})


def rejected(reason: str) -> RevisionError:
    return RevisionRejected("why", commit="4f2c1a9", reason=reason)


def left(result: str, message: str = "", cause: str = "drift", reason: Reason | None = None) -> Outcome:
    return Outcome("file:/a", result, cause=cause, message=message, reason=reason)


def reasons(found: Report) -> list[str]:
    return [condition.reason for condition in conditions_of(found)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (report(left(IN_SYNC)), []),
        (report(rejection=GONE), ["FetchFailed"]),
        (report(rejection=WRONG), ["ManifestInvalid"]),
        (report(rejection=rejected("HistoryRefused")), ["HistoryRefused"]),
        (report(rejection=rejected("VerifyFailed")), ["VerifyFailed"]),
        (report(rejection=rejected("SomethingNew")), ["Refused"]),
        (report(rejection=rejected("RolledBack")), ["RolledBack"]),
        (report(rejection=rejected("RolledBack"), one_way=["package:a"]), ["RolledBack", "Inconsistent"]),
        (report(rejection=rejected("Pinned")), ["Pinned"]),
        (report(left(PENDING, reason=Reason.SUSPENDED), held_back="suspended by ops"), ["Suspended"]),
        (report(left(FAILED)), ["ResourcesFailed"]),
        (report(left(BLOCKED)), ["ResourcesBlocked"]),
        (report(left(PENDING, "it drifted", reason=Reason.DRIFT_REPORTED)), ["DriftReported"]),
        (report(left(PENDING, "it drifted", reason=Reason.CONTESTED)), ["Contested"]),
        (report(left(PENDING, "contested: it drifted", reason=Reason.PRUNE_BLOCKED)), ["PruneBlocked"]),
        (report(health=[Verdict("unit:a", Health.DEGRADED, "it is failed")]), ["HealthDegraded"]),
        (report(health=[Verdict("unit:a", Health.HEALTHY)], soak_until=100), ["Soaking"]),
    ],
)  # fmt: skip
def test_each_reason(found: Report, expected: list[str]) -> None:
    assert reasons(found) == expected
    assert set(expected) <= set(REASONS)


def test_the_list_is_closed_and_documented() -> None:
    text = (HERE / "docs/operations.md").read_text()
    section = text.partition("### Conditions\n")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `([A-Za-z]+)` \| (.+) \|$", section, re.M)) == REASONS


def test_every_reason_of_what_is_pending_is_a_condition() -> None:
    assert set(Reason) <= set(REASONS)
    (problem,) = status(report(left(PENDING, reason=Reason.CONTESTED)))["problems"]
    assert problem["reason"] == "Contested"
    assert status(report(left(FAILED)))["problems"][0]["reason"] == ""


def test_many_are_not_all_named() -> None:
    (condition,) = conditions_of(report(*[Outcome(f"file:/{number}", FAILED) for number in range(9)]))
    assert condition.message == "file:/0, file:/1, file:/2, file:/3, file:/4 and 4 more"


# Verdicts and exit statuses


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (report(health=[Verdict("a", Health.DEGRADED)]), "CRITICAL"),
        (report(health=[Verdict("a", Health.DEGRADED, required=False)]), "WARNING"),
        (report(health=[Verdict("a", Health.UNKNOWN)]), "WARNING"),
        (report(health=[Verdict("a", Health.PROGRESSING)]), "WARNING"),
        (report(health=[Verdict("a", Health.HEALTHY)]), "OK"),
        (report(held_back="suspended by ops: x"), "WARNING"),
        (report(rejection=rejected("RolledBack")), "WARNING"),
    ],
)
def test_it_is_ok_only_when_all_of_it_is(found: Report, verdict: str) -> None:
    assert found.verdict == verdict


# The status


def status(found: Report, previous: dict[str, Any] | None = None) -> dict[str, Any]:
    return status_of(found, previous or {}, {})


def test_a_condition_keeps_the_time_since_when_it_is_one() -> None:
    first = status(report(left(FAILED)))
    first["conditions"][0]["since"] = 5.0
    second = status(report(left(FAILED), left(BLOCKED)), first)
    assert [found["since"] for found in second["conditions"]] == [5.0, second["checked_at"]]
    assert status(report(), second)["conditions"] == []


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([left(IN_SYNC)], "in_sync"),
        ([left(PENDING)], "drifted"),
        ([left(PENDING, cause="revision")], "pending"),
        ([left(PENDING), left(FAILED, cause="revision")], "pending"),
    ],
)
def test_drift_and_what_is_not_applied_yet_are_told_apart(outcomes: list[Outcome], state: str) -> None:
    assert status(report(*outcomes))["sync"]["state"] == state


def test_every_axis_says_when_it_was_looked_at() -> None:
    found = status(report())
    assert found["sync"]["observed_at"] == found["health"]["observed_at"] == found["operation"]["at"]
    assert found["source"]["fetched_at"] == found["checked_at"]


def test_a_rollback_is_no_success() -> None:
    assert status(report(rejection=rejected("RolledBack")))["operation"]["result"] == "rolled_back"
    assert status(report(left(FAILED)))["operation"]["result"] == "failed"
    assert status(report())["operation"]["result"] == "succeeded"


def test_what_is_waited_for_is_named() -> None:
    assert waiting_for(report(held_back="suspended by ops: x")) == "suspended by ops: x"
    assert waiting_for(report(left(PENDING, WAITS, reason=Reason.PRUNE_BLOCKED))) == WAITS
    assert waiting_for(report(left(PENDING, WAITS, reason=Reason.CONTESTED))) == ""
    for fields in ({"held_back": "x"}, {"retry_at": 9}, {"soak_until": 9}):
        assert status(report(**fields))["operation"]["state"] == "waiting"
    assert status(report())["operation"]["state"] == "idle"


# Asking the remote without a pass


def test_silence_and_an_answer_are_told_between_passes() -> None:
    before = status(report())
    silent = after_contact(before, GONE, Origin(), before["checked_at"] + 60)
    assert (silent["source"]["state"], silent["source"]["fetched_at"]) == ("failed", before["checked_at"])
    assert [found["reason"] for found in silent["conditions"]] == ["FetchFailed"]
    since = silent["conditions"][0]["since"]
    silent = after_contact(silent, GONE, Origin(), since + 60)
    assert silent["conditions"][0]["since"] == since
    again = after_contact(silent, None, Origin(), since + 120)
    assert (again["source"]["state"], again["source"]["error"], again["conditions"]) == ("current", "", [])
    for axis in ("health", "sync"):
        assert again[axis] == before[axis], "nobody looked at these, so they are as old as they were"
    assert again["checked_at"] == before["checked_at"]


@pytest.mark.parametrize(("reason", "state"), [("RolledBack", "rejected"), ("Pinned", "pinned")])
def test_an_answer_does_not_make_a_refused_revision_good(reason: str, state: str) -> None:
    refused = status(report(rejection=rejected(reason)))
    silent = after_contact(refused, GONE, Origin(), 1.0)
    assert {found["reason"] for found in silent["conditions"]} == {reason, "FetchFailed"}
    again = after_contact(silent, None, Origin(), 2.0)
    assert (again["source"]["state"], again["source"]["error"]) == (state, "why")
    assert [found["reason"] for found in again["conditions"]] == [reason]
