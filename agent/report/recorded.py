"""What the history keeps of a pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.apply.outcome import BLOCKED, FAILED, PENDING
from agent.desired import ROLLED_BACK
from agent.history import GOOD, OTHER, PassRecord
from agent.history import ROLLED_BACK as BROUGHT_BACK
from agent.report import Report
from agent.status import OK


def record_of(report: Report) -> PassRecord:
    """One pass, with what it left undone and why in its message."""
    left = sorted(outcome.id for outcome in report.outcomes if outcome.result in (FAILED, BLOCKED, PENDING))
    revision = report.revision
    return PassRecord(
        started=report.started,
        seconds=report.seconds,
        reason=report.reason,
        revision=revision.commit,
        verdict=report.verdict,
        counts=report.counts,
        message=str(report.rejection or report.held_back or ", ".join(left)),
        kind=_class_of(report),
        cause=report.cause,
        author=revision.author,
        summary=revision.summary,
    )


def is_news(record: PassRecord, last: Mapping[str, Any] | None) -> bool:
    """Tell whether a pass is worth writing down: it changed something, failed, or came to something else than the last."""
    if record.cause or record.counts[FAILED] or last is None:
        return True
    return (last["verdict"], last["revision"], last["message"]) != (record.verdict, record.revision, record.message)


def _class_of(report: Report) -> str:
    if getattr(report.rejection, "reason", "") == ROLLED_BACK:
        return BROUGHT_BACK
    return GOOD if report.verdict == OK else OTHER
