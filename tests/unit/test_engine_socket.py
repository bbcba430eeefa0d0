"""Opening an engine and listing its containers: with the standard library alone, and clear about what is wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import socketserver
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from agent.host import engine_socket
from modules.api import Engine, ResourceError, Unsupported
from tests.unit.docker_daemon import HANG, Answer, Daemon, serving
from tests.unit.docker_daemon import opened as open_engine


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with serving() as daemon:
        yield daemon


@pytest.fixture
def engine(daemon: Daemon) -> Engine:
    return open_engine(daemon.address)


def test_no_engine_is_said_with_what_to_install() -> None:
    with pytest.raises(Unsupported) as raised:
        open_engine("unix:///nowhere/docker.sock")
    assert "no container engine at unix:///nowhere/docker.sock; install docker.io" in str(raised.value)
    assert "package:docker.io (and python3-docker)" in str(raised.value)


def test_an_address_that_is_no_unix_socket_is_refused() -> None:
    with pytest.raises(Unsupported, match="must be reached by a Unix socket, /PATH"):
        open_engine("tcp://127.0.0.1:2375")


def test_a_path_is_as_good_as_an_address(daemon: Daemon) -> None:
    daemon.answers["GET /v1.41/containers/json"] = (200, [])
    assert open_engine(daemon.address.removeprefix("unix://")).containers(["web"]) == {}


def test_an_engine_that_has_stopped_is_said(daemon: Daemon) -> None:
    path = f"{os.path.dirname(daemon.address.removeprefix('unix://'))}/dead.sock"
    socketserver.UnixStreamServer(path, socketserver.BaseRequestHandler).server_close()
    with pytest.raises(ResourceError, match=r"does not answer: .*refused; `systemctl status docker`") as raised:
        open_engine(f"unix://{path}")
    assert not isinstance(raised.value, Unsupported)


def test_an_engine_that_says_nothing_is_waited_for_a_while(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_socket, "ANSWER_SECONDS", 0.1)
    daemon.answers["GET /_ping"] = HANG
    with pytest.raises(ResourceError, match="does not answer: timed out"):
        open_engine(daemon.address)


@pytest.mark.skipif(os.geteuid() != 0, reason="missing root: the test becomes another user")
def test_another_user_is_told_to_be_root(daemon: Daemon) -> None:
    folder = os.path.dirname(daemon.address.removeprefix("unix://"))
    os.chmod(folder, 0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(ResourceError, match=r"this user may not use the container engine .*; run as root"):
            open_engine(daemon.address)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("spoken", "version"), [("1.41", "1.41"), ("1.43", "1.43"), ("1.44", "1.44"), ("1.52", "1.44")]
)
def test_one_version_is_agreed_on(daemon: Daemon, spoken: str, version: str) -> None:
    daemon.api = spoken
    path = f"/v{version}/containers/json"
    daemon.answers[f"GET {path}"] = (200, [])
    assert open_engine(daemon.address).containers(["web"]) == {}
    assert daemon.asked[-1][0] == f"GET {path}"


@pytest.mark.parametrize(("spoken", "reason"), [("1.40", "speaks only API 1.40; upgrade it"), ("x", "no API version")])
def test_an_engine_that_is_too_old_or_none_is_refused(daemon: Daemon, spoken: str, reason: str) -> None:
    daemon.api = spoken
    with pytest.raises(ResourceError, match=reason):
        open_engine(daemon.address)


def test_a_missing_library_is_said_before_anything_is_changed(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match="apt install python3-docker"):
        open_engine(daemon.address)


def test_a_library_that_cannot_be_loaded_is_said(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker.api.client", None)
    with pytest.raises(Unsupported, match="apt install python3-docker"):
        engine.start("web")


def entry(*names: str) -> dict[str, Any]:
    return {"Id": "1", "Names": [f"/{name}" for name in names], "State": "running", "Labels": {}}


def test_one_list_call_gives_the_containers_of_exactly_these_names(daemon: Daemon, engine: Engine) -> None:
    listed = [entry("web"), entry("web2"), entry("a.b", "other/alias"), entry("axb")]
    daemon.answers["GET /v1.41/containers/json"] = (200, listed)
    found = engine.containers(["web", "a.b", "none"])
    assert {name: each["Names"] for name, each in found.items()} == {"web": ["/web"], "a.b": ["/a.b", "/other/alias"]}
    ((_, query),) = [asked for asked in daemon.asked if asked[0].endswith("/containers/json")]
    assert query["all"] == ["1"]
    assert json.loads(query["filters"][0]) == {"name": ["^/?(web|a\\.b|none)$"]}


def test_looking_does_not_load_the_library(daemon: Daemon) -> None:
    daemon.answers["GET /v1.41/containers/json"] = (200, [])
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in ("docker", "requests")}
    try:
        open_engine(daemon.address).containers(["web"])
        assert "docker" not in sys.modules
        assert "requests" not in sys.modules
    finally:
        sys.modules.update(held)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, {"message": "boom"}), r"gave 500: boom"),
        ((200, b"<html>"), "something else than JSON"),
        ((400, {"message": "client version 1.41 is too old"}), "too old"),
    ],
)
def test_a_list_that_fails_is_said(daemon: Daemon, engine: Engine, answer: Answer, reason: str) -> None:
    daemon.answers["GET /v1.41/containers/json"] = answer
    with pytest.raises(ResourceError, match=reason):
        engine.containers(["web"])


def test_an_answer_without_end_is_cut_off(daemon: Daemon, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_socket, "MAX_BYTES", 1000)
    daemon.answers["GET /v1.41/containers/json"] = (200, b" " * 5000)
    with pytest.raises(ResourceError, match="1001 bytes"):
        engine.containers(["web"])
