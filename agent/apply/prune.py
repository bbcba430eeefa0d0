"""Prune: what left Git leaves the host, if we made it and nobody changed it since."""

from __future__ import annotations

from dataclasses import replace

from agent.apply.application import Application, apply_kind
from agent.apply.outcome import BLOCKED, FAILED, PENDING, RELEASED, REMOVED, Outcome
from agent.catalog import Node
from agent.errors import Place
from agent.plan import Removal, Step, compare, observe
from agent.store import Entry
from modules.api import Resource, Unrestorable


def prune(application: Application) -> None:
    """Deal with the removals of a plan, in reverse order of the catalog that brought them."""
    removals, owned = application.plan.removals, len(application.inventory)
    undone = [removal for removal in removals if removal.undo is not None]
    waits = application.conduct.removals.waits(undone, owned)
    unusual = application.conduct.removals.unusual(undone, owned)
    for removal in removals:
        if application.conduct.stopped():
            application.tell(Outcome(removal.entry.id, BLOCKED, message="the pass was stopped before it"))
        elif removal.undo is None:
            _release(application, removal)
        elif waits and (unusual or removal.confirm):
            application.tell(Outcome(removal.entry.id, PENDING, message=waits))
        else:
            _remove(application, removal.entry, removal.undo, removal.reason)


def _release(application: Application, removal: Removal) -> None:
    outcome = Outcome(removal.entry.id, RELEASED, message=removal.reason)
    application.write_down([], [outcome], [outcome.id])
    application.tell(outcome)


def _remove(application: Application, entry: Entry, undo: Resource, reason: str) -> None:
    before = _look(application, undo)
    error = application.stuck.get(entry.id) or before.error
    kept: list[Entry] = []
    if error is not None:
        outcome = Outcome(entry.id, FAILED, message=str(error))
    elif before.in_sync:
        outcome = Outcome(entry.id, REMOVED, message="already gone")
    else:
        outcome, kept = _converge(application, entry, before, reason)
    gone = [entry.id] if outcome.result in (REMOVED, RELEASED) else []
    application.write_down(kept, [outcome], gone)
    application.tell(outcome)


def _converge(application: Application, entry: Entry, before: Step, reason: str) -> tuple[Outcome, list[Entry]]:
    """Undo one resource; its outcome, and its entry as it was before when nothing happened."""
    undo = before.node.resource
    owed = application.refreshes.consumers.of_removal(entry.id, undo)
    new = application.refreshes.owe(owed, [replace(entry, pending=True)])
    error = apply_kind(application.host, [(undo, before.drift)])[0]
    after = _look(application, undo)
    if isinstance(error, Unrestorable):
        application.refreshes.take_back(new)
        return Outcome(entry.id, RELEASED, message=f"left as it is: {error}"), []
    if error is None and after.in_sync:
        return Outcome(entry.id, REMOVED, drift=before.drift, message=reason), []
    message = str(error or after.error or "it is still there after its removal")
    outcome = Outcome(entry.id, FAILED, drift=before.drift, message=message)
    if after.error is not None or dict(after.observed) != dict(before.observed):
        return outcome, []
    application.refreshes.take_back(new)
    return outcome, [entry]


def _look(application: Application, undo: Resource) -> Step:
    return compare(Node(undo, Place("")), observe(application.host, [undo])[0])
