"""Prune: what left Git leaves the host, if we made it and nobody changed it since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from types import NoneType

from agent.apply.application import Application
from agent.apply.batches import apply_kind
from agent.apply.outcome import FAILED, PENDING, RELEASED, REMOVED, Outcome, Reason
from agent.catalog import Node
from agent.errors import Place
from agent.plan import Plan, Removal, Step, compare, observe
from agent.store import Entry, Store
from modules.api import Interrupted, ResourceError, Unrestorable

OWNED = "owned"  # in the database: how much was owned when last nothing was left to be removed, and what went since


def note_owned(plan: Plan, outcomes: Mapping[str, Outcome], store: Store) -> None:
    """Note how much is owned, unless something is left to be removed."""
    if all(outcomes[removal.entry.id].result in (REMOVED, RELEASED) for removal in plan.removals):
        store.remember(**{OWNED: f"{store.count_owned()} 0"})


def carry_over(store: Store, before: str, removed: int) -> None:
    """Count what a revision has removed with what its rollback will: it has no budget of its own. `before` is what was noted."""
    owned = before.partition(" ")[0] or str(store.count_owned() + removed)
    store.remember(**{OWNED: f"{owned} {removed}"})


def _budget(store: Store, owned: int) -> tuple[int, int]:
    """Of how much removals are a share, and how many went before: what came since must not hide what goes."""
    known, spent = map(int, (store.recall(OWNED) or f"{owned} 0").split())
    return min(owned + spent, known), spent


def prune(application: Application) -> None:
    """Deal with the removals of a plan, in reverse order of the catalog that brought them."""
    removals = application.plan.removals
    budget = _budget(application.store, len(application.inventory))
    undone = [removal for removal in removals if removal.undo is not None]
    waits = application.conduct.removals.waits(undone, *budget)
    unusual = application.conduct.removals.unusual(undone, *budget)

    def alike(removal: Removal) -> tuple[type, bool]:
        return type(removal.undo), bool(waits) and (unusual or removal.confirm)

    for (kind, waiting), group in groupby(removals, alike):
        together = list(group)
        if why := application.book.interruption:
            for removal in together:
                application.book.leave(_left(removal, Reason.INTERRUPTED, f"not begun: {why}"))
        elif kind is NoneType:
            _release(application, together)
        elif waiting:
            for removal in together:
                application.book.tell(_left(removal, Reason.PRUNE_BLOCKED, waits))
        else:
            _remove(application, together)


def _left(removal: Removal, reason: Reason, why: str) -> Outcome:
    return Outcome(removal.entry.id, PENDING, message=why, reason=reason)


def _release(application: Application, removals: Sequence[Removal]) -> None:
    for removal in removals:
        outcome = Outcome(removal.entry.id, RELEASED, message=removal.reason)
        application.book.write_down([], [outcome], [outcome.id])
        application.book.tell(outcome)


def _remove(application: Application, removals: Sequence[Removal]) -> None:
    """Undo resources of one kind together: they share a transaction, or one daemon-reload."""
    outcomes: dict[str, Outcome] = {}
    differing: list[tuple[Removal, Step]] = []
    for removal, before in zip(removals, _look(application, removals), strict=True):
        error = application.stuck.get(removal.entry.id) or before.error
        if error is not None:
            outcomes[removal.entry.id] = Outcome(removal.entry.id, FAILED, message=str(error))
        elif before.in_sync:
            outcomes[removal.entry.id] = Outcome(removal.entry.id, REMOVED, message="already gone")
        else:
            differing.append((removal, before))
    converged, kept = _converge(application, differing) if differing else ({}, [])
    outcomes |= converged
    gone = [name for name, outcome in outcomes.items() if outcome.result in (REMOVED, RELEASED)]
    application.book.write_down(kept, [outcomes[removal.entry.id] for removal in removals], gone)
    for removal in removals:
        application.book.tell(outcomes[removal.entry.id])


def _converge(
    application: Application, removals: Sequence[tuple[Removal, Step]]
) -> tuple[dict[str, Outcome], list[Entry]]:
    """Undo resources that differ; the outcome of each, and the entries of those to which nothing happened."""
    consumers = application.refreshes.consumers
    owed = [item for removal, was in removals for item in consumers.of_removal(removal.entry.id, was.node.resource)]
    new = application.refreshes.owe(owed, [replace(removal.entry, pending=True) for removal, _ in removals])
    errors = apply_kind(application.host, [(was.node.resource, was.drift) for _, was in removals])
    outcomes, kept = {}, []
    again = _look(application, [removal for removal, _ in removals])
    for (removal, was), error, now in zip(removals, errors, again, strict=True):
        outcome = _verdict(removal, was, error, now)
        if outcome.result in (FAILED, PENDING) and now.error is None and dict(now.observed) == dict(was.observed):
            kept.append(removal.entry)
        outcomes[outcome.id] = outcome
    untouched = {entry.id for entry in kept} | {name for name in outcomes if outcomes[name].result == RELEASED}
    application.refreshes.take_back([item for item in new if item.cause in untouched])
    return outcomes, kept


def _verdict(removal: Removal, was: Step, error: ResourceError | None, now: Step) -> Outcome:
    if isinstance(error, Unrestorable):
        return Outcome(removal.entry.id, RELEASED, message=f"left as it is: {error}")
    if now.in_sync and (error is None or isinstance(error, Interrupted)):
        return Outcome(removal.entry.id, REMOVED, drift=was.drift, message=removal.reason)
    if isinstance(error, Interrupted) and now.error is None:
        return replace(_left(removal, Reason.INTERRUPTED, str(error)), drift=was.drift)
    message = str(error or now.error or "it is still there after its removal")
    return Outcome(removal.entry.id, FAILED, drift=was.drift, message=message)


def _look(application: Application, removals: Sequence[Removal]) -> list[Step]:
    undone = [removal.undo for removal in removals if removal.undo is not None]
    seen = observe(application.host, undone)
    return [compare(Node(undo, Place("")), now) for undo, now in zip(undone, seen, strict=True)]
