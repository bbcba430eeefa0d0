"""The control socket against clients that are slow, silent, many, gone, or talk nonsense."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.daemon import control
from agent.daemon.clients import Clients
from agent.errors import ConfigInvalid
from tests.unit.looping import turn, turn_until

ASK = b'{"verb": "sync"}\n'
REPORT = {"event": "report", "exit": 0, "summary": "nothing"}


class Door:
    """A listening socket with its clients, and a way to connect."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.selector = selectors.DefaultSelector()
        self.asked = 0
        self.clients = Clients(self.selector, self._ask)
        self.server = control.listen(self.path)
        self.selector.register(self.server, selectors.EVENT_READ, lambda _: self.clients.accept(self.server))

    def _ask(self, forced: bool) -> None:
        self.asked += 1
        self.forced = forced

    def connect(self, request: bytes = b"") -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self.path)
        connection.settimeout(5)
        connection.sendall(request)
        for _ in ("accept", "listen"):
            turn(self.selector)
        return connection

    def watcher(self) -> socket.socket:
        """A client that asked, and whose pass has begun."""
        before, connection = self.asked, self.connect(ASK)
        turn_until(self.selector, lambda: self.asked > before)
        self.clients.watch()
        return connection


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(tmp_path / "control.sock")
    with contextlib.closing(made.server), contextlib.closing(made.selector):
        yield made


def everything(connection: socket.socket) -> list[dict[str, Any]]:
    data = b""
    with connection:
        while chunk := connection.recv(1 << 16):
            data += chunk
    return [json.loads(line) for line in data.splitlines()]


def test_the_socket_is_for_its_owner_alone_from_its_first_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    class Watched(socket.socket):
        def bind(self, address: Any) -> None:
            super().bind(address)
            modes.append(stat.S_IMODE(os.stat(address).st_mode))

    monkeypatch.setattr(socket, "socket", Watched)
    before = os.umask(0)
    try:
        control.listen(str(tmp_path / "s")).close()
        assert os.umask(0) == 0, "the umask is put back"
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_what_a_killed_daemon_left_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    control.listen(path).close()
    with control.listen(path), pytest.raises(ConfigInvalid, match="another daemon answers on"):
        control.listen(path)


def test_a_client_sees_the_pass_that_began_after_it_asked(door: Door) -> None:
    early = door.watcher()
    late = door.connect(ASK)
    turn_until(door.selector, lambda: door.asked == 2)
    door.clients.tell({**REPORT, "summary": "first"})
    assert [event["summary"] for event in everything(early)] == ["first"]
    door.clients.watch()
    door.clients.tell({**REPORT, "summary": "second"})
    assert [event["summary"] for event in everything(late)] == ["second"]
    assert not door.clients.present


def test_a_client_that_has_not_asked_is_told_nothing(door: Door) -> None:
    with door.connect() as silent, door.watcher() as watching:
        door.clients.tell(REPORT)
        assert everything(watching) == [REPORT]
        silent.settimeout(0.05)
        with pytest.raises(TimeoutError):
            silent.recv(1)


def test_a_request_may_come_in_pieces_and_counts_once(door: Door) -> None:
    with door.connect(ASK[:5]) as connection:
        turn(door.selector)
        assert door.asked == 0
        connection.sendall(ASK[5:] + ASK)
        turn_until(door.selector, lambda: door.asked > 0)
        turn(door.selector)
        assert door.asked == 1


def test_a_client_that_goes_on_talking_is_hung_up_on(door: Door) -> None:
    with door.watcher() as connection:
        for _ in range(50):
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(ASK * 1000)
            turn(door.selector)
    assert (door.clients.present, door.asked) == (False, 1)


@pytest.mark.parametrize(
    "nonsense",
    [b"\x00\xff\n", b"[" * 4000 + b"\n", b"x" * 5000, b"GET / HTTP/1.1\r\n\r\n"],
    ids=["binary", "deep", "long", "http"],
)
def test_nonsense_is_hung_up_on(door: Door, nonsense: bytes) -> None:
    connection = door.connect(nonsense)
    turn_until(door.selector, lambda: not door.clients.present)
    with contextlib.suppress(ConnectionResetError):
        assert everything(connection) == []
    assert door.asked == 0


@pytest.mark.parametrize("request_", [b"{}\n", b"[1]\n", b'{"verb": "stop"}\n'])
def test_another_request_is_refused_with_words(door: Door, request_: bytes) -> None:
    (event,) = everything(door.connect(request_))
    assert event == {"event": "refused", "message": 'the only request is {"verb": "sync"}'}
    assert (door.asked, door.clients.present) == (0, False)


def test_a_slow_client_still_gets_all_of_it(door: Door) -> None:
    connection = door.watcher()
    steps = [
        {"event": "step", "text": "x" * 1000, "number": number} for number in range(700)
    ]  # more than a socket holds
    for step in steps:
        door.clients.tell(step)
    door.clients.tell(REPORT)
    assert door.clients.present, "it has not taken everything yet"
    received = b""
    while chunk := _some(connection, door):
        received += chunk
    assert [json.loads(line) for line in received.splitlines()] == [*steps, REPORT]
    assert not door.clients.present


def _some(connection: socket.socket, door: Door) -> bytes:
    turn(door.selector)
    return connection.recv(1 << 16)


def test_a_client_that_does_not_read_is_dropped_and_the_others_go_on(door: Door) -> None:
    with door.watcher():
        other = door.watcher()
        for _ in range(20):
            door.clients.tell({"event": "step", "text": "x" * 100_000})
            turn(door.selector)
            assert other.recv(1 << 20)
        door.clients.tell(REPORT)
        turn(door.selector)
        assert everything(other)[-1] == REPORT
        assert not door.clients.present


def test_a_client_that_leaves_is_forgotten(door: Door) -> None:
    door.watcher().close()
    turn_until(door.selector, lambda: not door.clients.present)
    door.clients.tell(REPORT)  # to nobody


def test_one_too_many_is_told_so(door: Door) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(control.MAX_CLIENTS):
            stack.enter_context(door.connect())
        (event,) = everything(door.connect())
        assert event == {"event": "refused", "message": "16 others are connected; try again later"}


def test_who_says_nothing_is_dropped_and_who_waits_is_not(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ASK_SECONDS", 0.05)
    with door.watcher() as waiting, door.connect() as silent:
        assert door.clients.seconds_left() is not None
        while door.clients.seconds_left() is not None:
            door.clients.check()
        assert silent.recv(1) == b""
        door.clients.tell(REPORT)
        assert everything(waiting) == [REPORT]


def test_when_the_agent_stops_only_the_pass_in_hand_is_waited_for(door: Door) -> None:
    watching = door.watcher()
    waiting = door.connect(ASK)
    turn_until(door.selector, lambda: door.asked == 2)
    door.clients.refuse("the agent is stopping")
    assert everything(waiting) == [{"event": "refused", "message": "the agent is stopping"}]
    door.clients.tell(REPORT)
    assert everything(watching) == [REPORT]


def test_another_user_is_not_let_in(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control.Client, "allowed", False)
    assert everything(door.connect()) == []
    assert not door.clients.present
