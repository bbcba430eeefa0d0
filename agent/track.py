"""The track record of revisions on this host: which was good, which was rolled back and why, which still has to prove itself.

A revision is judged by the digest of what it asks for, so that another commit that asks for the same is no better.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agent.store import Store

KEPT_REJECTIONS, KEPT_GOOD = 20, 10
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 5, 900
JITTER_SHARE = 0.2  # of a wait, either way


@dataclass(frozen=True)
class Rejection:
    """What was rolled back: it is not applied again by itself."""

    plan: str  # the digest of what it asked for
    commit: str
    reason: str
    at: int  # seconds since the epoch
    one_way: Sequence[str] = ()  # what it changed and cannot be undone


@dataclass(frozen=True)
class Soak:
    """A revision that was applied and has to stay healthy until a moment."""

    plan: str
    commit: str
    until: int  # seconds since the epoch; 0 while it was not judged yet
    counted: tuple[str, ...]  # the checks that count against it: those that were well before it, or are new with it


@dataclass(frozen=True)
class Attempts:
    """How often the same was tried in vain, and when the next try is."""

    plan: str
    count: int
    next_at: float  # seconds since the epoch


# Rejections


def rejected(store: Store, plan: str) -> Rejection | None:
    """Why what a revision asks for is not applied again; None when nothing speaks against it."""
    return next((found for found in rejections(store) if found.plan == plan), None)


def rejections(store: Store) -> list[Rejection]:
    """All of them, the newest first."""
    return [Rejection(**found) for found in json.loads(store.recall("rejected") or "[]")]


def reject(store: Store, rejection: Rejection, instead: str) -> None:
    """Remember what is rolled back and which commit is in force instead, in one: a pass that dies here must not hold the bad one."""
    others = [found for found in rejections(store) if found.plan != rejection.plan]
    kept = json.dumps([asdict(found) for found in [rejection, *others][:KEPT_REJECTIONS]])
    store.remember(rejected=kept, in_force=instead, soak="")


def forgive(store: Store) -> int:
    """Forget all rejections and attempts, so that everything is tried again; how many there were."""
    count = len(rejections(store))
    store.remember(rejected="", attempts="")
    return count


# Proving


def good(store: Store) -> str:
    """The commit that was last applied and stayed healthy; empty when there was none."""
    return next(iter(good_ones(store)), "")


def good_ones(store: Store) -> list[str]:
    """The last commits that were applied and stayed healthy, the newest first."""
    return store.recall("good").split()


def soaking(store: Store, plan: str = "") -> Soak | None:
    """What has to prove itself; only when it is about this plan, if one is given."""
    found = _recall(store, "soak")
    if not found or (plan and found["plan"] != plan):
        return None
    return Soak(**{**found, "counted": tuple(found["counted"])})


def begin_soak(store: Store, soak: Soak) -> None:
    """Watch a revision from now on."""
    _remember(store, "soak", asdict(soak))


def proved(store: Store, commit: str, checked: Sequence[str]) -> None:
    """Note that a revision is good, and which checks it was seen with."""
    others = [known for known in good_ones(store) if known != commit]
    store.remember(good=" ".join([commit, *others][:KEPT_GOOD]), soak="", checked=json.dumps(sorted(checked)))


def checked(store: Store) -> frozenset[str]:
    """The checks that the last good revision was seen with, well or ill: any other is new."""
    return frozenset(json.loads(store.recall("checked") or "[]"))


# Trying again


def failed(store: Store, plan: str, host: str, now: float | None = None) -> Attempts:
    """Count one more try in vain of this host; the first of something new waits shortest."""
    before = attempts(store)
    count = before.count + 1 if before and before.plan == plan else 1
    next_at = (time.time() if now is None else now) + wait_seconds(host, plan, count)
    found = Attempts(plan, count, round(next_at, 3))
    _remember(store, "attempts", asdict(found))
    return found


def wait_seconds(host: str, plan: str, count: int) -> float:
    """How long to wait after so many tries in vain: 5 s, twice as long each time, up to 15 min; 20 % more or less.

    By how much is always the same for one host, plan and count, and spread evenly over hosts that fail together.
    """
    wait: float = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(count - 1, 10))
    place = zlib.crc32(f"{host} {plan} {count}".encode()) / (1 << 32)
    return wait * (1 + JITTER_SHARE * (2 * place - 1))


def succeeded(store: Store) -> None:
    """Forget the tries in vain."""
    store.remember(attempts="")


def attempts(store: Store) -> Attempts | None:
    """The tries in vain so far."""
    found = _recall(store, "attempts")
    return Attempts(**found) if found else None


def _recall(store: Store, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(store.recall(name) or "{}")
    return found


def _remember(store: Store, name: str, value: object) -> None:
    store.remember(**{name: json.dumps(value)})
