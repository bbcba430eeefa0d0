"""Apply: the only stage that holds a writable host. Observe again, apply, verify, deliver what is owed.

Before anything is touched the store knows what is about to change and which refreshes that owes, so that a crash between
a change and its restart loses neither.
"""

from __future__ import annotations

from agent.apply.application import Application
from agent.apply.conduct import Author, Conduct, InHand
from agent.apply.outcome import (
    BLOCKED,
    CONVERGED,
    FAILED,
    IN_SYNC,
    RELEASED,
    REMOVED,
    RESULTS,
    Outcome,
    outcome_of,
    owing,
)
from agent.apply.prune import prune
from agent.plan import Plan
from agent.store import Store
from modules.api import Host

__all__ = [
    "BLOCKED", "CONVERGED", "FAILED", "IN_SYNC", "RELEASED", "REMOVED", "RESULTS",
    "Author", "Conduct", "InHand", "Outcome", "apply_plan",
]  # fmt: skip


def apply_plan(plan: Plan, host: Host, store: Store, author: Author, conduct: Conduct) -> list[Outcome]:
    """Apply a plan; one outcome for each step and removal. Errors of single resources are in their outcomes."""
    if plan.settled and not plan.pending and not plan.done:
        return owing([outcome_of(step, IN_SYNC) for step in plan.steps], plan.withheld)
    application = Application(plan, host, store, author, conduct)
    application.converge()
    prune(application)
    if not conduct.stopped():
        application.deliver_rest()
    application.adopt()
    return owing(list(application.outcomes.values()), store.owed())
