"""How a container ended, told from the events that its engine remembers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence

import pytest

from modules.api import Engine
from tests.unit.docker_daemon import Daemon, serving
from tests.unit.docker_daemon import opened as open_engine


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with serving() as daemon:
        yield daemon


@pytest.fixture
def engine(daemon: Daemon) -> Engine:
    return open_engine(daemon.address)


def happened(daemon: Daemon, actions: Sequence[str] | None, others: int = 0) -> None:
    """Let the engine remember this of the container, and so many events of others."""
    found = {"Name": "/web", "Id": "ab12", "Created": "2026-01-01T00:00:00.123456789Z", "State": {}}
    events = [("cd34", "kill")] * others + [("ab12", action) for action in actions or ()]
    lines = b"".join(json.dumps({"Action": action, "Actor": {"ID": name}}).encode() + b"\n" for name, action in events)
    daemon.answers["GET /v1.41/containers/web/json"] = (200, found)
    daemon.answers["GET /v1.41/events"] = (500, {"message": "none"}) if actions is None else (200, lines)


@pytest.mark.parametrize(
    ("actions", "others", "stopped"),
    [
        (["create", "start", "die"], 0, False),
        (["create", "start", "die"], 5, False),
        (["create", "start", "oom", "die"], 0, False),
        (["create", "start", "kill", "die", "stop"], 0, True),
        (["create", "start", "kill", "die"], 0, True),
        ([], 0, True),  # the engine has started since
        (["die"], 5, True),
        (["die"], 255, False),  # or has forgotten the start, for all that has happened since
        (None, 0, True),
    ],
)
def test_who_ended_a_container_is_told_from_the_engines_events(
    daemon: Daemon, engine: Engine, actions: list[str] | None, others: int, stopped: bool
) -> None:
    happened(daemon, actions, others)
    assert engine.was_stopped("web") is stopped
    (query,) = (query for path, query in daemon.asked if path == "GET /v1.41/events")
    assert query["since"] == ["1767225600"]


@pytest.mark.parametrize(
    ("actions", "killed"), [(["start", "oom", "die", "start"], True), (["start", "die"], False), (None, False)]
)
def test_lack_of_memory_is_told_from_the_engines_events_when_it_runs_again(
    daemon: Daemon, engine: Engine, actions: list[str] | None, killed: bool
) -> None:
    happened(daemon, actions)
    assert engine.ran_out_of_memory("web") is killed
    (query,) = (query for path, query in daemon.asked if path == "GET /v1.41/events")
    assert time.time() - 700 < int(query["since"][0]) < time.time(), "only of late"
