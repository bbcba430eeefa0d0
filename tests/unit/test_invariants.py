"""What must hold whatever is committed and whatever happens to the host: thousands of random steps against a model.

The model knows what a person would: which files are whose, what Git says now, and what the service read when it started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.apply import Conduct
from agent.apply.approval import Approval
from agent.catalog.cache import Compiled
from agent.desired import ROLLED_BACK, Desired, newest_desired
from agent.errors import RevisionError, RevisionRejected
from agent.reconcile import Care, Means, Result, WatchedHost, hold
from agent.report import Report
from agent.source import Revision, Source, Tree
from agent.source.floor import Floor
from agent.status import OK
from modules.api import Completed
from tests.unit.fake_systemd import Loaded
from tests.unit.world import Fuse, Fused, PowerCut, World, desired, file, unit

APP, READ = "app.service", "/srv/a"  # the service, and the file that it reads when it starts
PATHS = tuple(f"/srv/{name}" for name in "abcdefgh")
THEIRS = ("/srv/theirs-1", "/srv/theirs-2")
PATH, CONTENT = st.sampled_from(PATHS), st.sampled_from(["one", "two", "three"])
FILES = st.dictionaries(PATH, CONTENT, min_size=1)
FAILS = file("/srv/fails", validate="[checker, '%s']")


class Branch:
    """The newest commit, and the earlier ones by id."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.tip, self.broken = "", False

    def push(self, resources: str) -> None:
        self.tip, self.broken = desired(resources).revision.commit, False
        self.texts[self.tip] = resources

    def compile(self, tree: Tree, *, cached: bool = True) -> Compiled:
        return desired(self.texts[cast("Revision", tree).commit]).compiled

    def fetch(self, _in_force: str | None) -> Revision:
        if self.broken:
            raise RevisionRejected("it says something wrong")
        return self.revision(self.tip)

    def revision(self, commit: str) -> Revision:
        return cast("Revision", desired(self.texts[commit]).revision)

    def holds(self, commit: str) -> bool:
        return commit in self.texts


class Invariants(RuleBasedStateMachine):
    """One host, one branch, and everything that may happen to either."""

    @initialize(files=FILES)
    def begin(self, files: Mapping[str, str]) -> None:
        self.directory = TemporaryDirectory()
        self.world, self.branch = World(Path(self.directory.name)), Branch()
        self.world.systemd.unit(APP)
        self.start, self.world.systemd._start = self.world.systemd._start, self.service_starts  # type: ignore[assignment, method-assign]
        self.unowned = set(THEIRS)  # made by others while we did not own them: never removed
        for path in THEIRS:
            self.world.host.files.put(path, "theirs")
        self.world.host.programs["checker"] = self.check
        self.checked: list[str] = []  # commits that the failing resource was applied of
        self.rolled_back: set[str] = set()
        self.held = ""  # the commit that a pass holds
        self.written = self.loaded = ""  # what we last wrote for the service, and what it read
        self.files, self.fails = dict(files), False
        self.push()

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.directory.cleanup()

    def check(self, _words: Sequence[str]) -> Completed:
        self.checked.append(self.held)
        return Completed(1, "", "no")

    # Commits

    def push(self) -> None:
        files = "".join(file(path, content) for path, content in sorted(self.files.items()))
        service = unit(APP, restart_on="['file:/srv/*']")
        self.branch.push(files + service + (FAILS if self.fails else ""))

    @rule(content=CONTENT)
    def commit_what_the_service_reads(self, content: str) -> None:
        self.commit_a_change(READ, content)
        self.a_pass_ends(everything=False)

    @rule(at=st.integers(min_value=1, max_value=50), content=CONTENT)
    def commit_it_and_die(self, at: int, content: str) -> None:
        self.commit_a_change(READ, content)
        self.a_pass_dies(at)
        self.a_pass_ends(everything=False)

    @rule(content=CONTENT)
    def commit_everything_and_then_next_to_nothing(self, content: str) -> None:
        self.files = dict.fromkeys(PATHS, content)
        self.push()
        self.a_pass_ends(everything=False)
        self.files = {READ: content}
        self.push()
        self.a_pass_ends(everything=False)

    @rule(path=st.sampled_from(PATHS + THEIRS), content=CONTENT)
    def commit_a_change(self, path: str, content: str) -> None:
        self.files[path] = content
        self.push()

    @rule(files=FILES)
    def commit_something_else_altogether(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)
        self.push()

    @rule(data=st.data(), new=PATH)
    def commit_a_rename(self, data: st.DataObject, new: str) -> None:
        self.files[new] = self.files.pop(data.draw(st.sampled_from(sorted(self.files))))
        self.push()

    @rule()
    def commit_what_says_something_wrong(self) -> None:
        self.branch.broken = True

    @rule()
    def commit_what_cannot_be_applied(self) -> None:
        self.fails = True
        self.push()
        self.a_pass_ends(everything=False)
        self.fails = False

    # The host

    @rule(path=PATH)
    def somebody_writes(self, path: str) -> None:
        if f"file:{path}" not in self.world.inventory() and not self.world.has(path):
            self.unowned.add(path)
        self.world.host.files.put(path, "by hand")
        self.written = "" if path == READ else self.written

    @rule(path=PATH)
    def somebody_removes(self, path: str) -> None:
        self.world.host.files.unlink(path)
        self.unowned.discard(path)
        self.written = "" if path == READ else self.written

    @rule()
    def somebody_stops_the_service(self) -> None:
        self.world.systemd.active.pop(APP, None)

    # Passes

    @rule(at=st.integers(min_value=1, max_value=50))
    def a_pass_dies(self, at: int) -> None:
        try:
            self.hold(Conduct(), Fuse(at))
        except PowerCut:
            return

    @rule(everything=st.booleans())
    def a_pass_ends(self, everything: bool) -> None:
        before, owned = self.present(), len(self.world.inventory())
        result = self.hold(Conduct(removals=Approval(everything=everything)))
        gone = len(before - self.present())
        usual = 10 if result is not None and self.was_rolled_back(result) else 5  # then two plans were applied
        assert everything or gone <= usual or 2 * gone <= owned, "so many are not removed without a word"
        if result is not None and self.verdict(result) == OK:
            self.is_as_git_says()

    def hold(self, conduct: Conduct, fuse: Fuse | None = None) -> Result | None:
        source = cast("Source", self.branch)
        with self.world.store() as store:
            host: Any = Fused(self.world.host, fuse) if fuse else self.world.host
            used: Any = Fused(store, fuse) if fuse else store
            floor = Floor(used, f"{self.directory.name}/floor.json", {}, writable=True)
            try:
                wanted: Desired = newest_desired(source, floor, used, self.branch.compile)
            except RevisionError:
                return None  # there is none to hold
            self.held, before = wanted.revision.commit, self.read()
            assert self.held not in self.rolled_back, "what proved bad is not applied again by itself"
            try:
                result = hold(wanted, cast("WatchedHost", host), source, used, Means(conduct, Care(rollback="failure")))
            finally:
                self.written = self.read() if self.read() != before else self.written
        if self.was_rolled_back(result):
            self.rolled_back.add(result.desired.attempted)
        return result

    def service_starts(self, found: Loaded) -> str:
        if not self.world.systemd.active.get(APP):
            self.loaded = self.read()
        return self.start(found)

    def was_rolled_back(self, result: Result) -> bool:
        return getattr(result.desired.rejection, "reason", "") == ROLLED_BACK

    # What must hold

    def is_as_git_says(self) -> None:
        """What OK promises."""
        assert not self.branch.broken
        assert not self.fails
        assert {path: self.read(path) for path in self.files} == self.files
        assert self.world.systemd.active.get(APP) == "active"
        assert set(self.world.inventory()) == {f"file:{path}" for path in self.files} | {f"unit:{APP}"}
        assert self.world.owed() == []
        assert not self.written or self.loaded == self.written, "the restart that is owed for it was delivered"

    @invariant()
    def nothing_is_removed_that_is_not_ours(self) -> None:
        if hasattr(self, "unowned"):
            assert self.unowned <= self.present()

    def present(self) -> set[str]:
        return {path for path in (*PATHS, *THEIRS) if self.world.has(path)}

    def read(self, path: str = READ) -> str:
        return self.world.read(path) if self.world.has(path) else ""

    def verdict(self, result: Result) -> str:
        held = result.desired
        return Report(
            "web-01",
            "sync",
            held.revision,
            "main",
            result.outcomes,
            held.rejection,
            held.attempted,
            0,
            0,
            result.health,
        ).verdict


TestInvariants = Invariants.TestCase
TestInvariants.settings = settings(max_examples=40, stateful_step_count=30)
