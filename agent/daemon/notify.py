"""What systemd is told: ready, a status line, alive, reloading, stopping."""

from __future__ import annotations

import os


class Notifier:
    """Speaks to the service manager, when one started us that listens."""

    def __init__(self) -> None:
        self._listens = "NOTIFY_SOCKET" in os.environ
        microseconds = os.environ.get("WATCHDOG_USEC", "0")
        self.watchdog_seconds = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0

    def say(self, *lines: str) -> None:
        """Send lines such as READY=1 (sd_notify(3))."""
        if self._listens:
            from systemd.daemon import notify

            notify("\n".join(lines))
