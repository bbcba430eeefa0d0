"""What systemd is told: ready, a status line, alive, reloading, stopping."""

from __future__ import annotations

import os

MAX_LINE = 400  # characters of a status line; what is longer is for the journal


class Notifier:
    """Speaks to the service manager, when one started us that listens."""

    def __init__(self) -> None:
        self._listens = "NOTIFY_SOCKET" in os.environ
        microseconds = os.environ.get("WATCHDOG_USEC", "0")
        self.watchdog_seconds = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0

    def say(self, *assignments: str) -> None:
        """Send assignments such as READY=1 (sd_notify(3))."""
        if self._listens:
            from systemd.daemon import notify

            notify("\n".join(map(one_line, assignments)))


def one_line(text: str) -> str:
    """The first line, kept short: a further line of an error, which Git may have written, would be an assignment too."""
    first = text.partition("\n")[0]
    shown = "".join(char if char.isprintable() else "?" for char in first)
    return shown if len(shown) <= MAX_LINE else f"{shown[: MAX_LINE - 3]}..."
