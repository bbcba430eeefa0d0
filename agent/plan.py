"""Plan: what would be done to reach the desired state, and why; made by looking only."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.catalog import Catalog, Node
from agent.catalog.codec import decode, encode
from agent.store import Entry, Owed
from modules.api import Change, Drift, HostView, Observation, Resource, ResourceError, State, Unsupported

REVISION = "revision"  # Git asks for something else than when it was last applied
DRIFT = "drift"  # Git asks for the same; the host changed


@dataclass(frozen=True)
class Step:
    """One resource of the catalog: what the host shows of it, and how that differs."""

    node: Node
    observed: State
    drift: Drift
    error: ResourceError | None = None  # it could not be observed
    cause: str = REVISION

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


@dataclass(frozen=True)
class Plan:
    """Every step in order, removals after them, and refreshes still owed from before."""

    steps: tuple[Step, ...]
    removals: tuple[Removal, ...]
    owed: tuple[Owed, ...]
    settled: bool  # the inventory is exactly this catalog

    @property
    def pending(self) -> bool:
        """Tell whether applying it would do anything."""
        return bool(self.removals or self.owed or not all(step.in_sync for step in self.steps))


@dataclass(frozen=True)
class Known:
    """What the store remembers that a plan needs."""

    inventory: Callable[[], Mapping[str, Entry]]  # read only when it is needed
    owed: Sequence[Owed]
    settled: bool  # the inventory is exactly this catalog: nothing to prune


def make_plan(catalog: Catalog, host: HostView, known: Known) -> Plan:
    """Observe every resource and compare. Errors of single resources are in their steps."""
    observations = observe(host, [node.resource for node in catalog.nodes])
    steps = tuple(compare(node, seen) for node, seen in zip(catalog.nodes, observations, strict=True))
    removals: tuple[Removal, ...] = ()
    if not known.settled or not all(step.in_sync for step in steps):
        inventory = known.inventory()
        steps = tuple(_with_cause(step, inventory.get(step.node.id)) for step in steps)
        removals = _removals(catalog, inventory, host)
    return Plan(steps, removals, tuple(known.owed), known.settled)


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
    return Step(node, seen, drift_between(node.resource.desired(seen), seen))


def drift_between(desired: State, observed: State) -> Drift:
    """The properties that are wanted and differ."""
    get = observed.get
    return {name: Change(get(name), want) for name, want in desired.items() if want is not None and get(name) != want}


def _with_cause(step: Step, entry: Entry | None) -> Step:
    if step.in_sync or entry is None or entry.pending:
        return step
    same = encoded(step.node.resource) == entry.resource
    return Step(step.node, step.observed, step.drift, step.error, DRIFT) if same else step


def encoded(resource: Resource) -> str:
    """The resource as the inventory keeps it: no content, only digests."""
    return json.dumps(encode(resource, with_data=False), sort_keys=True)


def _removals(catalog: Catalog, inventory: Mapping[str, Entry], host: HostView) -> tuple[Removal, ...]:
    wanted = {node.id for node in catalog.nodes}
    kept = {key for node in catalog.nodes for key in node.resource.provides() if not key.startswith("in:")}
    leaving = sorted((e for e in inventory.values() if e.id not in wanted), key=lambda e: e.position, reverse=True)
    rebuilt = [rebuild(entry) for entry in leaving]
    seen = observe(host, [old for old in rebuilt if old is not None])
    states: Any = iter(seen)
    return tuple(
        _removal(entry, old, next(states) if old is not None else {}, kept)
        for entry, old in zip(leaving, rebuilt, strict=True)
    )


def rebuild(entry: Entry) -> Resource | None:
    """Rebuild the resource of an entry; None when this version no longer knows its kind or fields."""
    try:
        return decode(json.loads(entry.resource))
    except (KeyError, TypeError, ValueError):
        return None  # written by another version; it can be released, not undone


def _removal(entry: Entry, old: Resource | None, seen: Observation, kept: set[str]) -> Removal:
    if old is None:
        return Removal(entry, None, "left as it is: this version of the agent does not know its fields")
    undo = old.undo(entry.prior)
    if kept.intersection(old.provides()):
        return Removal(entry, None, "another resource has taken it over")
    if undo is None:
        return Removal(entry, None, "left as it is: it was there before, or cannot be undone")
    if isinstance(seen, ResourceError):
        gone = isinstance(seen, Unsupported)  # there is nothing left here to remove it with
        return Removal(
            entry, None if gone else undo, f"{'left as it is' if gone else 'left Git, not seen now'}: {seen}"
        )
    changed = _changed_since(entry, old, seen)
    if changed and drift_between(undo.desired(seen), seen):
        return Removal(entry, None, f"left as it is: {', '.join(changed)} was changed since by somebody else")
    restored = entry.prior.get("ensure") == "present"
    how = "put back to what it was before" if restored else f"made by us in {entry.revision[:7]}, unchanged since"
    return Removal(entry, undo, f"left Git; {how}")


def _changed_since(entry: Entry, old: Resource, seen: State) -> list[str]:
    """The properties that Git held and that are neither as it held them nor as we left them."""
    if entry.pending:
        return []  # our own apply was interrupted: how it looks half done says nothing of others
    lasting = drift_between(old.desired(seen), seen).keys() - set(old.runtime)
    return sorted(name for name in lasting if entry.left.get(name) != seen.get(name))
