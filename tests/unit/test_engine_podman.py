"""Podman's adapter, where it differs from Docker's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from agent.host import engine_podman
from modules.api import ResourceError
from tests.unit.docker_daemon import Daemon, opened, serving


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with serving() as daemon:
        daemon.is_podman = True
        yield daemon


@pytest.mark.parametrize(("taken", "tries"), [(0, 1), (3, 4), (1000, 5)])
def test_a_port_that_podman_itself_holds_is_tried_for_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, taken: int, tries: int
) -> None:
    monkeypatch.setattr(engine_podman, "_PORT_TRIES", 5)
    monkeypatch.setattr(engine_podman, "POLL_SECONDS", 0.01)
    start = "POST /v1.41/containers/web/start"
    answers = iter([(500, {"message": "listen tcp4 127.0.0.1:80: bind: address already in use"})] * taken)
    daemon.answers[start] = lambda: next(answers, (204, b""))
    with pytest.raises(ResourceError, match="address already in use") if taken > 5 else nullcontext():
        opened(daemon.address).start("web")
    assert [path for path, _ in daemon.asked].count(start) == tries


def test_another_failure_to_start_is_not_tried_again(daemon: Daemon) -> None:
    daemon.answers["POST /v1.41/containers/web/start"] = (500, {"message": "no such program"})
    with pytest.raises(ResourceError, match="no such program"):
        opened(daemon.address).start("web")
    assert [path for path, _ in daemon.asked].count("POST /v1.41/containers/web/start") == 1
