"""The model: what a person knows of the branch and of the host, and what must hold after every pass whatever has happened."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.invariants.seen import Seen
from tests.invariants.wishes import BY_HAND, EVIL, FAILS, SECRET, THEIRS, Wish, watched

OFF, TIP, RANGE = "off", "tip", "range"
ASKED, UNASKED, UNMOVED, DIED = "asked", "unasked", "unmoved", "died"  # what a pass was
OK = "OK"
USUAL_COUNT = 5  # removals that need no approval; beyond them half of what is owned


@dataclass(frozen=True)
class Commit:
    """A commit of the branch."""

    parent: str
    trusted: bool  # somebody whom the host trusts signed it
    wish: Wish


@dataclass
class Model:
    """What is known, and what was promised."""

    verify: str
    commits: dict[str, Commit] = field(default_factory=dict)
    tip: str = ""
    floor: str = ""
    accepted: set[str] = field(default_factory=set)  # all commits that ever passed the gate
    refused: bool = False  # the newest commit that was asked for is not held
    bad: set[str] = field(default_factory=set)  # wishes that were rolled back
    secrets: set[str] = field(default_factory=set)  # every text of one
    by_hand: dict[str, str] = field(default_factory=dict)  # what people wrote and the agent has not replaced, by path
    unowned: set[str] = field(default_factory=lambda: set(THEIRS))
    excused: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # files by service
    gone: set[str] = field(default_factory=set)  # files that the agent removed
    lost: set[str] = field(default_factory=set)  # of what was owned, removed since the last word of a person
    basis: int | None = None  # how much was owned when last nothing was left to be removed

    # What people do

    def published(self, commit: str) -> None:
        """Somebody moved the branch."""
        self.tip, self.lost = commit, set()

    def wrote(self, path: str, text: str, seen: Seen) -> None:
        """Somebody wrote a file on the host."""
        if path not in seen.files and f"file:{path}" not in seen.inventory:
            self.unowned.add(path)
        self.by_hand[path] = text

    def removed(self, path: str) -> None:
        """Somebody removed a file."""
        self.unowned.discard(path)
        self.by_hand[path] = ""

    # The gate

    def line(self, commit: str) -> Iterator[str]:
        """The commits that a commit is built on, the newest first, beginning with itself."""
        while commit:
            yield commit
            commit = self.commits[commit].parent

    @property
    def passes(self) -> bool:
        """Tell whether the newest commit must be accepted."""
        if self.tip == self.floor:
            return True
        line = list(self.line(self.tip))
        if self.floor and self.floor not in line:
            return False
        if self.verify == OFF:
            return True
        new = line[: line.index(self.floor)] if self.floor and self.verify == RANGE else line[:1]
        return all(self.commits[commit].trusted for commit in new)

    # What must hold

    def judge(self, before: Seen, after: Seen, kind: str, *, approved: bool = False) -> None:
        """Hold what is seen after a pass against what was promised."""
        self._judge_gate(before, after, kind)
        self._judge_bad(before, after, kind)
        self._judge_removals(before, after, kind, approved=approved)
        self._note_reading(before, after)
        if kind in (ASKED, UNASKED):
            self._judge_secret(before, after)
            if after.verdict == OK:
                self._judge_ok(after, self.tip if kind == ASKED else after.held)
        if kind == UNMOVED:
            assert after == before, "a pass that has nothing to do does nothing"

    def _judge_gate(self, before: Seen, after: Seen, kind: str) -> None:
        """What nobody trusted has signed, and what was rewritten, moves nothing."""
        passes = kind in (ASKED, DIED) and self.passes
        if passes:
            self.accepted.add(self.tip)
        if kind == ASKED:
            assert after.floor == (self.tip if passes else self.floor), "the floor is what passed the gate"
        if passes:
            assert {after.floor, after.reference} <= {before.floor, before.reference, self.tip}
        else:
            assert (after.floor, after.reference) == (before.floor or before.reference, before.reference)
        assert not after.held or after.held in self.accepted, "only what passed the gate is held"
        allowed = {text for name in self.accepted for text in self.commits[name].wish.files.values()}
        brought = {text for text in after.files.values() if text.startswith(EVIL)}
        assert brought <= allowed, "what did not pass the gate does not reach the host"
        self.floor = after.floor or after.reference

    def _judge_bad(self, before: Seen, after: Seen, kind: str) -> None:
        """What was rolled back is not applied again by itself."""
        wish = self.commits[self.tip].wish
        if kind in (ASKED, UNASKED, DIED) and wish.key in self.bad:
            assert self.commits[after.held].wish.key not in self.bad, "what was rolled back is not held"
            assert after.tries == before.tries, "what was rolled back is not tried again by itself"
        if kind == ASKED:
            self.refused = after.held != self.tip
            if "RolledBack" in after.conditions:
                assert after.verdict != OK
                self.bad.add(wish.key)

    def _judge_removals(self, before: Seen, after: Seen, kind: str, *, approved: bool) -> None:
        """Nothing that is not ours is removed, and what is ours not in numbers that nobody approved."""
        assert self.unowned <= after.files.keys(), "nothing is removed that is not ours"
        if kind != DIED and "RolledBack" not in after.conditions:
            assert self._changed_by_others(before) <= after.files.keys(), "what others changed since is not removed"
        here, there = before.files.keys(), after.files.keys()
        self.lost |= {path for path in here - there if f"file:{path}" in before.inventory}
        self.lost -= there
        self.basis = len(before.inventory) if self.basis is None else self.basis
        few = len(self.lost) <= USUAL_COUNT or 2 * len(self.lost) <= self.basis
        assert approved or few, f"{sorted(self.lost)} of {self.basis} are not removed without a word"
        if approved:
            self.lost = set()
        if kind in (ASKED, UNASKED) and after.held and after.inventory <= self.commits[after.held].wish.ids:
            self.lost, self.basis = set(), len(after.inventory)

    def _changed_by_others(self, seen: Seen) -> set[str]:
        """Files that say what only a person wrote, and that no interrupted pass was about to write."""
        return {path for path, text in self.by_hand.items()
                if text == BY_HAND == seen.files.get(path) and f"file:{path}" not in seen.pending}  # fmt: skip

    def _note_reading(self, before: Seen, after: Seen) -> None:
        """Note which services have read what only a person wrote: nobody could know when it is gone before a pass."""
        for name, service in after.services.items():
            if service.reads != before.services[name].reads:
                hand = {path for path, text in self.by_hand.items() if service.read.get(path, "") == text}
                self.excused[name] = hand
        changed = {
            path for path in before.files.keys() | after.files.keys() if before.files.get(path) != after.files.get(path)
        }
        adopted = {name.removeprefix("file:") for name in after.inventory - before.inventory} - changed
        for path in changed:
            self.by_hand.pop(path, None)
        for name in after.services:
            self.excused[name] = (self.excused[name] - changed) | adopted
        self.gone = (self.gone | (before.files.keys() - after.files.keys())) - after.files.keys()

    def _judge_secret(self, before: Seen, after: Seen) -> None:
        """A secret that cannot be opened fails what uses it, leaves that as it is, and fails nothing else."""
        wish = self.commits[after.held].wish if after.held else None
        if wish is None or wish.secret is None or wish.secret.ours:
            return
        assert f"file:{SECRET}" in after.failed
        if not wish.fails:
            assert {name for name in after.failed if name.startswith("file:")} == {f"file:{SECRET}"}
        assert after.files.get(SECRET) == before.files.get(SECRET), "it is left as it is"
        assert {path: after.files.get(path) for path in wish.files} == dict(wish.files), "all else is applied"

    def _judge_ok(self, after: Seen, commit: str) -> None:
        """What OK promises."""
        wish = self.commits[commit].wish
        assert commit == after.held == self.floor or not self.refused
        assert commit in self.accepted
        assert wish.can_be_applied
        assert {path: after.files.get(path) for path in wish.texts} == wish.texts
        assert FAILS not in after.files
        assert after.inventory == wish.ids
        assert after.owed == 0
        for name in wish.units:
            service = after.services[name]
            assert service.active
            for path, text in wish.texts.items():
                if watched(name, path) and path not in self.excused[name]:
                    assert service.read.get(path) == text, f"{name} was never told of {path}"
            for path in self.gone - wish.texts.keys() - self.excused[name]:
                assert not watched(name, path) or path not in service.read, f"{name} was never told that {path} is gone"

    def judge_said(self, said: bytes) -> None:
        """No text of a secret is said or kept anywhere."""
        for text in self.secrets:
            for form in _forms(text):
                assert form not in said, f"{text} is said: {_around(said, form)!r}"


def _forms(text: str) -> Iterator[bytes]:
    """A text, and whatever base64 makes of it wherever it begins in three bytes."""
    yield text.encode()
    for shift in range(3):
        yield base64.b64encode(b"x" * shift + text.encode())[4:-4]


def _around(said: bytes, form: bytes) -> bytes:
    at = said.index(form)
    return said[max(0, at - 200) : at + 100]
