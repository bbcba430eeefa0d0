"""The engine's adapter: each look and each change is what the engine's API wants, and errors say what to do next."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from agent.host import engine_client
from agent.host import engine_docker as engine_module
from agent.host.engine_errors import explained
from modules.api import Engine, ResourceError
from tests.unit.docker_daemon import HANG, Answer, Daemon, serving
from tests.unit.docker_daemon import opened as open_engine


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with serving() as daemon:
        yield daemon


@pytest.fixture
def engine(daemon: Daemon) -> Engine:
    return open_engine(daemon.address)


def test_a_container_is_not_taken_for_one_whose_id_begins_with_its_name(daemon: Daemon, engine: Engine) -> None:
    daemon.answers["GET /v1.41/containers/ab/json"] = (200, {"Id": "ab12", "Name": "/other"})
    assert engine.inspect("ab") is None
    assert engine.inspect("none") is None


def test_the_log_is_bounded_and_decoded_whatever_it_holds(
    daemon: Daemon, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = b"x" * 5000 + b"\xff end"
    frame = b"\x01\0\0\0" + len(said).to_bytes(4, "big") + said
    daemon.answers["GET /v1.41/containers/web/json"] = (200, {"Config": {"Tty": False}})
    daemon.answers["GET /v1.41/containers/web/logs"] = (200, frame)
    written = engine.logs("web", 5)
    assert written.endswith("� end")
    assert len(written) == engine_module.MAX_LOG_CHARACTERS
    assert any(query.get("tail") == ["5"] for _, query in daemon.asked)


# Settling


def running(seconds: float = 0, **state: Any) -> dict[str, Any]:
    return {"Name": "/web", "RestartCount": 0, "State": {"Status": "running", "Running": True, **state}}


def settle(
    daemon: Daemon, engine: Engine, *states: dict[str, Any], steady_seconds: float = 0.3, healthy_seconds: float = 5
) -> tuple[Any, float]:
    """Play these inspections, the last for ever; what it settled on, and after how many seconds."""
    left = list(states)
    daemon.answers["GET /v1.41/containers/web/json"] = lambda: (200, left.pop(0) if len(left) > 1 else left[0])
    engine.inspect("none")  # loads the library
    started = time.monotonic()
    found = engine.settled("web", steady_seconds=steady_seconds, healthy_seconds=healthy_seconds)
    return found, time.monotonic() - started


def test_a_steady_container_settles_after_the_steady_time(daemon: Daemon, engine: Engine) -> None:
    _, seconds = settle(daemon, engine, running())
    assert 0.3 <= seconds < 5


@pytest.mark.parametrize(
    "end",
    [
        {"Name": "/web", "RestartCount": 0, "State": {"Status": "exited", "Running": False}},
        {"Name": "/web", "RestartCount": 1, "State": {"Status": "running", "Running": True}},
        running(Health={"Status": "unhealthy"}),
    ],
)
def test_what_has_failed_is_known_at_once(daemon: Daemon, engine: Engine, end: dict[str, Any]) -> None:
    found, seconds = settle(daemon, engine, end, steady_seconds=20)
    assert found == end
    assert seconds < 10


def test_a_health_check_is_waited_for(daemon: Daemon, engine: Engine) -> None:
    starting, healthy = running(Health={"Status": "starting"}), running(Health={"Status": "healthy"})
    found, seconds = settle(daemon, engine, *[starting] * 5, healthy)
    assert found == healthy
    assert seconds >= 0.4


def test_a_health_check_is_not_waited_for_without_end(daemon: Daemon, engine: Engine) -> None:
    found, seconds = settle(daemon, engine, running(Health={"Status": "starting"}), healthy_seconds=0.5)
    assert found["State"]["Health"]["Status"] == "starting"
    assert 0.5 <= seconds < 5


def test_a_container_that_is_removed_meanwhile_is_said(engine: Engine) -> None:
    with pytest.raises(ResourceError, match="removed while it was starting"):
        engine.settled("web", steady_seconds=0.3, healthy_seconds=1)


# Changing

PULL = "POST /v1.41/images/create"


def lines(*said: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\r\n" for each in said)


def test_a_pull_asks_for_name_and_tag_or_digest(daemon: Daemon, engine: Engine) -> None:
    daemon.answers[PULL] = (200, lines({"status": "Pulling"}, {"status": "Done"}))
    digest = "sha256:" + "a" * 64
    for reference in ("example.com:5000/app:1", f"app@{digest}"):
        engine.pull(reference)
    asked = [query for path, query in daemon.asked if path == PULL]
    assert asked == [
        {"fromImage": ["example.com:5000/app"], "tag": ["1"]},
        {"fromImage": ["app"], "tag": [digest]},
    ]


@pytest.mark.parametrize(
    ("answer", "said", "step"),
    [
        ((404, {"message": "manifest for app:9 not found: manifest unknown"}), "manifest unknown", "name and tag"),
        ((500, {"message": "dial tcp 127.0.0.1:5001: connect: connection refused"}), "refused", "reaches the registry"),
        ((500, {"message": 'Get "https://r/v2/": unauthorized'}), "unauthorized", "registry_auth_file"),
        ((200, lines({"status": "Pulling"}, {"error": "no space left on device"})), "no space", "docker system df"),
        ((200, b"broken off"), "the engine said b'broken off'", "journalctl -u docker"),
        ((500, b""), "500", "journalctl -u docker"),
    ],
)
def test_a_pull_that_fails_says_why_and_what_to_do(
    daemon: Daemon, engine: Engine, answer: Answer, said: str, step: str
) -> None:
    daemon.answers[PULL] = answer
    with pytest.raises(ResourceError) as raised:
        engine.pull("app:9")
    assert str(raised.value).startswith("image app:9 cannot be pulled: ")
    assert said in str(raised.value)
    assert step in str(raised.value)


def test_a_pull_that_says_nothing_ends(daemon: Daemon, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "SILENCE_SECONDS", 0.2)
    daemon.answers[PULL] = HANG
    started = time.monotonic()
    with pytest.raises(ResourceError, match=r"image app:1 cannot be pulled: .*timed out"):
        engine.pull("app:1")
    assert time.monotonic() - started < 5


def test_a_pull_that_never_ends_is_given_up(daemon: Daemon, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "PULL_SECONDS", 0)
    daemon.answers[PULL] = (200, lines(*[{"status": "Downloading"}] * 3))
    with pytest.raises(ResourceError, match="took longer than 0 s"):
        engine.pull("app:1")


def test_a_container_is_created_with_the_options_as_they_are(daemon: Daemon, engine: Engine) -> None:
    daemon.answers["POST /v1.41/containers/create"] = (201, {"Id": "1"})
    options = {"Image": "app:1", "Env": ["A=hush"], "HostConfig": {"PortBindings": {}}}
    engine.create("web", options)
    assert daemon.bodies[-1] == options
    assert daemon.asked[-1] == ("POST /v1.41/containers/create", {"name": ["web"]})


LISTING = "GET /v1.41/containers/json"
CHANGES: list[tuple[str, Callable[[Engine], object], str]] = [
    ("started", lambda engine: engine.start("web"), "POST /v1.41/containers/web/start"),
    ("stopped", lambda engine: engine.stop("web", 3), "POST /v1.41/containers/web/stop"),
    ("restarted", lambda engine: engine.restart("web", 3), "POST /v1.41/containers/web/restart"),
    ("unpaused", lambda engine: engine.unpause("web"), "POST /v1.41/containers/web/unpause"),
    ("renamed to db", lambda engine: engine.rename("web", "db"), "POST /v1.41/containers/web/rename"),
    ("removed", lambda engine: engine.remove("web", anonymous_volumes=True), "DELETE /v1.41/containers/web"),
    ("changed", lambda engine: engine.retire("web"), "POST /v1.41/containers/web/update"),
]


def test_a_container_that_has_just_ended_is_retired_once_the_engine_knows(daemon: Daemon, engine: Engine) -> None:
    ended = (500, {"message": "Cannot update container ab12: cannot update a stopped container: unknown"})
    left: list[Answer] = [ended, ended, (200, {})]
    daemon.answers["POST /v1.41/containers/web/update"] = lambda: left.pop(0)
    engine.retire("web")
    assert left == []
    daemon.answers["POST /v1.41/containers/web/update"] = (500, {"message": "no"})
    with pytest.raises(ResourceError, match="the restart policy of container web cannot be changed: no"):
        engine.retire("web")


@pytest.mark.parametrize(("what", "change", "path"), CHANGES)
def test_each_change_is_one_request(
    daemon: Daemon, engine: Engine, what: str, change: Callable[[Engine], object], path: str
) -> None:
    daemon.answers[path] = (200, {}) if "update" in path else (204, b"")
    daemon.answers[LISTING] = (200, [])
    change(engine)
    assert [asked for asked, _ in daemon.asked if not asked.startswith("GET ")] == [path]


@pytest.mark.parametrize(("what", "change", "path"), CHANGES)
def test_a_change_that_the_engine_refuses_says_why_and_what_to_do(
    daemon: Daemon, engine: Engine, what: str, change: Callable[[Engine], object], path: str
) -> None:
    daemon.answers[path] = (500, {"message": "driver failed:\n port is already allocated."})
    with pytest.raises(ResourceError) as raised:
        change(engine)
    assert "container web cannot be " in str(raised.value) or "policy of container web" in str(raised.value)
    assert f"{what}: driver failed: port is already allocated; `ss -ltnup` shows who has the port" in str(raised.value)


def test_stopping_waits_as_long_as_the_container_may_take(daemon: Daemon, engine: Engine) -> None:
    daemon.answers["POST /v1.41/containers/web/stop"] = (204, b"")
    daemon.answers[LISTING] = (200, [])
    engine.stop("web", 7)
    assert ("POST /v1.41/containers/web/stop", {"t": ["7"]}) in daemon.asked


def test_stopping_waits_for_the_list_which_comes_after_the_answer(daemon: Daemon, engine: Engine) -> None:
    states = iter(["running", "running", "exited"])
    daemon.answers["POST /v1.41/containers/web/stop"] = (204, b"")
    daemon.answers[LISTING] = lambda: (200, [{"Names": ["/web"], "State": next(states)}])
    engine.stop("web", 7)
    assert next(states, None) is None


def test_anonymous_volumes_go_only_when_asked_for(daemon: Daemon, engine: Engine) -> None:
    daemon.answers["DELETE /v1.41/containers/web"] = (204, b"")
    for wanted in (True, False):
        engine.remove("web", anonymous_volumes=wanted)
        assert daemon.asked[-1][1]["v"] == [str(wanted)]


def test_a_long_message_is_cut(daemon: Daemon, engine: Engine) -> None:
    daemon.answers["POST /v1.41/containers/web/start"] = (500, {"message": "x" * 5000})
    with pytest.raises(ResourceError) as raised:
        engine.start("web")
    assert len(str(raised.value)) < 800


def test_an_image_is_known_by_its_id_or_not_at_all(daemon: Daemon, engine: Engine) -> None:
    daemon.answers["GET /v1.41/images/app:1/json"] = (200, {"Id": "sha256:1"})
    assert engine.image("app:1") == {"Id": "sha256:1"}
    assert engine.image("app:2") is None


def test_an_error_that_the_library_does_not_understand_is_an_error_still(daemon: Daemon, engine: Engine) -> None:
    daemon.answers["POST /v1.41/containers/web/start"] = (500, {})
    with pytest.raises(ResourceError, match="container web cannot be started: the engine's answer has no 'message'"):
        engine.start("web")


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ("network backend not found", "docker network create"),
        ("failed to set up container networking: network backend not found", "docker network create"),
        ('exec: "serve": executable file not found in $PATH', "check command and entrypoint"),
        ("unable to find user app: no matching entries in passwd file", "check user"),
        ("invalid mount config: bind source path does not exist: /srv", "declare it in Git"),
        ("tls: failed to verify certificate: x509: unknown authority", "certs.d"),
        ("http: server gave HTTP response to HTTPS client", "insecure-registries"),
        ("pull access denied for app", "registry_auth_file"),
        ("something new", "journalctl -u docker"),
    ],
)
def test_what_engines_say_has_its_next_step(message: str, step: str) -> None:
    assert step in str(explained("it failed", message))


def test_a_refusal_that_is_no_json_is_said_all_the_same(engine: Any) -> None:
    from docker.errors import APIError

    with pytest.raises(ResourceError, match="it cannot be changed: Not Found"), engine.asking("it cannot be changed"):
        raise APIError("refused", explanation=cast("str", b"Not Found"))  # as the library of Debian 12 has it
