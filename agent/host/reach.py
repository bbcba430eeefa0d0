"""Asking whether something answers: one HTTP request, one connection; bounded in time and size, and nothing is followed.

What is asked was judged when its check was declared (modules.check_fields).
"""

from __future__ import annotations

import socket
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from modules.api import ResourceError

MAX_BYTES = 64 << 10


def http(url: str, timeout_seconds: float) -> tuple[int, str]:
    """The status and the first 64 KiB that a URL answers with. Raises ResourceError when nothing does."""
    parts = urlsplit(url)
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    deadline = time.monotonic() + timeout_seconds
    connection = make(parts.hostname or "", parts.port, timeout=timeout_seconds)
    try:
        connection.request("GET", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}")
        answer = connection.getresponse()
        return answer.status, _text(answer, deadline)
    except (OSError, HTTPException, UnicodeError) as error:
        raise ResourceError(f"{url} does not answer: {_words(error)}") from error
    finally:
        connection.close()


def _text(answer: HTTPResponse, deadline: float) -> str:
    """The first of a body, as far as it came in time: a server may send a byte now and then for ever."""
    body = b""
    while len(body) < MAX_BYTES and time.monotonic() < deadline:
        piece = answer.read1(MAX_BYTES - len(body))
        if not piece:
            break
        body += piece
    return body.decode(errors="replace")


def connect(address: str, timeout_seconds: float) -> None:
    """Open a connection to `HOST:PORT` and close it. Raises ResourceError when nobody accepts it."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout_seconds).close()
    except OSError as error:
        raise ResourceError(f"nothing accepts connections at {address}: {_words(error)}") from error


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
