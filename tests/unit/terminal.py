"""A pseudo-terminal for tests."""

from __future__ import annotations

import os
import pty
import select
import termios

QUIET_SECONDS = 0.2


class Terminal:
    """A pseudo-terminal of 40 columns, and what was written to it."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 40))
        self.stream = os.fdopen(theirs, "w")

    def written(self) -> str:
        """All that came; the kernel hands it over a little after it was written."""
        parts = []
        while select.select([self._ours], [], [], QUIET_SECONDS)[0]:
            parts.append(os.read(self._ours, 1 << 16))
        return b"".join(parts).decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._ours)
