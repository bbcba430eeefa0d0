"""Whether a container is ours, and whether it stays up and healthy once it is started."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from modules.api import Engine, EngineView, Json, ResourceError
from modules.container_spec import SPEC_LABEL
from modules.sizes import size_text

STEADY_SECONDS = 1.0  # what fails on start mostly fails at once
MAX_HEALTHY_SECONDS = 300.0
LOG_LINES = 5
_KILLED = 137  # the status of what was ended by SIGKILL
_YOUNG = re.compile(r"Up (Less than a|[0-9]+) second")  # of less than a minute, as engines put it
_CHECK_DEFAULTS = {"Interval": 30e9, "Timeout": 30e9, "StartPeriod": 0.0, "Retries": 3}  # the engine's own


def labels_of(found: Json) -> Mapping[str, str]:
    """The labels in an inspection."""
    labels: Mapping[str, str] | None = found["Config"].get("Labels")
    return labels or {}


def refuse_stranger(engine: EngineView, name: str, labels: Mapping[str, str] | None) -> None:
    """Raise ResourceError when a container of this name was made by somebody else."""
    if SPEC_LABEL not in (labels or {}):
        raise ResourceError(
            f"a container {name} was made by somebody else; remove it (`{engine.program} rm -f {name}`), rename this "
            "resource, or let it be replaced with `adopt: true`"
        )


def check(engine: Engine, name: str, *, started: float | None = None) -> None:
    """See that a container stays up and healthy since it was started (time.monotonic; now, when that is not known).

    So what was started together is watched one after another, in no more time than the slowest takes. Raises
    ResourceError with its last lines.
    """
    found = engine.inspect(name)
    if found is None:
        raise ResourceError(f"container {name} was removed while it was starting; the next pass makes it anew")
    bound = _healthy_seconds(found)
    passed = 0.0 if started is None else time.monotonic() - started
    settled = engine.settled(name, steady_seconds=STEADY_SECONDS - passed, healthy_seconds=bound - passed)
    trouble = _trouble(engine, name, settled, bound)
    if trouble:
        lines = engine.logs(name, LOG_LINES).strip()
        wrote = f"its last lines: {lines}" if lines else "it wrote nothing"
        raise ResourceError(f"container {name} {trouble}; {wrote}")


def _healthy_seconds(found: Json) -> float:
    """How long the engine may take to make up its mind about the health check that container and image give."""
    check = found["Config"].get("Healthcheck") or {}
    interval, timeout, start_period, retries = (check.get(key) or usual for key, usual in _CHECK_DEFAULTS.items())
    return float(min(MAX_HEALTHY_SECONDS, (start_period + (retries + 1) * (interval + timeout)) / 1e9))


def keeps_restarting(engine: EngineView, name: str, listed: Json) -> int:
    """How often the engine has started a container again by itself, if it did so within the last minute (its list entry)."""
    if listed["State"] != "running" or not _YOUNG.match(listed.get("Status") or ""):
        return 0
    return int((engine.inspect(name) or {}).get("RestartCount") or 0)


def lack_of_memory(engine: Engine, name: str, found: Json) -> str:
    """Say it when a container (its inspection) was killed for lack of memory, with its limit; empty when it was not."""
    if not engine.ran_out_of_memory(name):
        return ""
    limit = found["HostConfig"].get("Memory")
    return f"killed for lack of memory ({f'limit {size_text(limit)}' if limit else 'of the host: it has no limit'})"


def _trouble(engine: Engine, name: str, found: Json, healthy_seconds: float) -> str:
    """Say what is wrong with a settled container; empty when it is well."""
    state = found["State"]
    if state.get("Restarting") or found.get("RestartCount"):
        return f"keeps restarting, {found.get('RestartCount')} times by now{_ending(engine, name, found)}"
    if not state["Running"]:
        return f"ended with status {state.get('ExitCode')} right after its start{_ending(engine, name, found)}"
    health = (state.get("Health") or {}).get("Status", "")
    if health == "unhealthy":
        return f"is unhealthy: its check says {_last_check(state['Health'])!r}"
    return f"did not become healthy within {healthy_seconds:.0f} s" if health == "starting" else ""


def _ending(engine: Engine, name: str, found: Json) -> str:
    """How one that does not stay up has ended, and what to do, where more is known than its status."""
    limit = found["HostConfig"].get("Memory")
    next_step = f"; {'raise `memory`' if limit else 'bound it with `memory`'}, or find what in it needs so much"
    if killed := lack_of_memory(engine, name, found):
        return f": {killed}{next_step}"
    if limit and found["State"].get("ExitCode") == _KILLED:
        return f": killed, perhaps for lack of memory (limit {size_text(limit)}){next_step}"
    return ""


def _last_check(health: Json) -> str:
    log = health.get("Log") or [{}]
    return str(log[-1].get("Output", "")).strip()[-200:]
