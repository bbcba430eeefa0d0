"""What a fetch that must fail says."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from agent.errors import FetchFailed
from agent.source import Source

SECRET = "correct-horse-battery"
MakeSource = Callable[..., Source]


def refused(source: Source, seconds: float = 4) -> str:
    """What a fetch that must fail says, and that it says it soon and tells no secret."""
    started = time.monotonic()
    with pytest.raises(FetchFailed) as caught:
        source.fetch(None)
    assert time.monotonic() - started < seconds
    assert SECRET not in str(caught.value)
    return str(caught.value)


def noise(size: int = 3 << 20) -> bytes:
    """Bytes that do not compress."""
    return random.Random(1).randbytes(size)
