"""A pseudo-terminal for tests."""

from __future__ import annotations

import os
import pty
import termios


class Terminal:
    """A pseudo-terminal of 40 columns, and what was written to it."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        termios.tcsetwinsize(theirs, (24, 40))
        self.stream = os.fdopen(theirs, "w")

    def written(self) -> str:
        try:
            return os.read(self._ours, 1 << 16).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        self.stream.close()
        os.close(self._ours)
