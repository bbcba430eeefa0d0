"""When passes are due: APScheduler's timers, spread over the fleet by a stable offset, and back-off after failures."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

JITTER_SHARE = 0.2
FIRST_BACK_OFF_SECONDS, LAST_BACK_OFF_SECONDS = 5.0, 900.0


class Schedule:
    """The timers of the daemon; `post(reason)` is called in another thread when one is due."""

    def __init__(self, post: Callable[[str], None]) -> None:
        self._post = post
        scheduler = _scheduler_class()
        self._scheduler = scheduler(timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None})

    def start(self, poll_seconds: int, drift_seconds: int) -> None:
        """Begin; the first poll and drift pass of a host come at its own offset within their intervals."""
        self._scheduler.start()
        self.set(poll_seconds, drift_seconds)

    def set(self, poll_seconds: int, drift_seconds: int) -> None:
        """Change the intervals."""
        self._seconds = {"poll": poll_seconds, "drift": drift_seconds}
        for reason, seconds in self._seconds.items():
            self._scheduler.add_job(
                self._post,
                "interval",
                args=[reason],
                id=reason,
                seconds=seconds,
                jitter=max(1, int(seconds * JITTER_SHARE)),
                start_date=datetime.now(UTC) + timedelta(seconds=offset(reason, seconds)),
                replace_existing=True,
            )

    def next(self, reason: str) -> float:
        """When a timer is due next, in seconds since the epoch."""
        job: Any = self._scheduler.get_job(reason)
        return float(job.next_run_time.timestamp()) if job and job.next_run_time else 0.0

    def check(self) -> None:
        """Set the timers anew when the clock was set back: they go by it, and would stay silent until it is there again."""
        now = time.time()
        if any(self.next(reason) - now > 2 * seconds for reason, seconds in self._seconds.items()):
            self.set(self._seconds["poll"], self._seconds["drift"])

    def stop(self) -> None:
        """End the timers."""
        self._scheduler.shutdown(wait=False)


def _scheduler_class() -> Any:  # noqa: ANN401  (APScheduler has no types)
    """Import APScheduler without OpenSSL: it takes one function from asyncio, which does without TLS as well.

    These are 4 MB in a process that stays for ever and speaks to nobody but this host.
    """
    modules: dict[str, Any] = sys.modules
    modules.setdefault("ssl", None)  # None makes an import fail, as where Python was built without
    try:
        from apscheduler.schedulers.background import BackgroundScheduler
    finally:
        if modules["ssl"] is None:
            del modules["ssl"]
    return BackgroundScheduler


def offset(reason: str, seconds: int, machine_id: str = "") -> float:
    """This host's place in an interval: always the same, and spread evenly over many hosts."""
    place = random.Random(f"{reason} {machine_id or _machine_id()}").random()  # noqa: S311  (hashlib loads OpenSSL)
    return max(1.0, place * seconds)


def _machine_id() -> str:
    try:
        with open("/etc/machine-id", encoding="ascii", errors="replace") as file:
            return file.read(64).strip()
    except OSError:
        return ""


class BackOff:
    """How long to leave a remote alone: twice as long after each failure, with jitter, and at once after a success."""

    def __init__(self) -> None:
        self.failures = 0
        self._until = 0.0

    def failed(self) -> None:
        """Count one more failure."""
        wait = min(LAST_BACK_OFF_SECONDS, FIRST_BACK_OFF_SECONDS * 2 ** min(self.failures, 10))
        self.failures += 1
        self._until = time.monotonic() + wait * random.uniform(1 - JITTER_SHARE, 1 + JITTER_SHARE)  # noqa: S311

    def succeeded(self) -> None:
        """Forget the failures."""
        self.failures, self._until = 0, 0.0

    @property
    def holds(self) -> bool:
        """Tell whether it is too early to ask again."""
        return time.monotonic() < self._until
