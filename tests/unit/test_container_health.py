"""Whether a container stays up, and what is said of one that does not, on an engine in memory."""

from __future__ import annotations

from typing import Any, cast

import pytest

from modules.api import Host, ResourceError
from modules.container import Container
from tests.unit.convergence import converge
from tests.unit.fake_engine import EngineMachine, FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine("app:1")


@pytest.fixture
def host(engine: FakeEngine) -> Host:
    return cast("Host", EngineMachine(engine))


def web(**fields: Any) -> Container:
    return Container(name="web", image="app:1", **fields)


def test_one_that_keeps_restarting_is_said_to(host: Host, engine: FakeEngine) -> None:
    converge(web(restart="always"), host)
    engine.standing["web"] |= {"RestartCount": 4}
    engine.standing["web"]["State"] |= {"Status": "restarting", "Restarting": True}
    with pytest.raises(ResourceError, match="keeps restarting, 4 times by now; its last lines: last words"):
        converge(web(restart="always"), host)


def test_one_that_only_just_runs_again_has_not_stayed_up(host: Host, engine: FakeEngine) -> None:
    converge(web(ensure="stopped", restart="always"), host)
    engine.standing["web"] |= {"RestartCount": 1}
    with pytest.raises(ResourceError, match="keeps restarting, 1 times by now"):
        converge(web(restart="always"), host)


@pytest.mark.parametrize(
    ("status", "restarts", "condition"),
    [
        ("Up Less than a second", 1, "restarting"),
        ("Up 1 second", 1, "restarting"),
        ("Up 59 seconds (healthy)", 4, "restarting"),
        ("Up 59 seconds", 0, "running"),
        ("Up About a minute", 4, "running"),
        ("Up 3 hours", 4, "running"),
    ],
)
def test_one_that_the_engine_has_started_again_lately_is_not_taken_for_one_that_runs_well(
    host: Host, engine: FakeEngine, status: str, restarts: int, condition: str
) -> None:
    converge(web(), host)
    engine.standing["web"] |= {"Status": status, "RestartCount": restarts}
    assert web().observe(host)["ensure"] == condition


@pytest.mark.parametrize(
    ("memory", "state", "said"),
    [
        (1 << 24, {"OOMKilled": True}, r": killed for lack of memory \(limit 16m\); raise `memory`, or find"),
        (None, {"OOMKilled": True}, r": killed for lack of memory \(of the host: it has no limit\); bound it with"),
        (1 << 24, {"ExitCode": 137}, r": killed, perhaps for lack of memory \(limit 16m\); raise `memory`"),
        (1 << 24, {"ExitCode": 3}, r"; its last lines"),
        (None, {"ExitCode": 137}, r"; its last lines"),
    ],
)
def test_lack_of_memory_is_said_with_the_limit(
    host: Host, engine: FakeEngine, memory: int | None, state: dict[str, Any], said: str
) -> None:
    held = web(restart="always", memory=memory)
    converge(held, host)
    engine.standing["web"] |= {"RestartCount": 2}
    engine.standing["web"]["State"] |= {"Status": "restarting", "Restarting": True, **state}
    with pytest.raises(ResourceError, match=f"keeps restarting, 2 times by now{said}"):
        converge(held, host)
