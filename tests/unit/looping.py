"""A loop for the daemon's parts: turn the selector until something holds."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable


def turn_until(selector: selectors.BaseSelector, done: Callable[[], bool], seconds: float = 10.0) -> None:
    """Serve what is ready, as the daemon's loop does."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come to that"
        turn(selector)


def turn(selector: selectors.BaseSelector) -> None:
    """One turn."""
    for key, events in selector.select(0.02):
        key.data(events)
