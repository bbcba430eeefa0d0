"""One request, one connection: bounded, nothing followed, and every failure in words. Servers are real, on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.host import reach
from modules.api import ResourceError


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of one connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.settimeout(10)
                connection.recv(4096)
                try:
                    answer(connection)
                except OSError:
                    return  # whoever asked has left

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


def saying(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


def test_status_and_text() -> None:
    with serving(saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")) as port:
        assert reach.http(f"http://127.0.0.1:{port}/a?b=c", 5) == (404, "gone")


def test_a_redirect_is_not_followed() -> None:
    with serving(saying(b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n")) as port:
        assert reach.http(f"http://127.0.0.1:{port}", 5) == (302, "")


def test_a_large_body_is_cut() -> None:
    body = b"x" * (3 * reach.MAX_BYTES)
    with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))) as port:
        assert len(reach.http(f"http://127.0.0.1:{port}/", 5)[1]) == reach.MAX_BYTES


def test_a_body_that_drips_is_read_for_as_long_as_was_said() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(40):
            connection.sendall(b"x")
            time.sleep(0.1)

    with serving(drip) as port:
        began = time.monotonic()
        status, text = reach.http(f"http://127.0.0.1:{port}/", 0.5)
        assert (status, set(text)) == (200, {"x"})
        assert time.monotonic() - began < 3.5


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_speaks_no_http(answer: bytes) -> None:
    with (
        serving(saying(answer)) as port,
        pytest.raises(ResourceError, match=rf"http://127.0.0.1:{port}/ does not answer: "),
    ):
        reach.http(f"http://127.0.0.1:{port}/", 5)


def test_what_says_nothing_in_time() -> None:
    def silent(connection: socket.socket) -> None:
        connection.recv(1)  # until whoever asked has left

    with serving(silent) as port, pytest.raises(ResourceError, match="does not answer: timed out"):
        reach.http(f"http://127.0.0.1:{port}/", 0.2)


def test_a_path_that_no_request_can_have() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for path in ("/\u2028", "/a b"):
            with pytest.raises(ResourceError, match="does not answer"):
                reach.http(f"http://127.0.0.1:{server.getsockname()[1]}{path}", 1)


def test_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach.connect(f"127.0.0.1:{port}", 5)
    with pytest.raises(ResourceError, match=rf"nothing accepts connections at 127.0.0.1:{port}: connection refused"):
        reach.connect(f"127.0.0.1:{port}", 5)
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        reach.connect(f"[::1]:{server.getsockname()[1]}", 5)
