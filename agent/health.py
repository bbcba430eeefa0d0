"""Health: what checks see, before a change and after it. Only what was well before counts against a change."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.catalog import Catalog
from modules.api import Watcher
from modules.checks import Check, Health, Seen, built_in

POLL_SECONDS = 0.5
_ORDER = tuple(Health)  # the best first


@dataclass(frozen=True)
class Timing:
    """How long health is waited for, in seconds."""

    settle: float  # it must stay well for so long
    timeout: float  # it must have become well in so long


@dataclass(frozen=True)
class Verdict:
    """What one check came to."""

    id: str
    health: Health
    message: str = ""
    required: bool = True
    regressed: bool = False  # it was well before the change, and is not now

    @property
    def well(self) -> bool:
        """Tell whether it does its work."""
        return self.health is Health.HEALTHY


def look(checks: Sequence[Check], host: Watcher) -> list[Verdict]:
    """Ask every check once."""
    seen = _ask(checks, host)
    return [_verdict(check, seen[check.id]) for check in checks]


def settle(
    checks: Sequence[Check],
    host: Watcher,
    before: Mapping[str, Verdict],
    timing: Timing,
    given_up: Callable[[], str] = lambda: "",
    failed: Collection[str] = (),
) -> list[Verdict]:
    """Ask until all that must be well has been so for a while, or until the time is up, or somebody wants to go on.

    What was ill before the change, and what is not required, is not waited for; what a resource brings that `failed` (by id) gets
    the shorter time, in which it shows whether it only looks well.
    """
    awaited = counting(checks, before)
    hopeful = [name for name in awaited if name not in failed]
    least = timing.settle if len(hopeful) < len(awaited) else 0.0
    began = time.monotonic()
    deadline = began + timing.timeout
    steady = _Steady()
    while True:
        seen = _ask(checks, host)
        now = time.monotonic()
        steady.note(seen, now)
        done = now - began >= least and all(now - steady.since[name] >= timing.settle for name in hopeful)
        if done or now >= deadline or given_up():
            seen |= steady.unsteady(seen, awaited, now - timing.settle)
            break
        time.sleep(POLL_SECONDS)
    return [_verdict(check, seen[check.id], before.get(check.id)) for check in checks]


def counting(checks: Sequence[Check], before: Mapping[str, Verdict]) -> tuple[str, ...]:
    """The checks that a change must leave well: required, and not ill already before it."""
    return tuple(check.id for check in checks if check.required and (check.id not in before or before[check.id].well))


class _Steady:
    """Since when each check has been well without a new mark."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}  # never, where it is not well
        self._marks: dict[str, str] = {}

    def note(self, seen: Mapping[str, Seen], now: float) -> None:
        """Take in one round of answers."""
        for name, found in seen.items():
            if found.health is not Health.HEALTHY:
                self.since[name] = math.inf
            elif self._marks.get(name) != found.mark or self.since[name] == math.inf:
                self.since[name] = now
            self._marks[name] = found.mark

    def unsteady(self, seen: Mapping[str, Seen], awaited: Collection[str], moment: float) -> dict[str, Seen]:
        """What is well just now, but was not so since a moment: a service that crashes is up between two crashes."""
        hasty = {name for name in awaited if moment < self.since[name] < math.inf}
        return {name: Seen(Health.DEGRADED, f"{name} does not stay well", seen[name].mark) for name in hasty}


def worst(verdicts: Sequence[Verdict]) -> Health:
    """The health of the whole: that of the worst."""
    return max((verdict.health for verdict in verdicts), key=_ORDER.index, default=Health.HEALTHY)


def checks_of(catalog: Catalog) -> tuple[Check, ...]:
    """The checks that the repository declares, and those that resources bring by themselves, each once."""
    return tuple({check.id: check for check in (*(check for check, _ in _brought(catalog)), *catalog.checks)}.values())


def at_rest(catalog: Catalog, known: Mapping[str, Health], host: Watcher) -> list[Verdict]:
    """What checks see where nothing was changed; of what resources bring themselves, what is known of the resource."""
    declared = {check.id for check in catalog.checks}
    brought = [(check, name) for check, name in _brought(catalog) if check.id not in declared]
    seen = [
        Verdict(check.id, known[name], "" if known[name] is Health.HEALTHY else f"{name} is not in sync")
        for check, name in brought
    ]
    return [*seen, *look(catalog.checks, host)]


def _brought(catalog: Catalog) -> Iterator[tuple[Check, str]]:
    return ((check, node.id) for node in catalog.nodes for check in built_in(node.resource))


def _ask(checks: Sequence[Check], host: Watcher) -> dict[str, Seen]:
    """Ask each kind of check at once; what was seen, by the id of the check."""
    by_kind: defaultdict[type[Check], list[Check]] = defaultdict(list)
    for check in checks:
        by_kind[type(check)].append(check)
    found: dict[str, Seen] = {}
    for kind, some in by_kind.items():
        found |= zip((check.id for check in some), _answers(kind, some, host), strict=True)
    return found


def _answers(kind: type[Check], checks: Sequence[Check], host: Watcher) -> Sequence[Seen]:
    try:
        return kind.ask_all(host, checks)
    except Exception as error:  # noqa: BLE001  (whatever a check meets, it must not end the pass that mends the host)
        return [Seen(Health.UNKNOWN, f"it cannot be asked: {type(error).__name__}: {error}")] * len(checks)


def _verdict(check: Check, seen: Seen, before: Verdict | None = None) -> Verdict:
    regressed = seen.health is not Health.HEALTHY and (before is None or before.well)
    return Verdict(check.id, seen.health, seen.message, check.required, regressed)
