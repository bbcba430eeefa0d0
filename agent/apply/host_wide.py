"""Refreshes of the host as a whole, such as a daemon-reload: owed by many, delivered once."""

from __future__ import annotations

from collections.abc import Sequence

from agent.apply.book import Book
from agent.apply.outcome import CONVERGED, FAILED, RELEASED, Outcome
from agent.apply.refreshes import HOST, Refreshes
from modules.api import Host, ResourceError


def deliver_to_host(host: Host, refreshes: Refreshes, book: Book, names: Sequence[str]) -> None:
    """Deliver the refreshes of these names that are owed; one that failed waits for the next pass."""
    for action in refreshes.due_to_host():
        name = f"{HOST}:{action}"
        failed = name in book.outcomes and book.outcomes[name].result == FAILED
        if action in names and not failed:
            outcome = _deliver(name, action, host, refreshes)
            if outcome.result != CONVERGED or book.last_said(name):  # that it went well is news after it had not
                book.write_down([], [outcome])
                book.tell(outcome)


def _deliver(name: str, action: str, host: Host, refreshes: Refreshes) -> Outcome:
    from modules.registry import host_refresh

    refresh = host_refresh(action)
    if refresh is None:
        refreshes.delivered([(HOST, action)])
        why = "another version of the agent owed it, and this one does not know it; do by hand what it stands for"
        return Outcome(name, RELEASED, message=why)
    try:
        refresh(host)
    except ResourceError as error:
        return Outcome(name, FAILED, message=f"{error}; it stays owed, and is tried again in the next pass")
    refreshes.delivered([(HOST, action)])
    return Outcome(name, CONVERGED)
