"""Outcome: what one step came to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.causes import REVISION
from agent.plan import Step
from agent.store import Owed
from modules.api import Drift, Interrupted, ResourceError

IN_SYNC = "in_sync"
CONVERGED = "converged"
REMOVED = "removed"
RELEASED = "released"
FAILED = "failed"
BLOCKED = "blocked"
PENDING = "pending"
RESULTS = (IN_SYNC, CONVERGED, REMOVED, RELEASED, FAILED, BLOCKED, PENDING)
CHANGED = frozenset({CONVERGED, REMOVED, RELEASED})
SETTLED = CHANGED | {IN_SYNC}


class Reason(StrEnum):
    """Why something is pending; each is a condition of the status (agent.report.conditions)."""

    DRIFT_REPORTED = "DriftReported"
    CONTESTED = "Contested"
    PRUNE_BLOCKED = "PruneBlocked"
    SUSPENDED = "Suspended"
    INTERRUPTED = "Interrupted"


@dataclass(frozen=True)
class Outcome:
    """The result of one step; `message` says why it failed, is blocked, waits for a person, or was refreshed."""

    id: str
    result: str  # one of RESULTS
    place: str = ""
    drift: Drift = field(default_factory=dict)
    cause: str = REVISION
    message: str = ""
    seconds: float = 0.0
    remark: str = ""  # what an admin should know of it though it is in sync
    owed: str = ""  # a refresh that is left to a person
    reason: Reason | None = None  # of what is pending, and of nothing else


def outcome_of(step: Step, result: str, message: str = "", seconds: float = 0.0) -> Outcome:
    """An outcome of a step of the plan."""
    remark = step.node.resource.remark(step.observed) if result == IN_SYNC else ""
    return Outcome(step.node.id, result, str(step.node.place), step.drift, step.cause, message, seconds, remark)


def left(step: Step, reason: Reason, message: str) -> Outcome:
    """The outcome of a step that is not taken, for a reason that is no failure."""
    return replace(outcome_of(step, PENDING, message), reason=reason)


def verdict(step: Step, error: ResourceError | None, now: Step, seconds: float) -> Outcome:
    """Judge an applied step by what is observed now, whatever the tool that applied it said of itself."""
    if isinstance(error, Interrupted) and now.error is None:
        return outcome_of(step, CONVERGED, "", seconds) if now.in_sync else left(step, Reason.INTERRUPTED, str(error))
    if error is not None or now.error is not None:
        return outcome_of(step, FAILED, str(error or now.error), seconds)
    if now.drift:
        still = ", ".join(f"{name} is {change.before!r}, not {change.after!r}" for name, change in now.drift.items())
        return outcome_of(step, FAILED, f"not converged: it was applied without an error, yet {still}", seconds)
    return replace(outcome_of(step, CONVERGED, "", seconds), remark=step.node.resource.remark(now.observed))


def owing(outcomes: Sequence[Outcome], owed: Iterable[Owed]) -> list[Outcome]:
    """The outcomes, those whose refresh is left to a person with what they are owed."""
    left = {
        item.consumer: f"{item.action}, because {item.cause} changed; {item.withheld}" for item in owed if item.withheld
    }
    return [replace(outcome, owed=left[outcome.id]) if outcome.id in left else outcome for outcome in outcomes]
