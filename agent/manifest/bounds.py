"""What rendering may take: processor time by an interval timer, memory by the kernel's own limit."""

from __future__ import annotations

import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

VALUE_SECONDS = 2.0  # of processor time for one value or template: a busy machine must not make a good revision bad
HOST_SECONDS = 300.0  # for all of one host
HOST_BYTES = 512 << 20  # of address space, beyond what the process had before
_INSIST_SECONDS = 0.5  # an interrupt that hits a destructor is lost, so it comes again


class OverTime(Exception):
    """An expression or template ran longer than it may."""


class Bounds:
    """The bounds of rendering for one host. They hold in the main thread; elsewhere the pass has a deadline of its own."""

    def __init__(
        self, value_seconds: float = VALUE_SECONDS, host_seconds: float = HOST_SECONDS, host_bytes: int = HOST_BYTES
    ) -> None:
        self._value_seconds, self._host_seconds = value_seconds, host_seconds
        self._left = host_seconds
        self._ceiling = _address_space() + host_bytes

    @contextmanager
    def one_value(self) -> Iterator[None]:
        """Raise OverTime or MemoryError where the body takes more than it may. A value rendered for another counts as part of it."""
        inside = signal.getitimer(signal.ITIMER_PROF)[0] > 0
        if inside or threading.current_thread() is not threading.main_thread():
            yield
            return
        if self._left <= 0:
            raise OverTime(f"rendering for this host took more than {self._host_seconds:g} s in all")
        started = time.process_time()
        try:
            with _memory_limit(self._ceiling), _time_limit(min(self._value_seconds, self._left)):
                yield
        finally:
            self._left -= time.process_time() - started


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise OverTime(f"it ran longer than {seconds:g} s; is there a loop that never ends?")

    before = signal.signal(signal.SIGPROF, interrupt)
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds, _INSIST_SECONDS)
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _memory_limit(ceiling: int) -> Iterator[None]:
    """No single operation of a template can be interrupted, so it is the kernel that refuses it memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(ceiling, *known), hard) if known else (ceiling, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def memory_for_others() -> Iterator[None]:
    """Lift the limit while the body starts a program, which would inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
