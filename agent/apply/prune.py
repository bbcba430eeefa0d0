"""Prune: what left Git leaves the host, if we made it and nobody changed it since."""

from __future__ import annotations

from agent.apply.application import Application, apply_kind
from agent.apply.outcome import BLOCKED, FAILED, RELEASED, REMOVED, Outcome
from agent.catalog import Node
from agent.errors import Place
from agent.plan import compare, drift_between, observe
from modules.api import Resource, ResourceError

MASS_SHARE = 0.5
MASS_COUNT = 5


def prune(application: Application) -> None:
    """Deal with the removals of a plan, in reverse order of the catalog that brought them."""
    removals, owned = application.plan.removals, len(application.inventory)
    for removal in removals:
        if removal.undo is None:
            outcome = Outcome(removal.entry.id, RELEASED, message=removal.reason)
            application.write_down([], [outcome], [removal.entry.id])
            application.tell(outcome)
    undone = [(removal, removal.undo) for removal in removals if removal.undo is not None]
    refused = mass_removal(len(undone), owned) if not application.conduct.removals_confirmed else ""
    for removal, undo in undone:
        if refused:
            application.tell(Outcome(removal.entry.id, BLOCKED, message=refused))
        else:
            _remove(application, removal.entry.id, undo, removal.reason)


def mass_removal(removals: int, owned: int) -> str:
    """Say why a removal of an unusual share of what is owned needs a person; empty when it is usual."""
    if removals <= MASS_COUNT or removals <= owned * MASS_SHARE:
        return ""
    return f"{removals} of {owned} owned resources left Git at once; confirm with `agentctl apply --confirm-removals`"


def _remove(application: Application, name: str, undo: Resource, reason: str) -> None:
    owed = list(application.refreshes.owed_by_removal(name, undo))
    if owed:
        application.store.begin([], owed)
        application.refreshes.note(owed)
    outcome = _converge(application, name, undo, reason)
    gone = [name] if outcome.result == REMOVED else []
    application.write_down([], [outcome], gone)
    application.tell(outcome)


def _converge(application: Application, name: str, undo: Resource, reason: str) -> Outcome:
    seen = observe(application.host, [undo])[0]
    if isinstance(seen, ResourceError):
        return Outcome(name, FAILED, message=str(seen))
    drift = drift_between(undo.desired(seen), seen)
    if not drift:
        return Outcome(name, REMOVED, message="already gone")
    error = apply_kind(application.host, [(undo, drift)])[0]
    after = compare(Node(undo, Place("")), observe(application.host, [undo])[0])
    if error is not None or not after.in_sync:
        message = str(error or after.error or "it is still there after its removal")
        return Outcome(name, FAILED, drift=drift, message=message)
    return Outcome(name, REMOVED, drift=drift, message=reason)
