"""Owed refreshes: written before the change that causes them, cleared after they succeeded."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Iterator

from agent.catalog import Node
from agent.plan import Plan
from agent.store import Owed, Store
from modules.api import Resource

HOST = "host"  # the consumer of host-wide refreshes
ACTIONS = ("restart", "reload")  # a restart makes a reload needless

Key = tuple[str, str]  # consumer, action


class Refreshes:
    """What is owed to whom, in the store and here."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._store = store
        self._nodes = [step.node for step in plan.steps]
        self._causes: defaultdict[Key, set[str]] = defaultdict(set)
        self.note(plan.owed)
        self._consumers: defaultdict[str, list[Key]] = defaultdict(list)
        for node in self._nodes:
            for action, causes in (node.refresh or {}).items():
                for cause in causes:
                    self._consumers[cause].append((node.id, action))

    def owed_by(self, node: Node) -> Iterator[Owed]:
        """List what a change of this node owes."""
        for consumer, action in self._consumers[node.id]:
            yield Owed(consumer, action, node.id)
        for name in node.resource.host_refreshes():
            yield Owed(HOST, name, node.id)

    def owed_by_removal(self, name: str, undo: Resource) -> Iterator[Owed]:
        """List what the removal of a resource that left Git owes: its consumers know it by pattern only."""
        for node in self._nodes:
            for action, patterns in node.resource.refresh_on().items():
                if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                    yield Owed(node.id, action, name)
        for refresh in undo.host_refreshes():
            yield Owed(HOST, refresh, name)

    def note(self, owed: Iterable[Owed]) -> None:
        """Take in what the store now holds as owed."""
        for item in owed:
            self._causes[item.consumer, item.action].add(item.cause)

    def take_back(self, cause: str) -> None:
        """Take back what a change owed that did not happen."""
        for causes in self._causes.values():
            causes.discard(cause)
        self.delivered([key for key, causes in self._causes.items() if not causes])

    def due(self, consumer: str) -> dict[str, list[str]]:
        """What a consumer is owed: its actions, the strongest first, each with its causes."""
        keys = [(consumer, action) for action in ACTIONS if self._causes.get((consumer, action))]
        return {key[1]: sorted(self._causes[key]) for key in keys}

    def due_to_host(self) -> list[str]:
        """The host-wide refreshes that are owed."""
        return [action for (consumer, action), causes in self._causes.items() if consumer == HOST and causes]

    def delivered(self, keys: Iterable[Key]) -> None:
        """Clear refreshes that succeeded or are no longer due."""
        gone = [key for key in keys if key in self._causes]
        for key in gone:
            del self._causes[key]
        self._store.delivered([Owed(consumer, action, "") for consumer, action in gone])

    def drop_strangers(self) -> None:
        """Drop what is owed to resources that left Git."""
        known = {node.id for node in self._nodes} | {HOST}
        self.delivered([key for key in self._causes if key[0] not in known])
