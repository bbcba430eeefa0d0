"""The status that a pass leaves behind: four axes, each with its age, and what is not as it should be."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agent.apply import BLOCKED, FAILED, PENDING, RELEASED, Outcome, Reason
from agent.causes import DRIFT
from agent.errors import FetchFailed, RevisionError, RevisionRejected
from agent.health import worst
from agent.report import Origin, Report, outcome_to_json, summary, verdict_to_json
from agent.report.conditions import OF_REVISIONS, Condition, conditions_of, waiting_for, with_ages
from agent.source import Revision, WorkingTree
from agent.status import FORMAT

MAX_PROBLEMS, MAX_RELEASED = 100, 20  # in the status file; the audit trail has them all
PROBLEMS = (FAILED, BLOCKED, PENDING)


def status_of(report: Report, previous: Mapping[str, Any], limits: Mapping[str, float]) -> dict[str, Any]:
    """Build the status after a pass; `previous` is the status before it, `limits` says when a verdict is stale."""
    now = round(time.time(), 3)
    problems = [outcome for outcome in report.outcomes if outcome.result in PROBLEMS]
    ages = {problem["id"]: problem["since"] for problem in previous.get("problems", ())}
    operation = _operation(report, now)
    return {
        "format": FORMAT,
        "host": report.host,
        "verdict": report.verdict,
        "checked_at": now,
        "revision": _revision(report.revision, report.branch),
        "revisions": {
            "applied": report.in_force or report.revision.commit,
            "attempted": report.attempted or report.revision.commit,
            "good": report.good,
        },
        "source": _source(report, previous, now),
        "sync": {
            "state": _sync_state(report),
            "observed_at": now,
            "counts": report.counts,
            "repairs": dict(report.repairs),
        },
        "health": {
            "state": worst(report.health).value,
            "observed_at": now,
            "checks": [verdict_to_json(verdict) for verdict in report.health],
        },
        "operation": operation,
        "conditions": with_ages(list(conditions_of(report)), previous.get("conditions", ()), now),
        "orders": dict(report.orders),
        "problems": [
            {**outcome_to_json(outcome), "since": ages.get(outcome.id, now)} for outcome in problems[:MAX_PROBLEMS]
        ],
        "last_change": operation if report.changed else previous.get("last_change"),
        "notices": list(report.notices),
        "owed": report.owed[:MAX_PROBLEMS],
        "limits": dict(limits),
    }


def _operation(report: Report, now: float) -> dict[str, Any]:
    failed = any(outcome.result in (FAILED, BLOCKED) for outcome in report.outcomes)
    ended = any(outcome.reason is Reason.INTERRUPTED for outcome in report.outcomes)
    waiting = waiting_for(report)
    rolled_back = getattr(report.rejection, "reason", "") == "RolledBack"
    return {
        "state": "waiting" if waiting or report.retry_at or report.soak_until else "idle",
        "result": "rolled_back" if rolled_back else "failed" if failed else "interrupted" if ended else "succeeded",
        "reason": report.reason,
        "cause": report.cause,
        "revision": report.revision.commit,
        "waiting_for": waiting,
        "retry_at": report.retry_at,
        "soak_until": report.soak_until,
        "at": now,
        "seconds": round(report.seconds, 3),
        "summary": summary(report.counts),
        "released": _released(report.outcomes),
    }


def _released(outcomes: Sequence[Outcome]) -> list[dict[str, str]]:
    """What left Git and stays on the host, and why."""
    found = [outcome for outcome in outcomes if outcome.result == RELEASED]
    return [{"id": outcome.id, "message": outcome.message} for outcome in found[:MAX_RELEASED]]


def _sync_state(report: Report) -> str:
    """in_sync; drifted when the host changed and is not put back; pending when what Git asks for is not applied."""
    left = [outcome for outcome in report.outcomes if outcome.result in PROBLEMS]
    if not left:
        return "in_sync"
    return "drifted" if all(outcome.cause == DRIFT for outcome in left) else "pending"


def _revision(revision: Revision | WorkingTree, branch: str) -> dict[str, Any]:
    return {
        "commit": revision.commit,
        "branch": branch,
        "summary": revision.summary,
        "author": revision.author,
        "committed_at": revision.committed_at,
    }


def _source(report: Report, previous: Mapping[str, Any], now: float) -> dict[str, Any]:
    before = previous.get("source", {})
    if report.reason in ("drift", "retry"):  # these do not ask the remote, so they know nothing new of it
        known = dict(before) or {"state": "unknown", "fetched_at": 0, "error": "", "reason": "", "attempted": ""}
        return {**known, **asdict(report.origin)}
    return source_state(before, report.rejection, report.attempted, report.origin, now)


def after_contact(status: Mapping[str, Any], error: FetchFailed | None, origin: Origin, now: float) -> dict[str, Any]:
    """The status after the remote was asked for no more than its tip: it has nothing new, or it did not answer."""
    before = status["source"]
    others = [found for found in status["conditions"] if found["reason"] != "FetchFailed"]
    if error is not None:
        conditions = [*others, *with_ages([Condition("FetchFailed", str(error))], status["conditions"], now)]
        return {**status, "source": source_state(before, error, "", origin, now), "conditions": conditions}
    source = {**before, **asdict(origin), "fetched_at": round(now, 3)}
    if before["state"] == "failed":
        refused = next((found for found in others if found["reason"] in OF_REVISIONS), None)
        state = "pinned" if refused and refused["reason"] == "Pinned" else "rejected" if refused else "current"
        source |= {"state": state, "error": refused["message"] if refused else ""}
    return {**status, "source": source, "conditions": others}


def source_state(
    before: Mapping[str, Any], rejection: RevisionError | None, attempted: str, origin: Origin, now: float
) -> dict[str, Any]:
    """What is known of the remote after asking it: current, failed (no answer), rejected (no good), or pinned."""
    failed = isinstance(rejection, FetchFailed)
    reason = rejection.reason if isinstance(rejection, RevisionRejected) else ""
    state = "rejected" if rejection else "current"
    return {
        "state": "failed" if failed else "pinned" if reason == "Pinned" else state,
        "fetched_at": before.get("fetched_at", 0) if failed else round(now, 3),
        "error": str(rejection or ""),
        "reason": reason,
        "attempted": "" if failed else attempted,
        **asdict(origin),
    }
