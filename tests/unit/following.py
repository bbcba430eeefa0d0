"""A host in memory that follows a branch in memory, pass after pass, and a clock that only moves when it is told to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from agent.apply import Conduct
from agent.catalog.cache import Cache, Compiled
from agent.desired import Desired, compile_tree, desired_by_itself, newest_desired, refuse
from agent.errors import FetchFailed
from agent.health import Timing, Verdict
from agent.reconcile import Care, Means, Result, WatchedHost, hold
from agent.secrets import unopened
from agent.source import Revision, Source, Tree
from agent.source.floor import Floor
from agent.store import Store
from tests.unit.memory import MemoryTree
from tests.unit.world import NAME, World

CHECK = "http: http://localhost/\n"
URL = "http://localhost/"
AT_ONCE = Timing(0.0, 0.0)


class Branch:
    """A source (agent.source.Source): commits in memory, the last of them the newest."""

    def __init__(self) -> None:
        self.commits: dict[str, MemoryTree] = {}
        self.reachable = True

    def push(self, resources: str, checks: Sequence[str] = (), note: str = "", suspend: str = "") -> str:
        """Commit what the host shall be; its id. `note` makes it another commit that asks for the same."""
        listed = "".join(f"  - {check}" for check in checks)
        document = f"resources:\n{resources}" + (f"checks:\n{listed}" if checks else "") + suspend
        tree = MemoryTree({"fleet.yaml": "format: 1\n", f"hosts/{NAME}.yaml": document, "README": note})
        tree.commit = hashlib.sha1(f"{document}{note}".encode()).hexdigest()
        self.commits.pop(tree.commit, None)
        self.commits[tree.commit] = tree
        return tree.commit

    def fetch(self, _in_force: str | None) -> MemoryTree:
        if not self.reachable:
            raise FetchFailed("nobody answers")
        return list(self.commits.values())[-1]

    def revision(self, commit: str) -> MemoryTree:
        return self.commits[commit]


def compiler(tree: Tree, *, cached: bool = True) -> Compiled:
    return compile_tree(tree, NAME, Cache(), unopened)


@dataclass
class Following:
    """The host, and one pass after another on it; each reads its state from disk, as after a restart."""

    directory: Path
    care: Care = field(default_factory=lambda: Care(AT_ONCE, rollback="health"))
    now: float = 1_800_000_000.0

    def __post_init__(self) -> None:
        self.world, self.branch = World(self.directory), Branch()
        self.host = self.world.host
        self.host.answers[URL] = (200, "ok")

    def store(self, *, writable: bool = True) -> Store:
        return Store(str(self.directory), writable=writable)

    def poll(self, **conduct: Any) -> Result:
        """A pass that asks the remote."""
        with self.store() as store:
            return self._hold(
                newest_desired(self._source, self._floor(store), store, compiler), store, Conduct(**conduct)
            )

    def look(self, **conduct: Any) -> Result:
        """A pass that does not."""
        with self.store() as store:
            return self._hold(
                desired_by_itself(self._source, self._floor(store), store, compiler), store, Conduct(**conduct)
            )

    def _hold(self, desired: Desired, store: Store, conduct: Conduct) -> Result:
        host = cast("WatchedHost", self.host)
        result = hold(desired, host, self._source, store, Means(conduct, self.care))
        held = result.desired
        refuse(store, held.rejection, held.attempted or held.revision.commit)
        return result

    def _floor(self, store: Store) -> Floor:
        return Floor(store, str(self.directory / "floor.json"), {}, writable=True)

    @property
    def _source(self) -> Source:
        return cast("Source", self.branch)

    def with_care(self, **fields: Any) -> None:
        self.care = replace(self.care, **fields)

    def recall(self, name: str) -> str:
        with self.store(writable=False) as store:
            return store.recall(name)

    @property
    def good(self) -> str:
        return (self.recall("good").split() or [""])[0]

    def answers_well(self, well: bool) -> None:
        self.host.answers[URL] = (200 if well else 503, "ok")


def commit_of(result: Result) -> str:
    return cast("Revision", result.desired.revision).commit


def reason_of(result: Result) -> str:
    return getattr(result.desired.rejection, "reason", "")


def verdict(result: Result, name: str = f"http:{URL}") -> Verdict:
    return next(found for found in result.health if found.id == name)


def results(result: Result) -> dict[str, str]:
    return {outcome.id: outcome.result for outcome in result.outcomes}


def break_when(following: Following, text: str) -> None:
    """The service answers badly as long as its file says something."""
    host, answers = following.host, following.host.answers

    def http(url: str, timeout_seconds: float) -> tuple[int, str]:
        bad = host.files.read("/etc/a").decode() == text if "/etc/a" in host.files.entries else False
        return (503, "") if bad else answers[url]

    host.http = http  # type: ignore[method-assign]
