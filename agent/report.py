"""Report: what a pass came to, as values, as JSON, and as the status that it leaves behind."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.apply import BLOCKED, CONVERGED, FAILED, IN_SYNC, RELEASED, REMOVED, RESULTS, Outcome
from agent.errors import FetchFailed, RevisionError
from agent.source import Revision, WorkingTree
from agent.status import CRITICAL, FORMAT, OK, WARNING
from modules.api import Change, Drift

MAX_PROBLEMS = 100  # in the status file; the audit trail has them all


@dataclass(frozen=True)
class Report:
    """One pass: why it ran, on which revision, and what each resource came to."""

    host: str
    reason: str  # start, poll, drift, sync, apply
    revision: Revision | WorkingTree
    branch: str
    outcomes: Sequence[Outcome]
    rejection: RevisionError | None
    attempted: str
    started: float  # seconds since the epoch
    seconds: float
    notices: Sequence[str] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many outcomes there are of each result."""
        found = Counter(outcome.result for outcome in self.outcomes)
        return {result: found.get(result, 0) for result in RESULTS}

    @property
    def verdict(self) -> str:
        """OK, WARNING or CRITICAL, as the monitoring-plugin convention has it."""
        if any(outcome.result == FAILED for outcome in self.outcomes):
            return CRITICAL
        if self.rejection is not None or any(outcome.result == BLOCKED or outcome.owed for outcome in self.outcomes):
            return WARNING
        return OK

    @property
    def owed(self) -> list[dict[str, str]]:
        """The refreshes that are left to a person."""
        return [{"id": outcome.id, "text": outcome.owed} for outcome in self.outcomes if outcome.owed]

    @property
    def exit_status(self) -> int:
        """0 converged, 4 some resource failed or is blocked."""
        return 4 if any(outcome.result in (FAILED, BLOCKED) for outcome in self.outcomes) else 0

    @property
    def changed(self) -> bool:
        """Tell whether the pass changed anything."""
        return any(outcome.result in (CONVERGED, REMOVED, RELEASED) for outcome in self.outcomes)


def remarks(outcomes: Sequence[Outcome]) -> list[str]:
    """What an admin should know of resources that are in sync."""
    return [f"{outcome.id}: {outcome.remark}" for outcome in outcomes if outcome.remark]


def summary(counts: Mapping[str, int]) -> str:
    """Say counts in words, leaving out what is zero: `3 converged, 1 failed, 139 in sync`."""
    order = (CONVERGED, REMOVED, RELEASED, FAILED, BLOCKED, IN_SYNC)
    return (
        ", ".join(f"{counts[result]} {result.replace('_', ' ')}" for result in order if counts.get(result)) or "nothing"
    )


def change_to_json(change: Change) -> list[Any]:
    """`[before, after]`."""
    return [change.before, change.after]


def drift_to_json(drift: Drift) -> dict[str, list[Any]]:
    """Every property that differs, `[before, after]`."""
    return {name: change_to_json(change) for name, change in drift.items()}


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """One outcome as events and `--json` show it."""
    return {
        "id": outcome.id,
        "result": outcome.result,
        "cause": outcome.cause,
        "place": outcome.place,
        "drift": drift_to_json(outcome.drift),
        "message": outcome.message,
        "seconds": round(outcome.seconds, 3),
    }


def report_to_json(report: Report) -> dict[str, Any]:
    """One pass as `--json` shows it."""
    return {
        "format": FORMAT,
        "host": report.host,
        "verdict": report.verdict,
        "exit": report.exit_status,
        "reason": report.reason,
        "revision": report.revision.commit,
        "summary": summary(report.counts),
        "counts": report.counts,
        "rejection": str(report.rejection) if report.rejection else "",
        "notices": list(report.notices),
        "owed": report.owed,
        "started": round(report.started, 3),
        "seconds": round(report.seconds, 3),
        "outcomes": [outcome_to_json(outcome) for outcome in report.outcomes if outcome.result != IN_SYNC],
    }


def status_of(report: Report, previous: Mapping[str, Any], limits: Mapping[str, float]) -> dict[str, Any]:
    """Build the status after a pass; `previous` is the status before it, `limits` says when a verdict is stale."""
    now = time.time()
    problems = [outcome for outcome in report.outcomes if outcome.result in (FAILED, BLOCKED)]
    ages = {problem["id"]: problem["since"] for problem in previous.get("problems", ())}
    operation = {
        "result": "failed" if problems else "succeeded",
        "reason": report.reason,
        "at": round(now, 3),
        "seconds": round(report.seconds, 3),
        "summary": summary(report.counts),
    }
    last_change = operation if report.changed else previous.get("last_change")
    return {
        "format": FORMAT,
        "host": report.host,
        "verdict": report.verdict,
        "checked_at": round(now, 3),
        "revision": _revision(report.revision, report.branch),
        "source": _source(report, previous, now),
        "counts": report.counts,
        "problems": [
            {**outcome_to_json(outcome), "since": ages.get(outcome.id, round(now, 3))}
            for outcome in problems[:MAX_PROBLEMS]
        ],
        "operation": operation,
        "last_change": last_change,
        "last_good": report.revision.commit if not problems else previous.get("last_good", ""),
        "notices": list(report.notices),
        "owed": report.owed[:MAX_PROBLEMS],
        "limits": dict(limits),
    }


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
    if report.reason == "drift":  # it does not ask the remote, so it knows nothing new of it
        return dict(before) or {"state": "unknown", "fetched_at": 0, "error": "", "attempted": ""}
    return source_state(before, report.rejection, report.attempted, now)


def source_state(
    before: Mapping[str, Any], rejection: RevisionError | None, attempted: str, now: float
) -> dict[str, Any]:
    """What is known of the remote after asking it: current, failed (no answer), or rejected (an answer that is no good)."""
    if isinstance(rejection, FetchFailed):
        return {"state": "failed", "fetched_at": before.get("fetched_at", 0), "error": str(rejection), "attempted": ""}
    state = "rejected" if rejection else "current"
    return {"state": state, "fetched_at": round(now, 3), "error": str(rejection or ""), "attempted": attempted}
