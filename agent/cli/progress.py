"""What goes on, while it takes long: one line of a terminal that is written over; nothing of it in a pipe or a file."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any, Self

from agent.cli.text import printable

SHOW_AGE_AFTER = 2.0  # seconds
CLEAR = "\r\033[K"


class Progress:
    """The line, on standard error; it is gone when the `with` block ends, however that ends."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        stream = stream or sys.stderr
        self.shown = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._descriptor = stream.fileno() if self.shown else -1
        self._text = ""
        self._since = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def say(self, text: str) -> None:
        """Say what goes on now."""
        self._text, self._since = printable(text).partition("\n")[0], time.monotonic()
        self.show()

    def clear(self) -> None:
        """Say nothing; to be called before anything else is printed."""
        self._text = ""
        self._write(CLEAR)

    def show(self) -> None:
        """Write the line again, with how long it has been true."""
        if self.shown and self._text:
            age = int(time.monotonic() - self._since)
            text = f"{self._text} {age} s" if age >= SHOW_AGE_AFTER else self._text
            self._write(f"{CLEAR}{text[: os.get_terminal_size(self._descriptor).columns - 1]}")

    def _write(self, text: str) -> None:
        """Past the buffers of the stream, which an interrupted print may hold."""
        if self.shown:
            os.write(self._descriptor, text.encode(errors="replace"))

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Keep the age current while the body runs. It takes the interval timer, which templates need when they are compiled."""
        if not self.shown:
            yield
            return
        before = signal.signal(signal.SIGALRM, lambda _number, _frame: self.show())
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def observing(count: int) -> str:
    """Looking at the host."""
    return f"observing {count:,} resource{'' if count == 1 else 's'}"


def applying(event: Mapping[str, Any]) -> str:
    """One step in hand: `applying 12 of 143: package:nginx`."""
    more = f" and {event['more']} more" if event.get("more") else ""
    return f"applying {event['step']:,} of {event['steps']:,}: {event['id']}{more}"
