"""Report: what a pass came to, as values and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.apply import BLOCKED, CONVERGED, FAILED, IN_SYNC, PENDING, RELEASED, REMOVED, RESULTS, Outcome
from agent.apply.outcome import CHANGED
from agent.causes import CAUSES, DRIFT
from agent.desired import PINNED, ROLLED_BACK
from agent.errors import RevisionError
from agent.health import Verdict
from agent.source import Revision, WorkingTree
from agent.status import CRITICAL, FORMAT, OK, WARNING
from modules.api import Change, Drift
from modules.checks import Health


@dataclass(frozen=True)
class Origin:
    """Where revisions come from: the accepted commit, who signed the one in force, and what each remote last said."""

    accepted: str = ""
    signed_by: str = ""
    remotes: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Report:
    """One pass: why it ran, on which revision, and what each resource came to."""

    host: str
    reason: str  # start, poll, drift, sync, apply
    revision: Revision | WorkingTree  # what the host was compared with
    branch: str
    outcomes: Sequence[Outcome]
    rejection: RevisionError | None
    attempted: str
    started: float  # seconds since the epoch
    seconds: float
    health: Sequence[Verdict] = ()
    held_back: str = ""  # why nothing was changed
    orders: Mapping[str, Any] = field(default_factory=dict)  # of people, by kind
    soak_until: int = 0  # seconds since the epoch; 0 when nothing has to prove itself
    retry_at: float = 0  # seconds since the epoch; 0 when nothing is tried again
    in_force: str = ""  # the commit that was last applied: another than `revision` while nothing may be changed
    good: str = ""  # the commit that was last applied and stayed healthy
    one_way: Sequence[str] = ()  # what a revision that was rolled back did and cannot be undone
    overtaken: bool = False  # the remote has a newer revision by now
    notices: Sequence[str] = ()
    origin: Origin = Origin()
    repairs: Mapping[str, Any] = field(default_factory=lambda: {"count": 0, "last_id": "", "last_at": 0})  # of drift

    @property
    def counts(self) -> dict[str, int]:
        """How many outcomes there are of each result."""
        found = Counter(outcome.result for outcome in self.outcomes)
        return {result: found.get(result, 0) for result in RESULTS}

    @property
    def verdict(self) -> str:
        """OK, WARNING or CRITICAL, as the monitoring-plugin convention has it."""
        ill = [verdict for verdict in self.health if not verdict.well]
        degraded = any(verdict.required and verdict.health is Health.DEGRADED for verdict in ill)
        if degraded or any(outcome.result == FAILED for outcome in self.outcomes):
            return CRITICAL
        waiting = any(outcome.result in (BLOCKED, PENDING) for outcome in self.outcomes)
        return WARNING if ill or waiting or self.owed or self.rejection is not None or self.held_back else OK

    @property
    def owed(self) -> list[dict[str, str]]:
        """The refreshes that are left to a person."""
        return [{"id": outcome.id, "text": outcome.owed} for outcome in self.outcomes if outcome.owed]

    @property
    def exit_status(self) -> int:
        """0 converged, 1 the newest revision is refused, 4 something failed, is blocked or pending, or was rolled back."""
        reason = getattr(self.rejection, "reason", "")
        if self.rejection is not None and reason not in (ROLLED_BACK, PINNED):
            return 1
        left = any(outcome.result in (FAILED, BLOCKED, PENDING) for outcome in self.outcomes)
        return 4 if left or reason == ROLLED_BACK else 0

    @property
    def changed(self) -> bool:
        """Tell whether the pass changed anything."""
        return any(outcome.result in CHANGED for outcome in self.outcomes)

    @property
    def cause(self) -> str:
        """Why the pass changed anything: drift only when nothing else did; empty when nothing was changed."""
        causes = {outcome.cause for outcome in self.outcomes if outcome.result in CHANGED}
        return next((cause for cause in CAUSES if cause in causes and cause != DRIFT), DRIFT if causes else "")


def remarks(outcomes: Sequence[Outcome]) -> list[str]:
    """What an admin should know of resources that are in sync."""
    return [f"{outcome.id}: {outcome.remark}" for outcome in outcomes if outcome.remark]


def summary(counts: Mapping[str, int]) -> str:
    """Say counts in words, leaving out what is zero: `3 converged, 1 failed, 139 in sync`."""
    order = (CONVERGED, REMOVED, RELEASED, FAILED, BLOCKED, PENDING, IN_SYNC)
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
        "reason": outcome.reason or "",
        "cause": outcome.cause,
        "place": outcome.place,
        "drift": drift_to_json(outcome.drift),
        "message": outcome.message,
        "seconds": round(outcome.seconds, 3),
    }


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """One check as status and `--json` show it."""
    return {
        "id": verdict.id,
        "health": verdict.health.value,
        "message": verdict.message,
        "required": verdict.required,
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
        "held_back": report.held_back,
        "health": [verdict_to_json(verdict) for verdict in report.health if not verdict.well],
        "notices": list(report.notices),
        "owed": report.owed,
        "started": round(report.started, 3),
        "seconds": round(report.seconds, 3),
        "outcomes": [outcome_to_json(outcome) for outcome in report.outcomes if outcome.result != IN_SYNC],
    }
