"""Whose commit a change is put down to, when several came at once."""

from __future__ import annotations

from collections.abc import Mapping

from agent.apply.conduct import Author
from agent.apply.outcome import Outcome
from agent.causes import REVISION, origins_of
from agent.plan import Step
from agent.store import Entry


class Credit:
    """The author of each change of a pass: of the commit that last touched where it is written, of all that are new to it."""

    def __init__(self, author: Author, steps: Mapping[str, Step], inventory: Mapping[str, Entry]) -> None:
        self._author, self._steps, self._inventory = author, steps, inventory

    def __call__(self, outcome: Outcome) -> Author:
        """Find it; the author of the newest commit when none of them touched it."""
        step = self._steps.get(outcome.id)
        if step is None or outcome.cause != REVISION:
            return self._author
        known = self._inventory.get(outcome.id)
        since, where = known.revision if known else "", [(step.node.place.file,), tuple(origins_of(step.node.resource))]
        order = where if set(outcome.drift).isdisjoint(step.node.resource.diffed) else where[::-1]
        return next(filter(None, (self._author.toucher(files, since) for files in order)), self._author)
