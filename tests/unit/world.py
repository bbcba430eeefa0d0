"""A small world: a host in memory, a store on disk, and passes over what a repository in memory says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from agent.apply import Conduct, Outcome
from agent.catalog.cache import Cache, Compiled
from agent.desired import Desired, compile_tree
from agent.plan import Plan
from agent.reconcile import Care, WatchedHost, plan_desired, reconcile
from agent.secrets import unopened
from agent.source import Revision, Tree
from agent.store import Entry, Store
from modules.api import Completed
from tests.unit.fake_apt import FakeApt
from tests.unit.fake_engine import FakeEngine
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import FakeSystemd
from tests.unit.memory import MemoryTree

NAME = "web-01"
WRITING = (  # a power cut before what only reads is the same as one before the next of these
    "begin", "finish", "delivered", "withhold", "remember",
    "stage", "discard", "publish", "set_owner", "set_mode", "make_directory", "make_symlink", "unlink", "remove_directory",
    "sweep", "run", "run_job", "run_detached",
)  # fmt: skip


class PowerCut(BaseException):
    """The agent dies here."""


class Fuse:
    """Counts changes of what it is put before, and cuts the power before one of them (counted from 1; 0 for none)."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.calls = at, 0

    def burn(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise PowerCut

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def fused(*arguments: Any, **named: Any) -> Any:
            self.burn()
            return call(*arguments, **named)

        return fused


class Fused:
    """Something whose every method that changes anything burns the fuse first."""

    def __init__(self, target: Any, fuse: Fuse) -> None:
        self._target, self._fuse = target, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name in ("files", "engine"):
            return Fused(found, self._fuse)
        return self._fuse.before(found) if name in WRITING else found


@cache
def desired(resources: str) -> Desired:
    """What is to be held; `resources` is the YAML of the host's list."""
    tree = MemoryTree({"fleet.yaml": "format: 1\n", f"hosts/{NAME}.yaml": f"resources:\n{resources}"})
    tree.commit = hashlib.sha1(resources.encode()).hexdigest()

    def compiler(tree: Tree, *, cached: bool = True) -> Compiled:
        return compile_tree(tree, NAME, Cache(), unopened)

    return Desired(compiler(tree), cast("Revision", tree), compiler)


class World:
    """One host, and one pass after another on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host = FakeHost()
        self.apt = FakeApt(self.host)
        self.systemd = FakeSystemd(self.host)
        self.engine = FakeEngine("app:1", "app:2")
        self.told: list[Outcome] = []
        self.outcomes: list[Outcome] = []  # of the last pass

    def run(self, resources: str, conduct: Conduct | None = None, fuse: Fuse | None = None) -> dict[str, str]:
        """One pass; the result of each outcome by id, in order. `told` has the outcomes themselves."""
        host: Any = self.host if fuse is None else Fused(self.host, fuse)
        self.told = []
        given = conduct or Conduct()
        conduct = replace(given, tell=self._tell(given))
        with self.store() as store:
            used: Any = store if fuse is None else Fused(store, fuse)
            self.outcomes = list(
                reconcile(desired(resources), cast("WatchedHost", host), used, conduct, Care()).outcomes
            )
        return {outcome.id: outcome.result for outcome in self.outcomes}

    def _tell(self, given: Conduct) -> Callable[[Outcome], None]:
        def tell(outcome: Outcome) -> None:
            self.told.append(outcome)
            given.tell(outcome)

        return tell

    def plan(self, resources: str) -> Plan:
        with self.store(writable=False) as store:
            return plan_desired(desired(resources), self.host, store)

    def store(self, *, writable: bool = True) -> Store:
        return Store(str(self.directory), writable=writable)

    def inventory(self) -> dict[str, Entry]:
        with self.store(writable=False) as store:
            return store.inventory()

    def owed(self) -> list[tuple[str, str, str]]:
        with self.store(writable=False) as store:
            return [(owed.consumer, owed.action, owed.cause) for owed in store.owed()]

    def trail(self, name: str = "") -> list[str]:
        """Results in the audit trail, the oldest first."""
        with self.store(writable=False) as store:
            return [str(line["result"]) for line in reversed(store.history.changes(name))]

    def message(self, name: str) -> str:
        return next(outcome.message for outcome in reversed(self.told) if outcome.id == name)

    def read(self, path: str) -> str:
        return self.host.files.read(path).decode()

    def has(self, path: str) -> bool:
        return path in self.host.files.entries

    def fail(self, program: str, word: str) -> Callable[[], None]:
        """Let a program fail whenever it is given a word; what is returned mends it."""
        whole = self.host.programs[program]

        def failing(words: Sequence[str]) -> Completed:
            return Completed(1, "", "broken") if word in words else whole(words)

        self.host.programs[program] = failing
        return lambda: self.host.programs.update({program: whole})


def file(path: str, content: str = "x", **fields: str) -> str:
    """One file in YAML."""
    return f"  - file: {path}\n    content: {content}\n" + "".join(
        f"    {name}: {value}\n" for name, value in fields.items()
    )


def unit(name: str, **fields: str) -> str:
    """One running unit in YAML."""
    return f"  - unit: {name}\n    active: true\n" + "".join(f"    {key}: {value}\n" for key, value in fields.items())
