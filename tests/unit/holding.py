"""A host in a directory, held by the whole pipeline to what a repository in memory says: the fourfold of every parameter."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from agent.apply import Conduct, Outcome
from agent.catalog.cache import Cache, Compiled
from agent.desired import Desired, compile_tree
from agent.host import LocalHost, LocalView
from agent.host.ledger import Ledger
from agent.plan import Plan, Step
from agent.reconcile import Care, plan_desired, reconcile
from agent.secrets import unopened
from agent.source import Tree
from agent.store import Store
from tests.unit.memory import Link, MemoryTree

Resources = Iterable[Mapping[str, Any]]


class Holding:
    """A root, the agent's state beside it, and what is held now."""

    def __init__(self, root: Path, state: Path, files: Mapping[str, str | bytes | Link] | None = None) -> None:
        self.root, self.state, self.files = root, state, dict(files or {})
        state.mkdir(mode=0o700, exist_ok=True)
        self.notices: list[str] = []

    def desired(self, resources: Resources) -> Desired:
        documents = {"fleet.yaml": "format: 1\n", "hosts/h.json": json.dumps({"resources": list(resources)})}
        tree = MemoryTree({**self.files, **documents})
        return Desired(self.compiled(tree), tree, self.compiled)  # type: ignore[arg-type]  # it stands for a revision

    def compiled(self, tree: Tree, *, cached: bool = True) -> Compiled:
        """Compile as a pass does: from the cache where that is good enough."""
        cache = Cache(str(self.state / "catalog.json"), writable=True) if cached else Cache()
        return compile_tree(tree, "h", cache, unopened)

    def plan(self, resources: Resources) -> Plan:
        """What `agentctl plan` would show; nothing may be written meanwhile."""
        desired = self.desired(resources)
        store = Store(str(self.state), writable=False)
        try:
            return plan_desired(desired, LocalView(str(self.root), desired.read), store)
        finally:
            store.close()

    def apply(self, resources: Resources, ledger: Ledger | None = None, **conduct: Any) -> list[Outcome]:
        """What `agentctl apply` would do."""
        desired = self.desired(resources)
        store = Store(str(self.state), writable=True)
        try:
            host = LocalHost(str(self.root), desired.read, ledger=ledger, state_dir=str(self.state))
            outcomes = list(reconcile(desired, host, store, Conduct(**conduct), Care()).outcomes)
            self.notices += host.notices
            return outcomes
        finally:
            store.close()

    def changes(self) -> list[tuple[Any, ...]]:
        """The audit trail, as it is stored."""
        database = sqlite3.connect(self.state / "state.db")
        try:
            return database.execute("SELECT * FROM changes").fetchall()
        finally:
            database.close()

    def converged(self, resources: Resources) -> list[str]:
        """Apply; the ids of what was changed. Whatever did not go well is an error here."""
        outcomes = self.apply(resources)
        assert not [outcome for outcome in outcomes if outcome.result in ("failed", "blocked")], outcomes
        return [outcome.id for outcome in outcomes if outcome.result != "in_sync"]

    def fourfold(self, resources: Resources, check: Callable[[], object], drift: Callable[[], object]) -> Step:
        """The plan shows it, apply does it, a second does nothing, the plan is empty; and drift by hand comes back.

        Returns the last step of the plan of that drift that is not in sync.
        """
        resources = list(resources)
        planned = self.plan(resources)
        assert planned.pending, "the plan shows it"
        shown = [step.node.id for step in planned.steps if not step.in_sync]
        assert sorted(self.converged(resources)) == sorted(shown), "what was planned was done"
        check()
        assert self.converged(resources) == [], "a second apply does nothing"
        assert not self.plan(resources).pending
        drift()
        again = self.plan(resources)
        steps = [step for step in again.steps if not step.in_sync]
        assert steps, "the plan shows the drift"
        assert {step.cause for step in steps} == {"drift"}
        assert sorted(self.converged(resources)) == sorted(step.node.id for step in steps)
        check()
        assert not self.plan(resources).pending
        return steps[-1]
