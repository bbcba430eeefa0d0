"""What wakes the loop from outside: signals and timers, each one byte of a socket that the loop waits for."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator

REASONS = ("forced", "sync", "start", "retry", "drift", "poll")  # of passes, the most pressing first
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FIRST_REASON = 128  # above every signal's number


class Wake:
    """A socket pair: signal handlers and timer threads write, the loop reads."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for part in (self._reader, self._writer):
            part.setblocking(False)

    def fileno(self) -> int:
        """For a selector."""
        return self._reader.fileno()

    def listen_to_signals(self) -> None:
        """Take signals from now on, those included that came while `hold_signals` held them."""
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda _number, _frame: None)  # the wake-up descriptor carries the number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def post(self, reason: str) -> None:
        """Ask for a pass; called by timers in threads of their own."""
        with contextlib.suppress(BlockingIOError):  # full: the loop has more than enough to wake for
            self._writer.send(bytes([_FIRST_REASON + REASONS.index(reason)]))

    def taken(self) -> Iterator[str | int]:
        """What came since: reasons of passes, and numbers of signals."""
        for number in self._reader.recv(4096):
            yield REASONS[number - _FIRST_REASON] if number >= _FIRST_REASON else number


def hold_signals() -> None:
    """Let signals wait, across an exec too, until `listen_to_signals`; none of them is lost or ends us meanwhile."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
