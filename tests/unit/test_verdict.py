"""The first line of status where people or a rollback hold the host back: never OK, and it says by whom and why."""

from __future__ import annotations

from typing import Any

import pytest

from agent.cli.verdict import judge
from tests.unit.test_cli_status import COMMIT, NOW, failing, source, status

DAEMON = {"running": True}


def condition(reason: str, message: str = "why it is so") -> list[dict[str, Any]]:
    return [{"reason": reason, "message": message, "since": NOW}]


def suspended(until: float) -> dict[str, Any]:
    return {"suspend": {"reason": "a move", "by": "ops", "at": NOW, "until": until, "about": ""}}


def verdict(found: dict[str, Any], **daemon: Any) -> tuple[str, str]:
    return judge(found, {**DAEMON, **daemon}, supervised=True, now=NOW)


@pytest.mark.parametrize("reason", ["RolledBack", "HistoryRefused", "VerifyFailed", "ManifestInvalid", "Refused"])
def test_a_refused_revision(reason: str) -> None:
    found = status(conditions=condition(reason))
    assert verdict(found) == ("WARNING", "web-01 holds main@4f2c1a9, a newer revision is refused: why it is so")


@pytest.mark.parametrize("reason", ["Suspended", "Pinned"])
def test_a_word_of_a_person(reason: str) -> None:
    assert verdict(status(conditions=condition(reason))) == ("WARNING", "web-01 holds main@4f2c1a9, why it is so")


def test_a_suspension_counts_from_the_moment_it_is_given() -> None:
    given = status(orders=suspended(NOW + 60))
    assert verdict(given) == ("WARNING", "web-01 holds main@4f2c1a9, suspended by ops: a move")
    assert verdict(status(orders=suspended(0)))[0] == "WARNING", "for ever"
    assert verdict(status(orders=suspended(NOW - 60)))[0] == "OK", "it ran out"


def test_what_fails_is_worse_than_what_waits() -> None:
    assert verdict(failing(conditions=condition("Suspended")))[0] == "CRITICAL"


def test_what_is_held_is_what_was_applied() -> None:
    found = status(conditions=condition("Suspended"))
    found["revisions"] = {"applied": "a" * 40, "attempted": COMMIT, "good": "a" * 40}
    assert "holds main@aaaaaaa," in verdict(found)[1]


@pytest.mark.parametrize(("worst", "said"), [("CRITICAL", "CRITICAL"), ("WARNING", "WARNING")])
def test_ill_health_is_no_ok(worst: str, said: str) -> None:
    found = status(verdict=worst, conditions=condition("HealthDegraded", "unit:a: it is failed"))
    assert verdict(found) == (said, "web-01 is not healthy (main@4f2c1a9): unit:a: it is failed")


def test_a_new_revision_that_still_has_to_prove_itself_is_no_alarm() -> None:
    assert verdict(status(conditions=condition("Soaking")))[0] == "OK"


def test_drift_that_is_only_reported() -> None:
    problem = {"id": "file:/a", "result": "pending", "since": NOW - 60}
    found = status(verdict="WARNING", problems=[problem], conditions=condition("DriftReported"))
    found["sync"]["counts"] = {"in_sync": 2, "pending": 1}
    assert verdict(found)[0] == "WARNING"
    assert verdict(found)[1].startswith("web-01 1 of 3 resources not as Git says since ")


def test_age_goes_before_everything() -> None:
    for found in (status(conditions=condition("Pinned")), failing(), status(source=source("rejected", 5, "x"))):
        assert verdict({**found, "checked_at": NOW - 2401})[0] == "UNKNOWN"
        assert verdict(found, running=False)[0] == "UNKNOWN"
