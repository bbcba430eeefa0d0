"""What the steps of a pass came to so far: kept, told, and written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.apply.audit import Audit
from agent.apply.conduct import Author, Conduct
from agent.apply.outcome import CONVERGED, FAILED, IN_SYNC, Outcome, Reason
from agent.apply.refreshes import HOST
from agent.store import Entry, Store
from modules.api import Host


class Book:
    """The outcomes of a pass, by id; `stuck` from the first on that it does not get over by itself."""

    def __init__(self, host: Host, store: Store, author_of: Callable[[Outcome], Author], conduct: Conduct) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.audit = Audit(host, store, author_of, conduct.redact)
        self._host, self._store, self._conduct = host, store, conduct
        self._stuck = False
        self._not_begun = 0

    def tell(self, outcome: Outcome) -> None:
        """Keep an outcome, and say it when there is anything to say."""
        outcome = self.audit.redacted(outcome)
        self.outcomes[outcome.id] = outcome
        self._stuck = self._stuck or outcome.result == FAILED or outcome.reason is Reason.INTERRUPTED
        if outcome.result != IN_SYNC:
            self._conduct.tell(outcome)

    def leave(self, outcome: Outcome) -> None:
        """Keep the outcome of what is not begun any more; `close` says how many there were."""
        self.outcomes[outcome.id] = outcome
        self._not_begun += 1

    @property
    def interruption(self) -> str:
        """Why no other step is begun; empty when on it goes. A pass in which all goes well is not ended for a newer revision."""
        return self._conduct.given_up() if self._stuck else self._conduct.stopped()

    def close(self) -> None:
        """Say in one sentence what was not begun."""
        if self._not_begun:
            what = "resource" if self._not_begun == 1 else "resources"
            self._host.note(f"stopped before {self._not_begun} {what}: {self.interruption}")

    def write_down(self, entries: Iterable[Entry], outcomes: Iterable[Outcome], forgotten: Iterable[str] = ()) -> None:
        """Write inventory entries and the audit trail; the same failure again is not news and is not written."""
        entries, changes, forgotten = list(entries), list(self.audit.lines(outcomes)), list(forgotten)
        if entries or changes or forgotten:
            self._store.finish(entries, changes, forgotten)

    def last_said(self, name: str) -> str:
        """What the audit trail said last of something."""
        return self._store.history.last_message(name)

    def tell_repairs(self) -> None:
        """Tell what was mended of the host itself on the way."""
        while self._host.repairs:
            repair = self._host.repairs.pop(0)
            result, came_to = (FAILED, f"failed with status {repair.status}") if repair.status else (CONVERGED, "ended")
            outcome = Outcome(f"{HOST}:repair", result, message=f"{repair.what}: {repair.command} {came_to}")
            self.write_down([], [outcome])
            self.tell(outcome)
