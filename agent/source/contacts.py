"""Contacts: the remotes in order, what each last said, and which to leave alone for a while because it did not answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from agent.errors import FetchFailed, Unreachable
from agent.source.remote import Remote

FIRST_REST_SECONDS, LAST_REST_SECONDS = 5.0, 900.0
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Contact:
    """What is known of one remote; times are seconds since the epoch, 0 for never."""

    url: str  # as it may be shown
    answered_at: float = 0
    asked_at: float = 0
    failures: int = 0  # without an answer, in a row
    error: str = ""  # what it said or did not say the last time; empty when it gave what was asked

    def rests(self, now: float) -> bool:
        """Tell whether it was asked in vain just now: twice as long ago after each failure."""
        wait = min(LAST_REST_SECONDS, FIRST_REST_SECONDS * 2 ** min(self.failures - 1, 10))
        passed = now - self.asked_at  # since a time that was rounded; a clock that was set back ends every rest
        return self.failures > 0 and -1 <= passed < wait


class Contacts:
    """The remotes that may be asked, the first first. Only one that cannot be reached is passed over for the next."""

    def __init__(self, remotes: Sequence[Remote], known: Iterable[Mapping[str, Any]] = ()) -> None:
        self.remotes = tuple(remotes)
        before = {str(found.get("url")): found for found in known}
        self._known = [_contact(remote.shown, before.get(remote.shown, {})) for remote in remotes]

    def forgive(self) -> None:
        """Let none rest: somebody wants to know now."""
        self._known = [replace(contact, failures=0) for contact in self._known]

    def first_answer(self, ask: Callable[[Remote], Answer]) -> Answer:
        """What the first remote that answers says. Raises FetchFailed: what it refuses, or that none can be reached."""
        now, silent = time.time(), []
        for index in sorted(range(len(self.remotes)), key=lambda index: self._known[index].rests(now)):
            try:
                answer = ask(self.remotes[index])
            except Unreachable as error:
                self._note(index, error)
                silent.append(error)
            except FetchFailed as error:
                self._note(index, error)
                raise
            else:
                self._note(index, None)
                return answer
        if len(silent) == 1:
            raise silent[0]
        raise Unreachable(f"none of {len(silent)} remotes is of use: {'; '.join(map(str, silent))}")

    def _note(self, index: int, error: FetchFailed | None) -> None:
        now, before = round(time.time(), 3), self._known[index]
        silent = isinstance(error, Unreachable)
        self._known[index] = Contact(
            before.url,
            before.answered_at if silent else now,
            now,
            before.failures + 1 if silent else 0,
            str(error or ""),
        )

    def to_json(self) -> list[dict[str, Any]]:
        """What is known of each, in order."""
        return [asdict(contact) for contact in self._known]


def _contact(url: str, before: Mapping[str, Any]) -> Contact:
    """What a status file says of a remote; nothing of it is believed that does not fit."""
    try:
        times = float(before.get("answered_at", 0)), float(before.get("asked_at", 0))
        return Contact(url, *times, int(before.get("failures", 0)), str(before.get("error", "")))
    except (TypeError, ValueError):
        return Contact(url)
