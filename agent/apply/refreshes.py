"""Owed refreshes: written before the change that causes them, cleared after they succeeded."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent.catalog import Node
from agent.plan import Plan, Removal, Step
from agent.started import origins, started_with
from agent.store import Entry, Origin, Owed, Store
from modules.api import Resource

HOST = "host"  # the consumer of host-wide refreshes
ACTIONS = ("restart", "reload")  # a restart makes a reload needless

Key = tuple[str, str]  # consumer, action


class Consumers:
    """Who asks to be refreshed when what changes."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._by_cause: defaultdict[str, list[Key]] = defaultdict(list)
        self._by_text: defaultdict[str, list[Key]] = defaultdict(list)
        for node in nodes:
            for action, causes in (node.refresh or {}).items():
                for cause in causes:
                    self._by_cause[cause].append((node.id, action))
            for cause in node.resource.text_of():
                self._by_text[cause].append((node.id, node.resource.own_refresh))

    def of_change(self, step: Step) -> list[Owed]:
        """List what closing the drift of a step owes, each once."""
        return list(dict.fromkeys([*self.of(step.node), *self.of_text(step)]))

    def of(self, node: Node) -> Iterator[Owed]:
        """List what a change of this node owes."""
        for consumer, action in self._by_cause.get(node.id, ()):
            yield Owed(consumer, action, node.id)
        for name in node.resource.host_refreshes():
            yield Owed(HOST, name, node.id)

    def of_text(self, step: Step) -> Iterator[Owed]:
        """List what a change of a resource's text owes to itself, and to others that have that text."""
        if not set(step.drift).isdisjoint(step.node.resource.refreshed_for):
            yield from (Owed(*key, step.node.id) for key in self._by_text[step.node.id])

    def of_removal(self, name: str, undo: Resource) -> Iterator[Owed]:
        """List what the removal of a resource that left Git owes: its consumers know it by pattern only."""
        for node in self._nodes:
            for action, patterns in node.resource.refresh_on().items():
                if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                    yield Owed(node.id, action, name)
        for refresh in undo.host_refreshes():
            yield Owed(HOST, refresh, name)


class Refreshes:
    """What is owed to whom, in the store and here."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._store = store
        self._known = {step.node.id for step in plan.steps} | {HOST}
        self._causes: defaultdict[Key, set[str]] = defaultdict(set)
        self._note(plan.owed)
        self.consumers = Consumers([step.node for step in plan.steps])

    def owe(self, items: Iterable[Owed], entries: Sequence[Entry] = ()) -> list[Owed]:
        """Write, before anything is touched, what is about to change and what that owes; the items that are new."""
        new = [item for item in items if item.cause not in self._causes.get((item.consumer, item.action), ())]
        if new or entries:
            self._store.begin(entries, new)
        self._note(new)
        return new

    def owed_by_removals(self, removals: Iterable[Removal]) -> set[str]:
        """Name the consumers of what is removed at the end of the pass: one refresh then is enough for all causes."""
        undone = [(removal.entry.id, removal.undo) for removal in removals if removal.undo is not None]
        return {item.consumer for name, undo in undone for item in self.consumers.of_removal(name, undo)}

    def take_back(self, items: Iterable[Owed]) -> None:
        """Take back what was newly owed for a change that did not happen."""
        for item in items:
            self._causes[item.consumer, item.action].discard(item.cause)
        self.delivered([key for key, causes in self._causes.items() if not causes])

    def due(self, consumer: str) -> dict[str, list[str]]:
        """What a consumer is owed: its actions, the strongest first, each with its causes."""
        keys = [(consumer, action) for action in ACTIONS if self._causes.get((consumer, action))]
        return {key[1]: sorted(self._causes[key]) for key in keys}

    def due_to_host(self) -> list[str]:
        """The host-wide refreshes that are owed."""
        return [action for (consumer, action), causes in self._causes.items() if consumer == HOST and causes]

    def delivered(self, keys: Iterable[Key], started: Mapping[Origin, str] | None = None) -> None:
        """Clear refreshes that succeeded or are no longer due, and note what their consumers are started with."""
        gone = [key for key in keys if key in self._causes]
        for key in gone:
            del self._causes[key]
        if gone:
            self._store.delivered([Owed(consumer, action, "") for consumer, action in gone], started)

    def withhold(self, keys: Iterable[Key], why: str) -> None:
        """Leave refreshes to a person."""
        left = [key for key in keys if key in self._causes]
        for key in left:
            del self._causes[key]
        self._store.withhold([Owed(consumer, action, "", withheld=why) for consumer, action in left])

    def note_started(self, nodes: Iterable[Node], sound: Mapping[str, Resource]) -> None:
        """Note what consumers that are owed nothing were last started with; nothing is written if it is known.

        What is known of one that left Git is kept: it may run on, and be back when its files are others.
        """
        owed, known = {item.consumer for item in self._store.owed()}, self._store.started()
        now: dict[Origin, str] = {}
        asking: dict[str, set[Origin]] = {}
        for node in nodes:
            asking[node.id] = set(origins(node))
            if node.id not in owed:
                now |= started_with(node, sound)
        new = {origin: digest for origin, digest in now.items() if known.get(origin) != digest}
        gone = [origin for origin in known if origin not in asking.get(origin[0], (origin,))]
        if new or gone:
            self._store.delivered((), new, gone)

    def drop_strangers(self) -> None:
        """Drop what is owed to resources that left Git."""
        self.delivered([key for key in self._causes if key[0] not in self._known])

    def _note(self, owed: Iterable[Owed]) -> None:
        for item in owed:
            self._causes[item.consumer, item.action].add(item.cause)
