"""The audit trail of one pass: what each change was, by whose commit, and the text that it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace

from agent.apply.conduct import Author
from agent.apply.outcome import CONVERGED, FAILED, Outcome
from agent.diffs import Difference, difference_of
from agent.history import Changed
from agent.plan import Step
from agent.store import Store
from modules.api import Content, HostView

MAX_DIFF = 8 << 10  # bytes of one change
MAX_COMPARED = 1_000  # lines of either side
MAX_COMPARED_IN_ALL = 50_000  # lines in one pass


class Audit:
    """What is written down of the changes of one pass."""

    def __init__(
        self, host: HostView, store: Store, author_of: Callable[[Outcome], Author], redact: Callable[[str], str]
    ) -> None:
        self._host, self._store, self._author_of, self._redact = host, store, author_of, redact
        self._differences: dict[str, Difference] = {}
        self._left = MAX_COMPARED_IN_ALL

    def look(self, steps: Iterable[Step]) -> None:
        """Keep how the text of files that exist is about to change; what is created has no text before."""
        for step in steps:
            if "ensure" not in step.drift and not set(step.drift).isdisjoint(step.node.resource.diffed):
                limit = min(MAX_COMPARED, self._left)
                found = difference_of(step, self._host, limit)
                self._left -= min(self._left, found.compared)
                lines = () if _private(step) else found.lines if _whole(step) else _only_changed(found.lines)
                self._differences[step.node.id] = replace(found, lines=lines)

    def redacted(self, outcome: Outcome) -> Outcome:
        """Take secrets out of what tools said."""
        return replace(outcome, message=self._redact(outcome.message)) if outcome.message else outcome

    def lines(self, outcomes: Iterable[Outcome]) -> Iterator[Changed]:
        """The line of each outcome; the same failure again is not news and has none."""
        for outcome in map(self.redacted, outcomes):
            if outcome.result == FAILED and self._store.history.last_message(outcome.id) == outcome.message:
                continue
            found = self._differences.pop(outcome.id, Difference())
            if outcome.result != CONVERGED:
                found = Difference()  # it tells what was to be, not what was done
            author = self._author_of(outcome)
            yield Changed(
                id=outcome.id,
                result=outcome.result,
                cause=outcome.cause,
                revision=author.revision,
                author=author.author,
                summary=author.summary,
                place=outcome.place,
                drift={name: [change.before, change.after] for name, change in outcome.drift.items()},
                message=outcome.message,
                content=found.size,
                diff=self._redact(bounded(found.lines)),
            )


def _private(step: Step) -> bool:
    """Tell whether only the owner of a file may read it, as with keys: its text is not kept a second time."""
    modes = (step.observed.get("mode"), step.node.resource.desired(step.observed).get("mode"))
    return any(isinstance(mode, str) and int(mode, 8) & 0o077 == 0 for mode in modes)


def _whole(step: Step) -> bool:
    """Tell whether all the text is what Git says; around an edit is what others, perhaps in secret, put there."""
    return any(isinstance(getattr(step.node.resource, field.name), Content) for field in fields(step.node.resource))


def _only_changed(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line for line in lines if line[:1] in ("+", "-", "@"))


def bounded(lines: Sequence[str]) -> str:
    """The lines of a diff as one text of at most MAX_DIFF bytes, cut after a line."""
    kept: list[str] = []
    room = MAX_DIFF - 40  # for the last line
    for index, line in enumerate(lines):
        room -= len(line.encode()) + 1
        if room < 0:
            return "\n".join([*kept, f"... {len(lines) - index} more lines"])
        kept.append(line)
    return "\n".join(kept)
