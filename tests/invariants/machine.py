"""Random commits and random events on one host, in any world, each pass held against the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.invariants.model import ASKED, DIED, OFF, OK, RANGE, TIP, UNASKED, UNMOVED, Commit, Model
from tests.invariants.seen import World
from tests.invariants.wishes import APP, BY_HAND, EVIL, PATHS, READ, SECRET, THEIRS, WEB, Sealed, Wish

Open = Callable[[str, str], World]
"""Opens a world in which commits are verified so, and rolled back when so."""

CONTENT = st.sampled_from(["one", "two", "three"])
PATH, UNIT = st.sampled_from(PATHS), st.sampled_from([APP, WEB])
FILES = st.dictionaries(PATH, CONTENT, min_size=1)
TRUSTED, STRANGERS = st.sampled_from(["alice", "alice", "alice", "ops"]), st.sampled_from(["", "", "mallory"])
MOMENT = st.integers(min_value=1, max_value=60)
ALIKE, OLDER = "alike", "older"


class Invariants(RuleBasedStateMachine):
    """One host, one branch, and everything that may happen to either. `open_world` and `tally` are set by `explore`."""

    open_world: Open
    tally: Counter[str]
    verifying: Iterable[str] = (OFF, TIP, RANGE)
    careful: Iterable[str] = ("failure", "failure", "never")
    reasons: Iterable[str] = ("sync", "poll", "drift", "retry")  # of passes

    @initialize(files=FILES, data=st.data())
    def begin(self, files: Mapping[str, str], data: st.DataObject) -> None:
        verify = data.draw(st.sampled_from(list(self.verifying)))
        self.world = type(self).open_world(verify, data.draw(st.sampled_from(list(self.careful))))
        self.model, self.made = Model(verify), 0
        for path in THEIRS:
            self.world.put(path, "theirs")
        self.wish = Wish(dict(files))  # of the newest commit that people on the right side of the gate made
        self.commit(self.wish, "alice")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()

    # Commits

    def commit(self, wish: Wish, by: str, parent: str | None = None) -> None:
        """Commit on what was accepted, or on the branch where it leads there."""
        onto = self.model.tip if self.model.tip and self.model.passes else self.model.floor
        self.publish(self.make(wish, by, onto if parent is None else parent))

    def make(self, wish: Wish, by: str, parent: str) -> str:
        self.made += 1
        files = {name: text.encode() for name, text in wish.documents().items()}
        files |= {"secrets/db.age": self.world.seal(wish.secret)} if wish.secret else {}
        commit = self.world.remote.commit(files, parent, by)
        self.model.commits[commit] = Commit(parent, by not in ("", "mallory"), wish)
        self.model.secrets |= {wish.secret.text} if wish.secret else set()
        self.tally["commits"] += 1
        return commit

    def publish(self, commit: str) -> None:
        self.world.remote.publish(commit)
        self.model.published(commit)
        if not self.model.passes:
            self.tally["commits that must be refused"] += 1

    def say(self, by: str = "alice", **changes: object) -> None:
        self.wish = Wish(**{**vars(self.wish), "fails": False, "broken": False, **changes})
        self.commit(self.wish, by)

    def count(self, what: str) -> None:
        self.tally[what] += 1

    @rule(path=st.sampled_from(PATHS + THEIRS), content=CONTENT, by=TRUSTED)
    def commit_a_change(self, path: str, content: str, by: str) -> None:
        self.say(by, files={**self.wish.files, path: content})
        self.count("a change")

    @rule(content=CONTENT, by=TRUSTED, web=st.booleans())
    def commit_what_services_read_and_apply_it(self, content: str, by: str, web: bool) -> None:
        self.say(by, files={**self.wish.files, READ: content}, web=web)
        self.passes()

    @rule(at=MOMENT, content=CONTENT)
    def commit_what_services_read_and_die(self, at: int, content: str) -> None:
        self.say(files={**self.wish.files, READ: content})
        self.a_pass_dies(at)
        self.passes()

    @rule(files=FILES, by=TRUSTED, web=st.booleans())
    def commit_something_else_altogether(self, files: Mapping[str, str], by: str, web: bool) -> None:
        self.say(by, files=dict(files), web=web)
        self.count("something else altogether")

    @rule(data=st.data(), new=PATH)
    def commit_a_rename(self, data: st.DataObject, new: str) -> None:
        files = dict(self.wish.files)
        files[new] = files.pop(data.draw(st.sampled_from(sorted(files))))
        self.say(files=files)
        self.count("a rename")

    @rule(content=CONTENT, before=st.booleans(), at=st.integers(min_value=0, max_value=60))
    def commit_next_to_nothing_after_everything(self, content: str, before: bool, at: int) -> None:
        self.say(files=dict.fromkeys(PATHS, content))
        self.passes()
        others = {f"/srv/new-{number}": content for number in range(8 if before else 0)}
        self.say(files={READ: content, **others})
        self.count("a mass deletion")
        if at:
            self.a_pass_dies(at)
        self.passes()
        self.passes()

    @rule(by=TRUSTED)
    def commit_what_says_something_wrong(self, by: str) -> None:
        self.say(by, broken=True)
        self.count("something wrong")

    @rule(again=st.booleans())
    def commit_what_cannot_be_applied(self, again: bool) -> None:
        self.say(fails=True)
        self.count("what cannot be applied")
        self.passes()
        if again:  # another commit that asks for the same
            self.commit(self.wish, "alice")
            self.passes()

    @rule(ours=st.sampled_from([True, True, False]), rotate=st.booleans(), by=TRUSTED)
    def commit_a_secret(self, ours: bool, rotate: bool, by: str) -> None:
        text = f"correct-horse-{self.made}-staple"
        known = self.wish.secret.text if self.wish.secret and not rotate else text
        if self.wish.secret and known == text:
            self.count("a secret that is another")
        self.say(by, secret=Sealed(known, ours))
        self.count("a secret" if ours else "a secret for others")

    @rule()
    def commit_that_there_is_no_secret(self) -> None:
        self.say(secret=None)

    # What must not pass

    @rule(by=STRANGERS, hidden=st.sampled_from([False, False, True]), at=st.integers(min_value=0, max_value=30))
    def strangers_commit(self, by: str, hidden: bool, at: int) -> None:
        """A commit that nobody trusted has signed, perhaps below one that somebody did."""
        parent = self.model.tip if self.model.passes else self.model.floor
        commit = self.make(self.evil(), by, parent)
        self.publish(self.make(self.evil(), "alice", commit) if hidden else commit)
        self.count("hidden below a signed one" if hidden else "unsigned" if not by else "signed by a stranger")
        self.try_it(at)

    @rule(how=st.sampled_from(["", ALIKE, OLDER]), at=st.integers(min_value=0, max_value=30), data=st.data())
    def the_history_is_rewritten(self, how: str, at: int, data: st.DataObject) -> None:
        """The branch no longer contains what was accepted: it begins anew, turns off before it, or is set back."""
        older = list(self.model.line(self.model.floor))[1:]
        if how and not older:
            return
        parent = data.draw(st.sampled_from(older)) if how else ""
        self.publish(parent if how == OLDER else self.make(self.evil(), "alice", parent))
        self.count("set back" if how == OLDER else "rewritten")
        self.try_it(at)

    def evil(self) -> Wish:
        return Wish(dict.fromkeys(PATHS, f"{EVIL}-{self.made}"))

    def try_it(self, at: int) -> None:
        if at:
            self.a_pass_dies(at)
        self.passes()

    # The host

    @rule(path=st.sampled_from((*PATHS, SECRET)), wanted=st.booleans())
    def somebody_writes(self, path: str, wanted: bool) -> None:
        """A person writes something, or what Git says already."""
        text = self.wish.texts.get(path, BY_HAND) if wanted and path != SECRET else BY_HAND
        self.model.wrote(path, text, self.world.see())
        self.world.put(path, text)
        self.count("a file written by hand")

    @rule(path=PATH)
    def somebody_changes_what_leaves_git(self, path: str) -> None:
        files = {name: text for name, text in self.wish.files.items() if name != path}
        if not files or files == self.wish.files:
            return
        self.passes()
        self.somebody_writes(path, wanted=False)
        self.say(files=files)
        self.passes()

    @rule(path=PATH)
    def somebody_removes(self, path: str) -> None:
        self.model.removed(path)
        self.world.remove(path)
        self.count("a file removed by hand")

    @rule(unit=UNIT)
    def somebody_stops_a_service(self, unit: str) -> None:
        self.world.stop(unit)
        self.count("a service stopped by hand")

    @rule(unit=UNIT, content=CONTENT)
    def a_service_fails_while_its_file_changes(self, unit: str, content: str) -> None:
        self.world.let_fail(unit, fails=True)
        self.say(files={**self.wish.files, READ: content}, web=self.wish.web or unit == WEB)
        self.passes()
        self.world.let_fail(unit, fails=False)
        self.count("a service that failed")
        self.passes()

    # Passes

    @rule(at=MOMENT)
    def a_pass_dies(self, at: int) -> None:
        before = self.world.see()
        died = self.world.die(at)
        self.judge(before, DIED if died else ASKED)
        self.count("a pass that died" if died else "a pass that ended")

    @rule(data=st.data())
    def a_pass_ends(self, data: st.DataObject) -> None:
        self.passes(data.draw(st.sampled_from(list(self.reasons))))

    @rule()
    def somebody_approves(self) -> None:
        self.passes("sync", approved=True)
        self.count("an approval")

    def passes(self, reason: str = "sync", *, approved: bool = False) -> None:
        before = self.world.see()
        looked = self.world.run(reason, approved=approved)
        kind = (UNASKED if reason in ("drift", "retry") else ASKED) if looked else UNMOVED
        self.judge(before, kind, approved=approved)
        self.count("a pass that ended")

    def judge(self, before: object, kind: str, *, approved: bool = False) -> None:
        after = self.world.see()
        self.tally["a verdict of OK"] += kind != DIED and after.verdict == OK
        self.tally["a rollback"] += kind == ASKED and "RolledBack" in after.conditions
        self.tally["removals that wait"] += kind == ASKED and "PruneBlocked" in after.conditions
        self.model.judge(before, after, kind, approved=approved)  # type: ignore[arg-type]
        self.model.judge_said(self.world.said())

    @rule()
    def somebody_looks(self) -> None:
        self.world.look()
        self.model.judge_said(self.world.said())
        self.count("a look at everything")

    @rule()
    def all_is_well_in_the_end(self) -> None:
        """When nothing is wrong any more, two passes and one word are enough."""
        if self.model.bad:
            self.world.forgive()
            self.model.bad.clear()
        self.say(
            files={**self.wish.files, PATHS[-1]: f"calm-{self.made}"}, secret=Sealed(f"quiet-horse-{self.made}-ours")
        )
        self.passes(approved=True)
        self.passes()
        assert self.world.see().verdict == OK
        self.count("a good end")


def explore(name: str, open_world: Open, runs: int, steps: int, number: int, **more: object) -> Counter[str]:
    """Make random runs of so many steps; how often each thing happened. The same number gives the same runs."""
    tally: Counter[str] = Counter()
    machine = type(name, (Invariants,), {"open_world": staticmethod(open_world), "tally": tally, **more})
    print(f"{name}: {runs} runs of {steps} steps, seed {number}")
    given = settings(
        max_examples=runs, stateful_step_count=steps, deadline=None, database=None, print_blob=True, report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(seed(number)(machine), settings=given)
    print("\n".join(f"{count:7} {what}" for what, count in sorted(tally.items())))
    return tally
