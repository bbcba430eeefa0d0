"""Whether a container is ours, and whether it stays up and healthy once it is started."""

from __future__ import annotations

import time
from collections.abc import Mapping

from modules.api import Engine, EngineView, Json, ResourceError
from modules.container_spec import SPEC_LABEL

STEADY_SECONDS = 1.0  # what fails on start mostly fails at once
MAX_HEALTHY_SECONDS = 300.0
LOG_LINES = 5
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
    trouble = _trouble(settled, bound)
    if trouble:
        lines = engine.logs(name, LOG_LINES).strip()
        wrote = f"its last lines: {lines}" if lines else "it wrote nothing"
        raise ResourceError(f"container {name} {trouble}; {wrote}")


def _healthy_seconds(found: Json) -> float:
    """How long the engine may take to make up its mind about the health check that container and image give."""
    check = found["Config"].get("Healthcheck") or {}
    interval, timeout, start_period, retries = (check.get(key) or usual for key, usual in _CHECK_DEFAULTS.items())
    return float(min(MAX_HEALTHY_SECONDS, (start_period + (retries + 1) * (interval + timeout)) / 1e9))


def _trouble(found: Json, healthy_seconds: float) -> str:
    """Say what is wrong with a settled container; empty when it is well."""
    state = found["State"]
    if state.get("Restarting") or found.get("RestartCount"):
        return f"keeps restarting, {found.get('RestartCount')} times by now"
    if not state["Running"]:
        cause = ", out of memory" if state.get("OOMKilled") else ""
        return f"ended with status {state.get('ExitCode')} right after its start{cause}"
    health = (state.get("Health") or {}).get("Status", "")
    if health == "unhealthy":
        return f"is unhealthy: its check says {_last_check(state['Health'])!r}"
    return f"did not become healthy within {healthy_seconds:.0f} s" if health == "starting" else ""


def _last_check(health: Json) -> str:
    log = health.get("Log") or [{}]
    return str(log[-1].get("Output", "")).strip()[-200:]
