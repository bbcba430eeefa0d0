"""What ends a pass before it is through: it is stopped, the host is suspended, or something newer came while it gets nowhere."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from agent import orders
from agent.cli.session import Session
from agent.errors import FetchFailed

OVERTAKEN = "a newer revision is there"


@dataclass
class Stop:
    """Set by SIGTERM: the step in hand is finished, and no other is begun."""

    asked: bool = field(default=False)

    def listen(self) -> None:
        """Take SIGTERM from now on."""
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def __call__(self) -> str:
        """Why to stop; empty when it was not asked for."""
        return "the pass was asked to stop" if self.asked else ""


class Overtaken:
    """Tells whether the remote has a newer revision than was attempted; it is asked as often as for a poll."""

    def __init__(self, session: Session, attempted: str) -> None:
        self.newer = False
        self._source, self._attempted = session.source, attempted
        self._every = session.site.limits["poll_seconds"]
        self._next = time.monotonic() + self._every

    def __call__(self) -> bool:
        """Ask, unless it was asked lately; a remote that does not answer has nothing newer."""
        if not self.newer and self._attempted and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            with contextlib.suppress(FetchFailed):
                self.newer = self._source.remote_tip() != self._attempted
        return self.newer


class Interruption:
    """Why one pass ends early; once there is a reason it stays, so that all of the pass goes by the same."""

    def __init__(self, session: Session, stop: Callable[[], str], overtaken: Callable[[], bool]) -> None:
        self._store, self._stop, self._overtaken = session.store, stop, overtaken
        self._order = orders.given(session.store, orders.SUSPEND)
        self._why = ""
        self.suspended = ""  # by an order that was given since the pass began

    def stopped(self) -> str:
        """Why no other step is to be begun."""
        if not self._why and orders.given(self._store, orders.SUSPEND) not in (None, self._order):
            self.suspended = orders.suspension(self._store, None)
        self._why = self._why or self._stop() or self.suspended
        return self._why

    def given_up(self) -> str:
        """Why a pass that waits, or in which something failed, is not to go on."""
        self._why = self.stopped() or (OVERTAKEN if self._overtaken() else "")
        return self._why
