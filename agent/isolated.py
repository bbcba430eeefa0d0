"""A function in a child process of its own, so that a library that hangs or crashes takes down nothing but the call."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any


class Overdue(Exception):
    """The function showed no sign of life for as long as it may."""


class Died(Exception):
    """The child ended without a result."""


Function = Callable[[Callable[[], None]], Any]


def run_isolated(function: Function, quiet_seconds: float) -> Any:  # noqa: ANN401  (JSON)
    """Call `function(alive)` in a forked child and return what it returns, through JSON.

    It may run as long as it calls `alive` at least every `quiet_seconds`; then the child is killed and Overdue raised.
    An exception of the function must be turned into a result by the function itself; what escapes it raises Died.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _be_child(function, writer, quiet_seconds)
    os.close(writer)
    try:
        answer = _listen(reader, quiet_seconds)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # nothing when it has ended: it is not yet waited for
        os.waitpid(child, 0)
    if not answer:
        raise Died("it ended without a result")
    return json.loads(answer)


def _be_child(function: Function, writer: int, quiet_seconds: float) -> None:
    """Run the function and leave at once: nothing of the parent (open databases, buffers) is to be ended by us."""
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(null, descriptor)
        limit = math.ceil(quiet_seconds) + 1

        def alive() -> None:
            signal.alarm(limit)  # the kernel ends us should the parent no longer be there to do it
            _write(writer, b".")

        alive()
        answer = json.dumps(function(alive))
        _write(writer, b"\n" + answer.encode())
        status = 0
    finally:
        os._exit(status)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _listen(reader: int, quiet_seconds: float) -> bytes:
    """Read signs of life, then the answer after a line end; empty when there is none."""
    received = b""
    deadline = time.monotonic() + quiet_seconds
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            raise Overdue(f"no sign of life for {quiet_seconds:g} s")
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return received.lstrip(b".").removeprefix(b"\n")
        received = (received + chunk).lstrip(b".") or b"."
        deadline = time.monotonic() + quiet_seconds
