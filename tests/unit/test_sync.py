"""agentctl sync against a daemon that answers, refuses, hangs up, talks nonsense, or is not there."""

from __future__ import annotations

import itertools
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.cli.progress import CLEAR
from tests.unit.terminal import Terminal

STARTED = {"event": "started", "reason": "sync", "revision": "0123456789", "resources": 3}
APPLYING = {"event": "applying", "id": "file:/a", "more": 0, "step": 1, "steps": 3}
STEP = {
    "event": "step", "id": "file:/a", "result": "converged", "cause": "drift", "place": "hosts/a.yaml:2",
    "drift": {"mode": ["0644", "0600"]}, "message": "", "seconds": 0.1,
}  # fmt: skip
REPORT = {"event": "report", "exit": 4, "revision": "0123456789", "summary": "1 converged, 2 failed", "seconds": 1.5}


@contextmanager
def daemon(directory: Path, *answers: dict[str, Any] | bytes) -> Iterator[list[bytes]]:
    """Answer one request with these events; what was asked is in the list."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(directory / "control.sock"))
        server.listen()
        server.settimeout(10)

        def serve() -> None:
            with server.accept()[0] as connection:
                asked.append(connection.recv(4096))
                for answer in answers:
                    connection.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join(10)


def sync(directory: Path, *options: str) -> int:
    return main(["sync", "--runtime-dir", str(directory), *options])


def test_it_shows_each_step_and_returns_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon(tmp_path, STARTED, APPLYING, STEP, {"event": "of a newer version"}, REPORT) as asked:
        assert sync(tmp_path) == 4
    assert asked == [b'{"verb": "sync", "force": false}\n']
    printed = capsys.readouterr()
    step, end = printed.out.splitlines()
    assert step.split() == ["converged", "file:/a", "drift:", "mode", "0644", "->", "0600", "hosts/a.yaml:2"]
    assert end == "0123456: 1 converged, 2 failed in 1.5 s"
    assert printed.err == "", "no progress outside a terminal"


def test_on_a_terminal_it_shows_what_goes_on(
    tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    with daemon(tmp_path, STARTED, APPLYING, STEP, REPORT):
        assert sync(tmp_path) == 4
    lines = [re.sub(r" \d+ s$", "", line) for line in terminal.written().split(CLEAR)[1:]]
    wanted = ["waiting for the agent", "0123456: observing 3 resources", "applying 1 of 3: file:/a", ""]
    assert [line for line, _ in itertools.groupby(lines)] == wanted
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_json_is_every_event_as_it_came(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon(tmp_path, STARTED, STEP, REPORT):
        assert sync(tmp_path, "--json") == 4
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [STARTED, STEP, REPORT]


def test_a_refused_revision_is_said_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon(tmp_path, {**REPORT, "exit": 1, "rejection": "hosts/a.yaml:3: no\nhosts/a.yaml:4: no"}):
        assert sync(tmp_path) == 1
    assert "hosts/a.yaml:3: no\nhosts/a.yaml:4: no" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"event": "refused", "message": "the agent is stopping"}, "the agent refuses: the agent is stopping"),
        (b"", "the agent stopped before the pass ended; see journalctl -u gitops-agent"),
        (b'{"event": "star', "the agent stopped before the pass ended; see journalctl -u gitops-agent"),
        (
            b"HTTP/1.1 400 Bad Request\n",
            "what answers is not the agent, or another version of it; restart gitops-agent",
        ),
        (b"[1]\n", "what answers is not the agent, or another version of it; restart gitops-agent"),
    ],
)
def test_what_goes_wrong_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: dict[str, Any] | bytes, said: str
) -> None:
    with daemon(tmp_path, answer):
        assert sync(tmp_path) == 1
    assert capsys.readouterr().err == f"agentctl: {said}\n"


def test_no_daemon_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sync(tmp_path) == 1
    said = "agentctl: the agent is not running; systemctl start gitops-agent, or use agentctl apply\n"
    assert capsys.readouterr().err == said
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(str(tmp_path / "control.sock"))
    assert sync(tmp_path) == 1
    assert capsys.readouterr().err == said
