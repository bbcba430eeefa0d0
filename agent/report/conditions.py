"""Conditions: what is not as it should be, each with a reason from a closed list, and since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.apply import BLOCKED, FAILED, Reason
from agent.errors import FetchFailed, ManifestInvalid, RevisionRejected
from agent.orders import SUSPEND
from agent.report import Report

REASONS: Mapping[str, str] = {  # documented in docs/operations.md
    "FetchFailed": "the remote did not answer; what is in force is still held",
    "ManifestInvalid": "the newest revision says something wrong; the one in force is held",
    "HistoryRefused": "the branch no longer contains the revision in force",
    "VerifyFailed": "a commit is not signed by a key that this host trusts",
    "Refused": "the newest revision is refused for another reason",
    "RolledBack": "a revision proved bad, and the last good one was brought back",
    "Inconsistent": "a revision was rolled back, and some of what it did cannot be undone",
    "Pinned": "a person pinned a revision; newer ones wait",
    "Suspended": "nothing is changed until a person, or the repository, says so",
    "ResourcesFailed": "resources could not be converged",
    "ResourcesBlocked": "resources wait for others that failed",
    "DriftReported": "the host drifted where drift is only reported",
    "Contested": "something else keeps changing what Git holds",
    "PruneBlocked": "removals wait for approval",
    "Interrupted": "a pass ended early: it was stopped, the host suspended, or something newer came while it got nowhere",
    "RefreshOwed": "a restart or reload is left to a person",
    "HealthDegraded": "a check says that something does not do its work",
    "Soaking": "a new revision has to stay healthy before it counts as good",
}


OF_REVISIONS = frozenset(  # why the newest revision is not held
    {"ManifestInvalid", "HistoryRefused", "VerifyFailed", "Refused", "RolledBack", "Pinned"}
)


@dataclass(frozen=True)
class Condition:
    """One of them."""

    reason: str  # one of REASONS
    message: str


def conditions_of(report: Report) -> Iterator[Condition]:
    """Everything that is not as it should be after a pass."""
    if report.rejection is not None:
        yield Condition(_of_rejection(report), str(report.rejection))
    if report.one_way:
        yield Condition("Inconsistent", f"cannot be undone: {', '.join(report.one_way)}")
    if report.held_back:
        yield Condition("Suspended", report.held_back)
    yield from _of_outcomes(report)
    if report.owed:
        yield Condition("RefreshOwed", _listed([item["id"] for item in report.owed]))
    ill = [verdict for verdict in report.health if not verdict.well]
    if ill:
        yield Condition(
            "HealthDegraded", "; ".join(f"{found.id}: {found.message or found.health.value}" for found in ill)
        )
    if report.soak_until:
        yield Condition("Soaking", "it counts as good when it stays healthy until then")


def _of_rejection(report: Report) -> str:
    if isinstance(report.rejection, RevisionRejected):
        return report.rejection.reason if report.rejection.reason in REASONS else "Refused"
    kinds = ((FetchFailed, "FetchFailed"), (ManifestInvalid, "ManifestInvalid"))
    return next((reason for kind, reason in kinds if isinstance(report.rejection, kind)), "Refused")


def _of_outcomes(report: Report) -> Iterator[Condition]:
    named = {FAILED: "ResourcesFailed", BLOCKED: "ResourcesBlocked"}
    for result, reason in named.items():
        ids = [outcome.id for outcome in report.outcomes if outcome.result == result]
        if ids:
            yield Condition(reason, _listed(ids))
    for why in Reason:
        ids = [outcome.id for outcome in report.outcomes if outcome.reason is why]
        if ids and why is not Reason.SUSPENDED:  # which is one of the whole host
            yield Condition(why, _listed(ids))


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")


def with_ages(found: Sequence[Condition], previous: Sequence[Mapping[str, Any]], now: float) -> list[dict[str, Any]]:
    """As the status shows them: each with since when it is so, by what the status said before."""
    before = {known["reason"]: known["since"] for known in previous}
    return [
        {"reason": one.reason, "message": one.message, "since": before.get(one.reason, round(now, 3))} for one in found
    ]


def waiting_for(report: Report) -> str:
    """What the agent waits for before it does more by itself; empty when for nothing."""
    if report.held_back:
        return report.held_back
    if report.orders.get(SUSPEND):
        return ""
    return next((found.message for found in report.outcomes if found.reason is Reason.PRUNE_BLOCKED), "")
