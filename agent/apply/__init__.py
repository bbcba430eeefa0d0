"""Apply: the only stage that holds a writable host. Observe again, apply, verify, deliver what is owed.

Before anything is touched the store knows what is about to change and which refreshes that owes, so that a crash between
a change and its restart loses neither.
"""

from __future__ import annotations

from agent.apply.application import Application
from agent.apply.approval import Approval
from agent.apply.conduct import Author, Conduct, InHand
from agent.apply.outcome import (
    BLOCKED,
    CONVERGED,
    FAILED,
    IN_SYNC,
    PENDING,
    RELEASED,
    REMOVED,
    RESULTS,
    Outcome,
    Reason,
    left,
    outcome_of,
    owing,
)
from agent.apply.prune import note_owned, prune
from agent.plan import Plan, Step
from agent.store import Store
from modules.api import Host

__all__ = [
    "BLOCKED", "CONVERGED", "FAILED", "IN_SYNC", "PENDING", "RELEASED", "REMOVED", "RESULTS",
    "Approval", "Author", "Conduct", "InHand", "Outcome", "Reason", "apply_plan",
]  # fmt: skip


def apply_plan(plan: Plan, host: Host, store: Store, author: Author, conduct: Conduct) -> list[Outcome]:
    """Apply a plan; one outcome for each step and removal. Errors of single resources are in their outcomes."""
    if plan.settled and not plan.pending and not plan.done:
        return owing([outcome_of(step, IN_SYNC) for step in plan.steps], plan.withheld)
    if conduct.held_back:
        return _told(plan, conduct)
    application = Application(plan, host, store, author, conduct)
    application.converge()
    prune(application)
    if not application.book.interruption:
        application.deliver_rest()
    application.book.close()
    application.adopt()
    note_owned(plan, application.outcomes, store)
    store.history.trim()
    return owing(list(application.outcomes.values()), store.owed())


def _told(plan: Plan, conduct: Conduct) -> list[Outcome]:
    """What would be done, where nothing may be: each difference is pending."""
    outcomes = [_told_step(step, conduct.held_back) for step in plan.steps]
    outcomes += [
        Outcome(removal.entry.id, PENDING, message=conduct.held_back, reason=Reason.SUSPENDED)
        for removal in plan.removals
    ]
    for outcome in outcomes:
        if outcome.result != IN_SYNC:
            conduct.tell(outcome)
    return owing(outcomes, plan.withheld)


def _told_step(step: Step, held_back: str) -> Outcome:
    if step.error is not None:
        return outcome_of(step, FAILED, str(step.error))
    return outcome_of(step, IN_SYNC) if step.in_sync else left(step, Reason.SUSPENDED, held_back)
