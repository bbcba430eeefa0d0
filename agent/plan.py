"""Plan: what would be done to reach the desired state, and why; made by looking only."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.catalog import CONFIRM, CREATE_ONLY, RELEASE, Catalog, Node, Policy
from agent.catalog.codec import decode
from agent.causes import REVISION, cause_of, was_secret
from agent.started import overlooked
from agent.store import Entry, Origin, Owed
from modules.api import Change, Drift, HostView, Observation, Resource, ResourceError, State, Unsupported

GONE = ("absent", "purged", None)  # what is not there, as `ensure` says it


@dataclass(frozen=True)
class Step:
    """One resource of the catalog: what the host shows of it, and how that differs."""

    node: Node
    observed: State
    drift: Drift
    error: ResourceError | None = None  # it could not be observed
    cause: str = REVISION  # one of agent.causes.CAUSES
    was_secret: bool = False  # what is there now may hold a secret, so it is not shown

    @property
    def in_sync(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self.drift and self.error is None


@dataclass(frozen=True)
class Removal:
    """One thing we own that left Git."""

    entry: Entry
    undo: Resource | None  # what to converge to; None when it is only forgotten
    reason: str  # why it is removed, or why it is left
    confirm: bool = False  # Git said that a person decides about it
    heir: str = ""  # the resource that has taken it over: it inherits what was there before us


@dataclass(frozen=True)
class Plan:
    """Every step in order, removals after them, and refreshes still owed from before."""

    steps: tuple[Step, ...]
    removals: tuple[Removal, ...]
    owed: tuple[Owed, ...]
    withheld: tuple[Owed, ...]  # refreshes that are owed and left to a person
    done: tuple[Owed, ...]  # of these, what somebody has delivered since
    overlooked: tuple[Owed, ...]  # refreshes that no change told of
    settled: bool  # the inventory is exactly this catalog

    @property
    def pending(self) -> bool:
        """Tell whether applying it would do anything."""
        return bool(self.removals or self.owed or self.overlooked or not all(step.in_sync for step in self.steps))


@dataclass(frozen=True)
class Known:
    """What the store remembers that a plan needs."""

    inventory: Callable[[], Mapping[str, Entry]]  # read only when it is needed
    owed: Sequence[Owed]
    settled: bool  # the inventory is exactly this catalog: nothing to prune
    started: Callable[[], Mapping[Origin, str]] = dict  # what each consumer was last started with
    news: Callable[[], str] = lambda: REVISION  # what is new since it all was applied: revision, upgrade or facts


def make_plan(catalog: Catalog, host: HostView, known: Known) -> Plan:
    """Observe every resource and compare. Errors of single resources are in their steps."""
    observations = observe(host, [node.resource for node in catalog.nodes])
    steps = tuple(compare(node, seen) for node, seen in zip(catalog.nodes, observations, strict=True))
    removals: tuple[Removal, ...] = ()
    missed: tuple[Owed, ...] = ()
    if not known.settled or not all(step.in_sync for step in steps):
        inventory = known.inventory()
        news = known.news()
        steps = tuple(_with_cause(step, inventory.get(step.node.id), news) for step in steps)
        removals = _removals(catalog, inventory, host)
        missed = _overlooked(steps, known)
    withheld = [item for item in known.owed if _is_left(item, catalog, settled=known.settled)]
    done = [item for item in withheld if _is_done(item, catalog, host)]
    owed = tuple(item for item in known.owed if item not in withheld)
    left = tuple(item for item in withheld if item not in done)
    return Plan(steps, removals, owed, left, tuple(done), missed, known.settled)


def _overlooked(steps: Sequence[Step], known: Known) -> tuple[Owed, ...]:
    nodes = {step.node.id: step.node for step in steps}
    sound = {step.node.id: step.node.resource for step in steps if step.in_sync}
    owed = {(item.consumer, item.action) for item in known.owed}
    return tuple(item for item in overlooked(nodes, sound, known.started()) if (item.consumer, item.action) not in owed)


def _is_left(item: Owed, catalog: Catalog, *, settled: bool) -> bool:
    """Tell whether a refresh that was withheld still is: a new revision may say otherwise."""
    resource = catalog.resource(item.consumer) if item.withheld else None
    return resource is not None and (settled or bool(resource.withholds(item.action)))


def _is_done(item: Owed, catalog: Catalog, host: HostView) -> bool:
    resource = catalog.resource(item.consumer)
    try:
        return resource is not None and resource.refreshed_since(host, item.action, item.since)
    except ResourceError:
        return False  # what cannot be told stays owed


def observe(host: HostView, resources: Sequence[Resource]) -> list[Observation]:
    """Observe resources of any kinds, each kind at once; one observation for each, in order."""
    by_kind: defaultdict[type[Resource], list[int]] = defaultdict(list)
    for index, resource in enumerate(resources):
        by_kind[type(resource)].append(index)
    found: list[Observation] = [{}] * len(resources)
    for kind, indices in by_kind.items():
        for index, seen in zip(indices, _observe_kind(kind, host, [resources[i] for i in indices]), strict=True):
            found[index] = seen
    return found


def _observe_kind(kind: type[Resource], host: HostView, resources: list[Resource]) -> Sequence[Observation]:
    try:
        return kind.observe_all(host, resources)
    except ResourceError as error:
        return [error] * len(resources)


def compare(node: Node, seen: Observation) -> Step:
    """One step: the observed against the desired."""
    if isinstance(seen, ResourceError):
        return Step(node, {}, {}, seen)
    drift = drift_between(node.resource.desired(seen), seen)
    return Step(node, seen, _heeded(drift, node.policy) if drift and node.policy != Policy() else drift)


def again(step: Step, seen: Observation) -> Step:
    """The same step after another look at the host."""
    return replace(compare(step.node, seen), cause=step.cause, was_secret=step.was_secret)


def _heeded(drift: Drift, policy: Policy) -> Drift:
    """The drift that Git wants to hear of: not of properties that it ignores, nor of what it only wants created."""
    if policy.drift == CREATE_ONLY and ("ensure" not in drift or drift["ensure"].before not in GONE):
        return {}
    return {name: change for name, change in drift.items() if name not in policy.ignore}


def drift_between(desired: State, observed: State) -> Drift:
    """The properties that are wanted and differ."""
    get = observed.get
    return {name: Change(get(name), want) for name, want in desired.items() if want is not None and get(name) != want}


def _with_cause(step: Step, entry: Entry | None, news: str) -> Step:
    if step.in_sync or entry is None:
        return step
    cause = REVISION if entry.pending else cause_of(step.node.resource, entry, news)
    return replace(step, cause=cause, was_secret=was_secret(entry))


def _removals(catalog: Catalog, inventory: Mapping[str, Entry], host: HostView) -> tuple[Removal, ...]:
    wanted = {node.id for node in catalog.nodes}
    kept = {key: node.id for node in catalog.nodes for key in node.resource.provides() if not key.startswith("in:")}
    leaving = sorted((e for e in inventory.values() if e.id not in wanted), key=lambda e: e.position, reverse=True)
    rebuilt = [rebuild(entry) for entry in leaving]
    seen = observe(host, [old for old in rebuilt if old is not None])
    states: Any = iter(seen)
    removals = [
        _removal(entry, old, next(states) if old is not None else {}, kept)
        for entry, old in zip(leaving, rebuilt, strict=True)
    ]
    return tuple(_less_what_bears(list(zip(removals, rebuilt, strict=True)), host))


def _less_what_bears(removals: Sequence[tuple[Removal, Resource | None]], host: HostView) -> Iterator[Removal]:
    """The removals, less of what holds something that is not ours; what holds what waits for a person waits with it."""
    carried = [_carried(removal, old, host) for removal, old in removals]
    going = {path for paths in carried for path in paths}
    waiting: set[str] = set()  # directories that will still hold something of ours
    for (removal, old), paths in zip(removals, carried, strict=True):
        judged = _spared(removal, old, host, going)
        if judged.undo is None:
            going.difference_update(paths)
        elif judged.confirm or not waiting.isdisjoint(paths):
            judged = replace(judged, confirm=True)
            waiting.update(os.path.dirname(path) for path in paths)
        yield judged


def _carried(removal: Removal, old: Resource | None, host: HostView) -> Collection[str]:
    if removal.undo is None or old is None:
        return ()
    try:
        return old.carries(host)
    except ResourceError:
        return ()


def _spared(removal: Removal, old: Resource | None, host: HostView, going: Collection[str]) -> Removal:
    """The removal, or a release when a person would miss what goes with it."""
    if removal.undo is None or old is None:
        return removal
    try:
        missed = old.bears(host, going)
    except ResourceError as error:
        missed = f"what it holds cannot be told: {error}"
    return replace(removal, undo=None, reason=f"left as it is: {missed}") if missed else removal


def rebuild(entry: Entry) -> Resource | None:
    """Rebuild the resource of an entry; None when this version no longer knows its kind or fields."""
    try:
        return decode(json.loads(entry.resource))
    except (KeyError, TypeError, ValueError):
        return None  # written by another version; it can be released, not undone


def _removal(entry: Entry, old: Resource | None, seen: Observation, kept: Mapping[str, str]) -> Removal:
    undo = old.undo(entry.prior) if old is not None else None
    heir = next((kept[key] for key in old.provides() if key in kept), "") if old is not None else ""
    if heir:
        return Removal(entry, None, f"{heir} has taken it over", heir=heir)
    if isinstance(seen, ResourceError) and undo is not None and entry.prune != RELEASE:
        gone = isinstance(seen, Unsupported)  # there is nothing left here to remove it with
        return Removal(
            entry, None if gone else undo, f"{'left as it is' if gone else 'left Git, not seen now'}: {seen}"
        )
    left = _why_left(entry, old, undo, {} if isinstance(seen, ResourceError) else seen)
    if left:
        return Removal(entry, None, f"left as it is: {left}")
    restored = entry.prior.get("ensure") == "present"
    how = "put back to what it was before" if restored else f"made by us in {entry.revision[:7]}, unchanged since"
    return Removal(entry, undo, f"left Git; {how}", confirm=entry.prune == CONFIRM)


def _why_left(entry: Entry, old: Resource | None, undo: Resource | None, seen: State) -> str:
    """Why something that left Git stays; empty when it is to go."""
    if old is None:
        return "this version of the agent does not know its fields"
    if entry.prune == RELEASE:
        return "it is released when it leaves Git (`prune: delete` would remove it)"
    if undo is None:
        return "it was there before, or cannot be undone"
    changed = _changed_since(entry, old, seen)
    if changed and drift_between(undo.desired(seen), seen):
        return f"{', '.join(changed)} was changed since by somebody else"
    return ""


def _changed_since(entry: Entry, old: Resource, seen: State) -> list[str]:
    """The properties that Git held and that are neither as it held them nor as we left them."""
    if entry.pending:
        return []  # our own apply was interrupted: how it looks half done says nothing of others
    lasting = drift_between(old.desired(seen), seen).keys() - set(old.runtime)
    return sorted(name for name in lasting if entry.left.get(name) != seen.get(name))
