"""Health: what checks see, before a change and after it. Only what was well before counts against a change."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.catalog import Catalog
from modules.api import ResourceError, Watcher
from modules.checks import Check, Health, Seen

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
    return [_verdict(check, _ask(check, host)) for check in checks]


def settle(
    checks: Sequence[Check],
    host: Watcher,
    before: Mapping[str, Verdict],
    timing: Timing,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Verdict]:
    """Ask until all that must be well has been so for a while, or until the time is up, or somebody wants to go on.

    What was ill before the change, and what is not required, is not waited for.
    """
    awaited = {check.id for check in checks if check.required and (check.id not in before or before[check.id].well)}
    deadline = time.monotonic() + timing.timeout
    steady_since, marks = time.monotonic(), dict[str, str]()
    while True:
        seen = {check.id: _ask(check, host) for check in checks}
        now, new_marks = time.monotonic(), {name: found.mark for name, found in seen.items()}
        if marks != new_marks or any(seen[name].health is not Health.HEALTHY for name in awaited):
            steady_since, marks = now, new_marks
        if now - steady_since >= timing.settle and _all_well(seen, awaited):
            break
        if now >= deadline or stopped():
            break
        time.sleep(POLL_SECONDS)
    return [_verdict(check, seen[check.id], before.get(check.id)) for check in checks]


def worst(verdicts: Sequence[Verdict]) -> Health:
    """The health of the whole: that of the worst."""
    return max((verdict.health for verdict in verdicts), key=_ORDER.index, default=Health.HEALTHY)


def regressions(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """What counts against a change: required, well before it, and ill now."""
    return [verdict for verdict in verdicts if verdict.required and verdict.regressed]


def checks_of(catalog: Catalog) -> tuple[Check, ...]:
    """The checks that the repository declares, and those that resources bring by themselves, each once."""
    from modules.checks import built_in

    own = (check for node in catalog.nodes for check in built_in(node.resource))
    return tuple({check.id: check for check in (*own, *catalog.checks)}.values())


def _all_well(seen: Mapping[str, Seen], awaited: set[str]) -> bool:
    return all(seen[name].health is Health.HEALTHY for name in awaited)


def _ask(check: Check, host: Watcher) -> Seen:
    try:
        return check.ask(host)
    except ResourceError as error:
        return Seen(Health.UNKNOWN, str(error))


def _verdict(check: Check, seen: Seen, before: Verdict | None = None) -> Verdict:
    regressed = seen.health is not Health.HEALTHY and (before is None or before.well)
    return Verdict(check.id, seen.health, seen.message, check.required, regressed)
